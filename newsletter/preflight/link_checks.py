"""Looking at links: who asks, what is known, and the step that looks.

request_link_checks ─► rows that wait ─► check_next_links (a worker's errand) ─► LinkCheck ─► looks_at ─► Inspection

An address is looked at once for all issues that name it, and again when the last look is a day old. At most one
request at a time goes to the same host.
"""

from __future__ import annotations

import datetime
import hashlib
import logging
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

from django.db.models import Q
from django.utils import timezone

from newsletter.content.document import IssueContent
from newsletter.models import LinkCheck, LinkState
from newsletter.outbound import Fetched, FetchError, FetchPolicy, Limits, fetch, site_fetch_policy
from newsletter.preflight.findings import LinkHop, LinkLook
from newsletter.preflight.links import is_web_link
from newsletter.preflight.places import placed_links

log = logging.getLogger(__name__)

#: Links that one turn looks at, side by side.
LINKS_PER_TURN = 8
#: Waiting links among which a turn looks for as many different hosts.
CANDIDATES = 1_000
FRESH_FOR = datetime.timedelta(days=1)
#: Longer than a look can take: three requests of five seconds, and those for https.
CLAIMED_FOR = datetime.timedelta(minutes=2)
#: Most of a page that is compared with its other spelling.
COMPARED = Limits(bytes=2_000_000)
LONGEST_REASON = 300


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What a look at one address found, as it is stored."""

    status: int | None = None
    final_url: str = ""
    hops: tuple[tuple[str, int], ...] = ()
    reason: str = ""
    has_https: bool | None = None

    def as_columns(self) -> dict[str, Any]:
        """The columns of LinkCheck that hold it."""
        return {
            "status": self.status,
            "final_url": self.final_url,
            "hops": [{"url": url, "status": status} for url, status in self.hops],
            "reason": self.reason[:LONGEST_REASON],
            "has_https": self.has_https,
        }


@dataclass(slots=True)
class _Claim:
    """Links that this turn may look at, one of each host."""

    checks: list[LinkCheck] = field(default_factory=list)
    is_last: bool = True


def request_link_checks(content: IssueContent, *, anew: bool = False) -> int:
    """Have every address of `content` looked at that was not within a day (`anew`: all); how many wait now.

    Asking twice is as good as asking once.
    """
    hashes = _hashes_of(content)
    now = timezone.now()
    LinkCheck.objects.bulk_create(
        (LinkCheck(url=url, url_sha256=digest, requested_at=now) for digest, url in hashes.items()),
        ignore_conflicts=True,
    )
    old = Q() if anew else Q(checked_at__lt=now - FRESH_FOR)
    known = LinkCheck.objects.filter(url_sha256__in=hashes)
    known.filter(old, state=LinkState.CHECKED).update(state=LinkState.WAITING, requested_at=now, claimed_until=None)
    return known.filter(state=LinkState.WAITING).count()


def looks_at(content: IssueContent) -> Mapping[str, LinkLook]:
    """What is known of the addresses of `content`; those that wait are left out."""
    checks = LinkCheck.objects.filter(url_sha256__in=_hashes_of(content), state=LinkState.CHECKED)
    return {
        check.url: LinkLook(
            status=check.status,
            final_url=check.final_url,
            hops=tuple(LinkHop(hop["url"], hop["status"]) for hop in check.hops),
            reason=check.reason,
            has_https=check.has_https,
        )
        for check in checks
    }


def check_next_links() -> bool:
    """Look at some of the links that wait; whether there are more. A step for a worker's errands.

    A row is claimed by conditional update, so that two workers never look at the same link, and written when its
    answer is there. Nothing is locked while the network is waited for; who is killed leaves a claim that runs out.
    """
    claim = _claim(timezone.now())
    if not claim.checks:
        return False
    visitor = site_fetch_policy()
    with ThreadPoolExecutor(max_workers=LINKS_PER_TURN, thread_name_prefix="links") as pool:
        answers = pool.map(lambda check: look_at_link(check.url, visitor), claim.checks)
        for check, answer in zip(claim.checks, answers, strict=True):
            _store(check, answer)
    return not claim.is_last


def look_at_link(url: str, visitor: FetchPolicy) -> Answer:
    """What the address answers. Never raises: no answer is an answer too, and one odd link must not stop the others."""
    try:
        return _look(url, visitor)
    except FetchError as error:
        return Answer(reason=str(error), hops=tuple((hop.url, hop.status) for hop in error.hops))
    except Exception:
        log.exception("the link %s could not be looked at", url)
        return Answer(reason="Looking at it failed here; the log says why.")


def _look(url: str, visitor: FetchPolicy) -> Answer:
    answer = _ask(url, visitor)
    has_https = _answers_alike(url, answer, visitor) if _is_plain_http(url) else None
    return Answer(
        status=answer.status,
        final_url=answer.url,
        hops=tuple((hop.url, hop.status) for hop in answer.hops),
        has_https=has_https,
    )


def _ask(url: str, visitor: FetchPolicy) -> Fetched:
    """HEAD, which costs the other side little; GET where HEAD is not answered well, as many servers do not."""
    try:
        answer = fetch(url, visitor, method="HEAD")
    except FetchError as error:
        if error.permanent:
            raise
        return fetch(url, visitor, with_body=False)
    return answer if answer.status < 400 else fetch(url, visitor, with_body=False)


def _is_plain_http(url: str) -> bool:
    return url.lower().startswith("http://")


def _answers_alike(url: str, answer: Fetched, visitor: FetchPolicy) -> bool:
    """Whether https gives the same page: the site leads there by itself, or both give the same bytes."""
    secure = f"https://{url[len('http://') :]}"
    if answer.status >= 400:
        return False
    if answer.url == secure:
        return True
    try:
        plain = fetch(url, visitor, limits=COMPARED)
        other = fetch(secure, visitor, limits=COMPARED)
    except FetchError:
        return False
    return (plain.status, plain.content_type, plain.body) == (other.status, other.content_type, other.body)


def _claim(now: datetime.datetime) -> _Claim:
    """Take the links that have waited longest, one of each host, of hosts that nobody is asking now."""
    waiting = LinkCheck.objects.filter(state=LinkState.WAITING)
    busy = {_host(url) for url in waiting.filter(claimed_until__gt=now).values_list("url", flat=True)}
    free = Q(claimed_until__isnull=True) | Q(claimed_until__lte=now)
    candidates = list(waiting.filter(free).order_by("requested_at", "pk").only("url")[:CANDIDATES])
    claim = _Claim()
    for check in candidates:
        host = _host(check.url)
        if host in busy or len(claim.checks) == LINKS_PER_TURN:
            continue
        busy.add(host)
        # Another worker may have taken it since it was read; then this touches no row.
        if waiting.filter(free, pk=check.pk).update(claimed_until=now + CLAIMED_FOR):
            claim.checks.append(check)
    claim.is_last = len(candidates) <= len(claim.checks)
    return claim


def _store(check: LinkCheck, answer: Answer) -> None:
    LinkCheck.objects.filter(pk=check.pk).update(
        state=LinkState.CHECKED, checked_at=timezone.now(), claimed_until=None, **answer.as_columns()
    )


def _hashes_of(content: IssueContent) -> dict[str, str]:
    """The addresses of `content` that can be looked at, by the hash under which they are stored."""
    urls = {link.url for link in placed_links(content) if is_web_link(link.url)}
    return {_sha256(url): url for url in urls}


def _sha256(url: str) -> str:
    return hashlib.sha256(url.encode("utf-8", "surrogatepass")).hexdigest()


def _host(url: str) -> str:
    return (urlsplit(url).hostname or "").lower()
