"""DMARC policy records by RFC 9989: the tree walk, the organizational domain, and what is wrong with a record.

RFC 9989 replaced the public suffix list by questions to the DNS, removed `pct`, `rf` and `ri`, and added `t`, `np` and
`psd`.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from newsletter.config.translatable import translatable
from newsletter.deliverability.findings import WORDS, DnsFinding, Record, Result, Words, finding
from newsletter.deliverability.tag_lists import parse_tags, with_version
from newsletter.outbound.dns_lookup import Lookup

#: The most questions of a tree walk (RFC 9989 §4.10).
MAX_QUESTIONS = 8

POLICIES = ("none", "quarantine", "reject")

#: Tags that RFC 9989 removed, and receivers ignore by now.
REMOVED = ("pct", "rf", "ri")

WORDS.update(
    dmarc_missing=Words(
        Result.ERROR,
        translatable("There is no DMARC record for {domain} or a domain above it. Gmail and Yahoo require one."),
        translatable("Publish it as a TXT record: _dmarc.{domain} with the value v=DMARC1; p=none; rua=mailto:…"),
    ),
    dmarc_several=Words(
        Result.ERROR,
        translatable("_dmarc.{domain} has {count} DMARC records, so receivers use none of them."),
        translatable("Delete all but one."),
    ),
    dmarc_invalid=Words(
        Result.ERROR,
        translatable("The DMARC record at _dmarc.{domain} has no valid policy: {tag}={value}."),
        translatable("Set {tag} to none, quarantine or reject."),
    ),
    dmarc_none=Words(
        Result.WARNING,
        translatable("The policy is “none”: forged mails are delivered like yours."),
        translatable("After four weeks without unknown senders in the reports, change it to p=quarantine."),
    ),
    dmarc_test=Words(
        Result.WARNING,
        translatable("The policy is “{policy}”, but t=y asks receivers not to apply it."),
        translatable("Remove t=y when the reports have no unknown senders."),
    ),
    dmarc_ok=Words(Result.OK, translatable("The policy is “{policy}”. The record is that of {domain}.")),
    dmarc_no_reports=Words(
        Result.WARNING,
        translatable("The DMARC record asks for no reports, so you do not see who sends as {domain}."),
        translatable("Add rua=mailto: and an address that you read, and upload the reports on this page."),
    ),
    dmarc_removed_tags=Words(
        Result.WARNING,
        translatable("RFC 9989 removed {tags}: receivers ignore it."),
        translatable("Remove it. Instead of pct, t=y asks receivers not to apply the policy yet."),
    ),
    dmarc_psd=Words(
        Result.WARNING,
        translatable("psd=y says that {domain} is a registry, below which others register their domains."),
        translatable("Remove psd=y, unless you are one."),
    ),
    dmarc_unknown_value=Words(
        Result.WARNING,
        translatable("The DMARC record has an unknown value: {tag}={value}. Receivers use the default."),
        translatable("Correct or remove it."),
    ),
)

#: Values of optional tags.
_VALUES = {"t": ("y", "n"), "psd": ("y", "n", "u"), "adkim": ("r", "s"), "aspf": ("r", "s")}


@dataclass(frozen=True, slots=True, kw_only=True)
class PolicyRecord:
    """A valid record, and the domain that has it."""

    domain: str
    text: str
    tags: dict[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """What receivers find for a sender's domain."""

    record: PolicyRecord | None
    organizational_domain: str
    several_at: tuple[str, int] | None = None
    """The first domain with more than one record, and how many it has."""

    def policy_for(self, domain: str) -> str:
        """The policy for an existing domain: `p`, or `sp` of a domain above it; “none” if it is invalid."""
        if self.record is None:
            return ""
        tags = self.record.tags
        value = tags.get("p", "none") if self.record.domain == domain else tags.get("sp", tags.get("p", "none"))
        return value.lower() if value.lower() in POLICIES else "none"


def walk(domain: str) -> list[str]:
    """The domains that a tree walk asks, from the domain itself to the top: at most eight (RFC 9989 §4.10)."""
    labels = domain.lower().strip(".").split(".")
    start = 1 if len(labels) < MAX_QUESTIONS else len(labels) - MAX_QUESTIONS + 1
    return [".".join(labels), *(".".join(labels[place:]) for place in range(start, len(labels)))]


