"""Whether mail domains have a mail server, by the DNS: asked by the worker, in parallel, and kept for a day.

It fails open: while the DNS does not answer, a domain counts as unknown, and no rule matches.
"""

from __future__ import annotations

import datetime
from collections.abc import Callable, Collection, Iterable
from concurrent.futures import ThreadPoolExecutor, wait

import dns.exception
import dns.resolver

from subscribers.models import MailDomain, MailDomainStatus

#: How long an answer of the DNS is kept, and how long the lack of one.
FRESH, RETRY_AFTER = datetime.timedelta(days=1), datetime.timedelta(minutes=10)
RETENTION = datetime.timedelta(days=2)

#: In seconds: of one name, and of all names together. Confirmation mails wait that long.
LOOKUP_SECONDS, ALL_SECONDS = 3.0, 4.0
THREADS = 16

Lookup = Callable[[str], MailDomainStatus]


def query_dns(domain: str) -> MailDomainStatus:
    """What the DNS says now. A domain without MX accepts mail at its own address (RFC 5321 §5.1)."""
    resolver = dns.resolver.Resolver()
    resolver.lifetime = LOOKUP_SECONDS
    try:
        hosts = [str(answer.exchange) for answer in resolver.resolve(f"{domain}.", "MX")]
        # RFC 7505: one MX with the root as its host.
        return MailDomainStatus.NULL_MX if hosts == ["."] else MailDomainStatus.ACCEPTS
    except dns.resolver.NXDOMAIN:
        return MailDomainStatus.MISSING
    except dns.resolver.NoAnswer:
        return _by_address(resolver, domain)
    except (dns.exception.DNSException, OSError, UnicodeError):
        return MailDomainStatus.UNKNOWN


def _by_address(resolver: dns.resolver.Resolver, domain: str) -> MailDomainStatus:
    for kind in ("A", "AAAA"):
        try:
            resolver.resolve(f"{domain}.", kind)
        except (dns.resolver.NoAnswer, dns.resolver.NXDOMAIN):
            continue
        except (dns.exception.DNSException, OSError):
            return MailDomainStatus.UNKNOWN
        return MailDomainStatus.ACCEPTS
    return MailDomainStatus.MISSING


def check_mail_domains(domains: Collection[str], now: datetime.datetime, lookup: Lookup = query_dns) -> None:
    """Ask for those domains whose answer is not fresh, and keep the answers. Takes at most ALL_SECONDS.

    Never in a transaction: SQLite’s write lock would be held as long.
    """
    missing = sorted(set(domains) - set(known_statuses(domains, now)))
    if not missing:
        return
    found = _query_all(missing, lookup)
    MailDomain.objects.bulk_create(
        [MailDomain(domain=domain, status=status, checked_at=now) for domain, status in sorted(found.items())],
        update_conflicts=True,
        unique_fields=["domain"],
        update_fields=["status", "checked_at"],
    )


def _query_all(domains: Iterable[str], lookup: Lookup) -> dict[str, MailDomainStatus]:
    """Each in a thread. A domain whose answer does not come in time is unknown."""
    found = dict.fromkeys(domains, MailDomainStatus.UNKNOWN)
    threads = ThreadPoolExecutor(THREADS, thread_name_prefix="mail-domain")
    futures = {threads.submit(lookup, domain): domain for domain in found}
    for future in wait(futures, timeout=ALL_SECONDS).done:
        found[futures[future]] = future.result()
    # Threads that still wait end within LOOKUP_SECONDS each.
    threads.shutdown(wait=False, cancel_futures=True)
    return found


def known_statuses(domains: Collection[str], now: datetime.datetime) -> dict[str, str]:
    """The statuses that are fresh, by domain; one query."""
    rows = MailDomain.objects.filter(domain__in=domains, checked_at__gt=now - FRESH)
    return {
        row.domain: row.status
        for row in rows
        if row.status != MailDomainStatus.UNKNOWN or row.checked_at > now - RETRY_AFTER
    }


def delete_old_mail_domains(now: datetime.datetime) -> None:
    """Delete answers that are no longer used. Reads first, so that an idle worker locks nothing."""
    old = MailDomain.objects.filter(checked_at__lte=now - RETENTION)
    if old.exists():
        old.delete()
