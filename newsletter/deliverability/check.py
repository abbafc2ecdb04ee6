"""Checks the DNS of each sender's domain once a day, and keeps what was found."""

from __future__ import annotations

import datetime
import logging
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

from django.conf import settings
from django.db.models import F, Q
from django.utils import timezone

from newsletter.config.translatable import translatable
from newsletter.config.validation import is_loopback
from newsletter.deliverability.bimi import check_bimi
from newsletter.deliverability.dkim import check_dkim
from newsletter.deliverability.dmarc_policy import Policy, check_dmarc, discover_policy
from newsletter.deliverability.findings import WORDS, DnsFinding, Record, Result, Words, finding
from newsletter.deliverability.hosts import check_hosts, check_unsubscribe_host, hosts_of_last_editions
from newsletter.deliverability.senders import sender_domains
from newsletter.deliverability.spf import RESEND_INCLUDE, check_return_path, check_spf, is_alias
from newsletter.deliverability.transport import check_mta_sts, check_tls_rpt
from newsletter.models import DomainCheck
from newsletter.outbound import FetchPolicy, site_fetch_policy
from newsletter.outbound.dns_lookup import DnsFailed, Lookup, query_dns

log = logging.getLogger(__name__)

CHECK_EVERY = datetime.timedelta(days=1)

#: After name servers did not answer.
RETRY_AFTER = datetime.timedelta(hours=1)

WORDS.update(
    dns_failed=Words(
        Result.WARNING,
        translatable("The name servers did not answer ({error}), so this is not known."),
        translatable("It is tried again within an hour. If it stays, check the name servers of the domain."),
    ),
)

Findings = list[DnsFinding]


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """Who is asked: the DNS and web servers; tests give their own."""

    lookup: Lookup
    policy: FetchPolicy


def on_the_internet() -> Asked:
    """The resolvers of this machine, and fetches under the guards of the site."""
    return Asked(lookup=query_dns, policy=site_fetch_policy())


def uses_resend() -> bool:
    """Whether mails leave through Resend, whose return path is a subdomain. The sandbox stands in for it."""
    return bool({"resend", "sandbox"} & set(settings.PROVIDER.split(",")))


def check_domain(domain: str, asked: Asked) -> Findings:
    """Everything that is found about a sender's domain, in the order of Record. Takes seconds."""
    lookup, policy = asked.lookup, asked.policy
    found: Findings = []

    def part(record: Record, check: Callable[[], Iterable[DnsFinding]]) -> None:
        found.extend(_answered(record, check))

    dmarc = Policy(record=None, organizational_domain=domain)
    try:
        dmarc = discover_policy(domain, lookup)
    except DnsFailed as error:
        dmarc_findings: Findings = [_failed(Record.DMARC, error)]
    else:
        dmarc_findings = list(check_dmarc(domain, dmarc))
    part(Record.SPF, lambda: _spf(domain, lookup))
    part(Record.DKIM, lambda: check_dkim(domain, settings.DKIM_SELECTORS, lookup))
    found.extend(dmarc_findings)
    if uses_resend():
        part(Record.RETURN_PATH, lambda: check_return_path(_return_path(domain), lookup))
    part(Record.TLS_RPT, lambda: check_tls_rpt(domain, lookup))
    part(Record.MTA_STS, lambda: check_mta_sts(domain, lookup, policy))
    part(Record.BIMI, lambda: check_bimi(domain, dmarc, lookup, policy))
    # Without a DMARC record, the domain itself counts as the organization's; above it may be a public suffix.
    found.extend(check_hosts(hosts_of_last_editions(domain), dmarc.organizational_domain, policy))
    found.extend(check_unsubscribe_host(settings.SITE_HOST, dmarc.organizational_domain, policy))
    return found


def _return_path(domain: str) -> str:
    return f"{settings.RETURN_PATH}.{domain}"


def _spf(domain: str, lookup: Lookup) -> Iterator[DnsFinding]:
    """Of the return path with Resend, of the domain itself with another mail server."""
    if not uses_resend():
        return check_spf(domain, lookup)
    host = _return_path(domain)
    # An alias leads to the provider's own record, which may include anything.
    return check_spf(host, lookup, include="" if is_alias(host, lookup) else RESEND_INCLUDE)


def _answered(record: Record, check: Callable[[], Iterable[DnsFinding]]) -> Findings:
    try:
        return list(check())
    except DnsFailed as error:
        return [_failed(record, error)]


def _failed(record: Record, error: DnsFailed) -> DnsFinding:
    return finding(record, "dns_failed", error=error.error)


def check_next_domain(asked: Asked | None = None) -> bool:
    """Check one domain that is due; whether there was one. A step of the worker.

    While PROVIDER is the sandbox, or the site is on this machine, no name server is asked unless an editor wants it.
    """
    now = timezone.now()
    check = _next_due(now, sender_domains())
    if check is None:
        return False
    refresh(check, asked or on_the_internet(), now)
    return True


def is_daily() -> bool:
    """Whether domains are checked without being asked."""
    return settings.PROVIDER != "sandbox" and not is_loopback(settings.SITE_HOST)


def _next_due(now: datetime.datetime, domains: list[str]) -> DomainCheck | None:
    is_requested = Q(requested_at__isnull=False) & (Q(checked_at__isnull=True) | Q(requested_at__gt=F("checked_at")))
    is_old = Q(checked_at__isnull=True) | Q(checked_at__lte=now - CHECK_EVERY)
    is_failed = Q(failed_at__lte=now - RETRY_AFTER)
    due = is_requested
    if is_daily():
        due |= is_old | is_failed
        known = set(DomainCheck.objects.filter(domain__in=domains).values_list("domain", flat=True))
        missing = [DomainCheck(domain=domain) for domain in domains if domain not in known]
        if missing:
            DomainCheck.objects.bulk_create(missing, ignore_conflicts=True)
    return DomainCheck.objects.filter(due, domain__in=domains).order_by("checked_at", "pk").first()


def refresh(check: DomainCheck, asked: Asked, now: datetime.datetime) -> None:
    """Check a domain now and keep the findings. Where no name server answered, the former findings stay."""
    found = check_domain(check.domain, asked)
    failed = {each.record for each in found if each.code == "dns_failed"}
    former = {each.record for each in findings_of(check) if each.code != "dns_failed"}
    kept = [each for each in findings_of(check) if each.record in failed & former]
    new = [each for each in found if each.record not in failed & former]
    order = list(Record)
    stored = sorted([*kept, *new], key=lambda each: order.index(each.record))
    check.findings, check.checked_at = [each.as_json() for each in stored], now
    check.failed_at = now if failed else None
    check.save(update_fields=["findings", "checked_at", "failed_at"])
    log.info("Domain checked", extra={"domain": check.domain, "failed": sorted(failed)})


def findings_of(check: DomainCheck) -> Findings:
    """The stored findings."""
    return [DnsFinding.from_json(data) for data in check.findings if data.get("record") in set(Record)]


def request_check(now: datetime.datetime) -> int:
    """Let the worker check every sender's domain soon; returns how many there are."""
    domains = sender_domains()
    for domain in domains:
        DomainCheck.objects.update_or_create(domain=domain, defaults={"requested_at": now})
    return len(domains)
