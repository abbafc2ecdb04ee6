"""The hosts of links and pictures in the last editions, and that of List-Unsubscribe: name, TLS, whose domain."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from urllib.parse import urlsplit

from lxml import etree, html  # type: ignore[import-untyped]

from newsletter.config.translatable import translatable
from newsletter.config.validation import is_loopback
from newsletter.deliverability.findings import WORDS, DnsFinding, Record, Result, Words, finding
from newsletter.models import STARTED, Edition, Send
from newsletter.outbound import FetchError, FetchPolicy, FetchReason, Limits, fetch

#: Of each domain, the editions that were sent last, and the most hosts of them that are asked.
EDITIONS, MAX_HOSTS = 5, 30

#: A host that does not answer at all may be slow: only a name or a certificate that is wrong is reported.
LIMITS = Limits(seconds=4, bytes=10_000, redirects=0)
THREADS = 8

#: The most names in one sentence.
NAMED = 5

WORDS.update(
    hosts_none=Words(Result.NOT_SET, translatable("Nothing was sent from this domain yet.")),
    hosts_missing=Words(
        Result.WARNING,
        translatable("Links or pictures of the last issues lead to hosts that do not exist: {hosts}."),
        translatable("Correct them in the next issue: filters judge a mail by its links."),
    ),
    hosts_certificate=Words(
        Result.WARNING,
        translatable("Links or pictures of the last issues lead to hosts without valid TLS: {hosts}."),
        translatable("Renew the certificates of your own, and replace the others."),
    ),
    hosts_pictures_elsewhere=Words(
        Result.WARNING,
        translatable("Pictures of the last issues come from other domains than the sender’s: {hosts}."),
        translatable("Publish them on a host of {domain}: filters judge a mail by the hosts of its pictures."),
    ),
    hosts_ok=Words(Result.OK, translatable("All {count} hosts exist and support TLS. On your domain: {own}.")),
    unsubscribe_local=Words(
        Result.ERROR,
        translatable("The unsubscribe links lead to {host}, which is this machine."),
        translatable("Set SITE_URL to the public address of the site."),
    ),
    unsubscribe_missing=Words(
        Result.ERROR,
        translatable("The host of the unsubscribe links, {host}, does not exist in the DNS."),
        translatable("Publish an A or AAAA record, or correct SITE_URL."),
    ),
    unsubscribe_certificate=Words(
        Result.ERROR,
        translatable("The host of the unsubscribe links, {host}, has no valid certificate."),
        translatable("Renew it: Gmail and Yahoo unsubscribe over https only."),
    ),
    unsubscribe_unreachable=Words(
        Result.WARNING,
        translatable("The host of the unsubscribe links, {host}, did not answer from here: {reason}"),
        translatable("Check that it can be reached from outside."),
    ),
    unsubscribe_elsewhere=Words(
        Result.WARNING,
        translatable("The unsubscribe links lead to {host}, which is not on the sender’s domain {domain}."),
        translatable("Filters trust a mail more if its links are on the domain of its sender."),
    ),
    unsubscribe_ok=Words(Result.OK, translatable("{host} exists, has a valid certificate and is on your domain.")),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class MailHosts:
    """The host names in mails."""

    links: frozenset[str]
    pictures: frozenset[str]


def hosts_of_last_editions(domain: str) -> MailHosts:
    """The hosts in the editions that were last sent from the domain."""
    sends = Send.objects.filter(state__in=STARTED, issue__newsletter__sender_email__iendswith=f"@{domain}")
    latest = list(sends.order_by("-started_at").values_list("edition", flat=True)[:EDITIONS])
    links: set[str] = set()
    pictures: set[str] = set()
    for edition in Edition.objects.filter(pk__in=latest).only("html"):
        found = hosts_in(edition.html)
        links |= found.links
        pictures |= found.pictures
    return MailHosts(links=frozenset(links), pictures=frozenset(pictures))


def hosts_in(page: str) -> MailHosts:
    """The hosts of links and pictures in HTML; addresses with placeholders in their host have none. Pure."""
    try:
        root = html.document_fromstring(page)
    except (etree.ParserError, ValueError):
        return MailHosts(links=frozenset(), pictures=frozenset())
    links = frozenset(filter(None, map(_host, root.xpath("//a/@href"))))
    return MailHosts(links=links, pictures=frozenset(filter(None, map(_host, root.xpath("//img/@src")))))


def _host(url: str) -> str:
    try:
        parts = urlsplit(url)
        host = (parts.hostname or "").encode("idna").decode("ascii").lower()
    except (ValueError, UnicodeError):
        return ""
    return host if parts.scheme in ("http", "https") and "." in host else ""


def is_below(host: str, domain: str) -> bool:
    """Whether a host is the domain or below it."""
    return host == domain or host.endswith(f".{domain}")


def check_hosts(found: MailHosts, organizational_domain: str, policy: FetchPolicy) -> Iterator[DnsFinding]:
    """The findings about hosts; the worst come first."""
    hosts = sorted(found.links | found.pictures, key=lambda host: (not is_below(host, organizational_domain), host))
    asked = [host for host in hosts if not is_loopback(host)][:MAX_HOSTS]
    if not asked:
        yield finding(Record.HOSTS, "hosts_none")
        return
    problems = problems_of(asked, policy)
    for code, reason in (
        ("hosts_missing", FetchReason.HOST_NOT_FOUND),
        ("hosts_certificate", FetchReason.CERTIFICATE),
    ):
        if wrong := [host for host, problem in problems.items() if problem is reason]:
            yield finding(Record.HOSTS, code, hosts=_named(wrong))
    elsewhere = sorted(host for host in found.pictures if not is_below(host, organizational_domain))
    if elsewhere:
        hosts_named = _named(elsewhere)
        yield finding(Record.HOSTS, "hosts_pictures_elsewhere", hosts=hosts_named, domain=organizational_domain)
    if not set(problems.values()) & {FetchReason.HOST_NOT_FOUND, FetchReason.CERTIFICATE}:
        own = sum(is_below(host, organizational_domain) for host in asked)
        yield finding(Record.HOSTS, "hosts_ok", count=len(asked), own=own)


def problems_of(hosts: Collection[str], policy: FetchPolicy) -> dict[str, FetchReason | None]:
    """What is wrong with each host, asked over https at the same time; None if it answered anything."""
    with ThreadPoolExecutor(THREADS, thread_name_prefix="hosts") as threads:
        return dict(zip(hosts, threads.map(lambda host: problem_of(host, policy), hosts), strict=True))


def problem_of(host: str, policy: FetchPolicy) -> FetchReason | None:
    """What is wrong with a host over https; a redirect is an answer."""
    try:
        fetch(f"https://{host}/", policy, method="HEAD", limits=LIMITS, with_body=False)
    except FetchError as error:
        return None if error.reason is FetchReason.TOO_MANY_REDIRECTS else error.reason
    return None


def _named(hosts: list[str]) -> str:
    return ", ".join(hosts[:NAMED]) + (" …" if len(hosts) > NAMED else "")


def check_unsubscribe_host(host: str, organizational_domain: str, policy: FetchPolicy) -> Iterator[DnsFinding]:
    """The finding about the host of the site, which is that of List-Unsubscribe."""
    values = {"host": host, "domain": organizational_domain}
    if is_loopback(host):
        yield finding(Record.UNSUBSCRIBE, "unsubscribe_local", **values)
        return
    problem = problem_of(host, policy)
    codes = {FetchReason.HOST_NOT_FOUND: "unsubscribe_missing", FetchReason.CERTIFICATE: "unsubscribe_certificate"}
    if problem in codes:
        yield finding(Record.UNSUBSCRIBE, codes[problem], **values)
    elif problem is not None:
        yield finding(Record.UNSUBSCRIBE, "unsubscribe_unreachable", reason=problem.value.replace("_", " "), **values)
    elif not is_below(host, organizational_domain):
        yield finding(Record.UNSUBSCRIBE, "unsubscribe_elsewhere", **values)
    else:
        yield finding(Record.UNSUBSCRIBE, "unsubscribe_ok", **values)