def discover_policy(domain: str, lookup: Lookup) -> Policy:
    """The record that applies to mails from `domain`, and its organizational domain. Raises DnsFailed."""
    found: list[PolicyRecord] = []
    several_at: tuple[str, int] | None = None
    for name in walk(domain):
        texts = with_version(lookup(f"_dmarc.{name}", "TXT"), "DMARC1")
        if len(texts) > 1:
            several_at = several_at or (name, len(texts))
        if len(texts) != 1:
            continue
        found.append(PolicyRecord(domain=name, text=texts[0], tags=parse_tags(texts[0])))
        if found[-1].tags.get("psd", "u").lower() in ("y", "n"):
            break
    organizational_domain = _organizational_domain(domain, found)
    return Policy(
        record=_applicable(domain, organizational_domain, found),
        organizational_domain=organizational_domain,
        several_at=several_at,
    )


def _organizational_domain(domain: str, found: list[PolicyRecord]) -> str:
    """RFC 9989 §4.10.2, from the longest name to the shortest."""
    for record in found:
        psd = record.tags.get("psd", "u").lower()
        if psd == "n":
            return record.domain
        if psd == "y" and record.domain != domain:
            return _one_below(record.domain, domain)
    return found[-1].domain if found else domain


def _one_below(above: str, domain: str) -> str:
    labels = domain.split(".")
    return ".".join(labels[-(len(above.split(".")) + 1) :])


def _applicable(domain: str, organizational_domain: str, found: list[PolicyRecord]) -> PolicyRecord | None:
    """That of the domain itself, of its organizational domain, or of the public suffix above it (RFC 9989 §4.10.1)."""
    by_domain = {record.domain: record for record in found}
    suffix = next((record for record in found if record.tags.get("psd", "u").lower() == "y"), None)
    return by_domain.get(domain) or by_domain.get(organizational_domain) or suffix


def check_dmarc(domain: str, policy: Policy) -> Iterator[DnsFinding]:
    """The findings about the record that applies to `domain`; the first one is about the policy."""
    record = policy.record
    if policy.several_at and (record is None or policy.several_at[0] == domain):
        name, count = policy.several_at
        yield finding(Record.DMARC, "dmarc_several", domain=name, count=count)
        return
    if record is None:
        yield finding(Record.DMARC, "dmarc_missing", domain=policy.organizational_domain)
        return
    yield _policy_finding(domain, policy, record)
    yield from _other_findings(record)


def _policy_finding(domain: str, policy: Policy, record: PolicyRecord) -> DnsFinding:
    for tag in ("p", "sp", "np"):
        value = record.tags.get(tag, "none")
        if value.lower() not in POLICIES:
            return finding(Record.DMARC, "dmarc_invalid", record.text, domain=record.domain, tag=tag, value=value[:40])
    applied = policy.policy_for(domain)
    if applied == "none":
        return finding(Record.DMARC, "dmarc_none", record.text, domain=record.domain)
    if record.tags.get("t", "n").lower() == "y":
        return finding(Record.DMARC, "dmarc_test", record.text, policy=applied, domain=record.domain)
    return finding(Record.DMARC, "dmarc_ok", record.text, policy=applied, domain=record.domain)


def _other_findings(record: PolicyRecord) -> Iterator[DnsFinding]:
    tags = record.tags
    if "mailto:" not in tags.get("rua", "").lower():
        yield finding(Record.DMARC, "dmarc_no_reports", record.text, domain=record.domain)
    if removed := [tag for tag in REMOVED if tag in tags]:
        yield finding(Record.DMARC, "dmarc_removed_tags", record.text, tags=", ".join(removed), domain=record.domain)
    if tags.get("psd", "u").lower() == "y":
        yield finding(Record.DMARC, "dmarc_psd", record.text, domain=record.domain)
    for tag, known in _VALUES.items():
        if tag in tags and tags[tag].lower() not in known:
            yield finding(Record.DMARC, "dmarc_unknown_value", record.text, tag=tag, value=tags[tag][:40])


def record_to_publish(code: str, domain: str, present: str) -> tuple[str, str] | None:
    """Name and value of the TXT record that answers a finding, from the present one; None if there is no such record.

    Tags that are not known stay as they are.
    """
    if code == "dmarc_missing":
        return f"_dmarc.{domain}", f"v=DMARC1; p=none; rua=mailto:dmarc@{domain}"
    tags = parse_tags(present)
    if code == "dmarc_none":
        changed = tags | {"p": "quarantine"}
    elif code == "dmarc_removed_tags":
        changed = {tag: value for tag, value in tags.items() if tag not in REMOVED}
    elif code == "dmarc_test":
        changed = {tag: value for tag, value in tags.items() if tag != "t"}
    else:
        return None
    return f"_dmarc.{domain}", "; ".join(f"{tag}={value}" for tag, value in changed.items())
