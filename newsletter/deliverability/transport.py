"""TLS-RPT (RFC 8460) and MTA-STS (RFC 8461): how other servers encrypt mail to the domain. Optional for senders."""

from __future__ import annotations

import re
from collections.abc import Iterator

from newsletter.config.translatable import translatable
from newsletter.deliverability.findings import WORDS, DnsFinding, Record, Result, Words, finding
from newsletter.deliverability.tag_lists import parse_tags, with_version
from newsletter.outbound import FetchError, FetchPolicy, Limits, fetch
from newsletter.outbound.dns_lookup import Lookup

#: A policy has a few lines (RFC 8461 §3.2 suggests 64 KB as the limit); redirects must not be followed (§3.3).
LIMITS = Limits(seconds=5, bytes=65_536, redirects=0)

MODES = ("enforce", "testing", "none")

WORDS.update(
    tls_rpt_not_set=Words(
        Result.NOT_SET, translatable("Optional for sending. Useful if you receive mail on this domain.")
    ),
    tls_rpt_ok=Words(Result.OK, translatable("Receivers report failed encryption to {rua}.")),
    tls_rpt_invalid=Words(
        Result.WARNING,
        translatable("The record at _smtp._tls.{domain} has no rua with mailto: or https:, or there are several."),
        translatable("Keep one, such as v=TLSRPTv1; rua=mailto:tls@{domain}"),
    ),
    mta_sts_not_set=Words(
        Result.NOT_SET, translatable("Optional for sending. Useful if you receive mail on this domain.")
    ),
    mta_sts_ok=Words(Result.OK, translatable("The policy is reachable, and its mode is “{mode}”.")),
    mta_sts_invalid=Words(
        Result.WARNING,
        translatable("The record at _mta-sts.{domain} has no id, or there are several records."),
        translatable("Keep one, such as v=STSv1; id=20261201"),
    ),
    mta_sts_unreachable=Words(
        Result.WARNING,
        translatable("The policy at https://mta-sts.{domain}/.well-known/mta-sts.txt cannot be fetched: {reason}"),
        translatable("Publish it with a valid certificate and without redirects, or remove the record."),
    ),
    mta_sts_status=Words(
        Result.WARNING,
        translatable("The policy at https://mta-sts.{domain}/.well-known/mta-sts.txt is answered with {status}."),
        translatable("Publish it there as text/plain, or remove the record."),
    ),
    mta_sts_policy=Words(
        Result.WARNING,
        translatable("The MTA-STS policy has no valid {name}, so servers ignore it."),
        translatable("It needs version: STSv1, mode, max_age, and mx unless the mode is none."),
    ),
)


def check_tls_rpt(domain: str, lookup: Lookup) -> Iterator[DnsFinding]:
    """Raises DnsFailed."""
    records = with_version(lookup(f"_smtp._tls.{domain}", "TXT"), "TLSRPTv1")
    if not records:
        yield finding(Record.TLS_RPT, "tls_rpt_not_set")
        return
    rua = parse_tags(records[0]).get("rua", "")
    if len(records) > 1 or not rua.lower().startswith(("mailto:", "https:")):
        yield finding(Record.TLS_RPT, "tls_rpt_invalid", records[0], domain=domain)
    else:
        yield finding(Record.TLS_RPT, "tls_rpt_ok", records[0], rua=rua.partition("?")[0][:200])


def check_mta_sts(domain: str, lookup: Lookup, policy: FetchPolicy) -> Iterator[DnsFinding]:
    """Fetches the policy only if there is a record. Raises DnsFailed."""
    records = with_version(lookup(f"_mta-sts.{domain}", "TXT"), "STSv1")
    if not records:
        yield finding(Record.MTA_STS, "mta_sts_not_set")
        return
    if len(records) > 1 or not re.fullmatch(r"[A-Za-z0-9]{1,32}", parse_tags(records[0]).get("id", "")):
        yield finding(Record.MTA_STS, "mta_sts_invalid", records[0], domain=domain)
        return
    yield _policy_finding(domain, records[0], policy)


def _policy_finding(domain: str, record: str, policy: FetchPolicy) -> DnsFinding:
    url = f"https://mta-sts.{domain}/.well-known/mta-sts.txt"
    try:
        answer = fetch(url, policy, accept="text/plain", limits=LIMITS)
    except FetchError as error:
        return finding(Record.MTA_STS, "mta_sts_unreachable", record, domain=domain, reason=error.args[0])
    if answer.status != 200 or answer.content_type not in ("text/plain", ""):
        status = f"{answer.status} {answer.content_type}".strip()
        return finding(Record.MTA_STS, "mta_sts_status", record, domain=domain, status=status)
    wrong = wrong_line(answer.body.decode("utf-8", "replace"))
    if wrong:
        return finding(Record.MTA_STS, "mta_sts_policy", record, name=wrong)
    mode = _lines(answer.body.decode("utf-8", "replace"))["mode"][0]
    return finding(Record.MTA_STS, "mta_sts_ok", record, mode=mode)


def wrong_line(text: str) -> str:
    """The name of the first line of a policy that is missing or not valid; empty if the policy is valid."""
    lines = _lines(text)
    age = lines.get("max_age", [""])[0]
    valid = {
        "version": lines.get("version") == ["STSv1"],
        "mode": lines.get("mode", [""])[0] in MODES,
        "max_age": age.isascii() and age.isdigit() and int(age[:12]) <= 31_557_600,
        "mx": bool(lines.get("mx")) or lines.get("mode") == ["none"],
    }
    return next((name for name, is_valid in valid.items() if not is_valid), "")


def _lines(text: str) -> dict[str, list[str]]:
    lines: dict[str, list[str]] = {}
    for line in text.splitlines():
        name, colon, value = line.partition(":")
        if colon:
            lines.setdefault(name.strip(), []).append(value.strip())
    return lines
