"""Checks of links over the network: requests, results, and the background step that makes them.

request_link_checks ─► waiting rows ─► check_next_links (background step) ─► LinkCheck ─► link_statuses ─► Inspection

An address is checked once for all issues that contain it, and again when its result is a day old. There is at most one
request at a time to a host.
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

from newsletter.config.translatable import translatable
from newsletter.content.document import IssueContent
from newsletter.models import LinkCheck, LinkState
from newsletter.outbound import Fetched, FetchError, FetchPolicy, Limits, fetch, fetch_message, site_fetch_policy
from newsletter.preflight.findings import LinkHop, LinkStatus
from newsletter.preflight.links import is_web_link
from newsletter.preflight.places import placed_links

log = logging.getLogger(__name__)

#: Links that one run of the step checks in parallel.
LINKS_PER_STEP = 8
#: Waiting links that one run searches for links of different hosts.
CANDIDATES = 1_000
FRESH_FOR = datetime.timedelta(days=1)
#: Longer than a check can take: three requests of five seconds each, and those for https.
CLAIM_EXPIRES_AFTER = datetime.timedelta(minutes=2)
#: How much of a page is compared with its https version.
COMPARED = Limits(bytes=2_000_000)
#: The reason code of a check that failed because of an error in this system.
INTERNAL_ERROR = "internal_error"


@dataclass(frozen=True, slots=True, kw_only=True)
class LinkResult:
    """The result of one check, as it is stored. `reason` is a FetchReason or INTERNAL_ERROR if there is no status."""

    status: int | None = None
    final_url: str = ""
    hops: tuple[tuple[str, int], ...] = ()
    reason: str = ""
    reason_detail: Mapping[str, Any] = field(default_factory=dict)
    has_https: bool | None = None

    def as_columns(self) -> dict[str, Any]:
        """The columns of LinkCheck."""
        return {
            "status": self.status,
            "final_url": self.final_url,
            "hops": [{"url": url, "status": status} for url, status in self.hops],
            "reason": self.reason,
            "reason_detail": dict(self.reason_detail),
            "has_https": self.has_https,
        }


@dataclass(slots=True)
class _Claim:
    """The links that this run may check, one of each host."""

    checks: list[LinkCheck] = field(default_factory=list)
    is_last: bool = True


def request_link_checks(content: IssueContent, *, force: bool = False) -> int:
    """Queue every address in `content` without a result from the last day (`force`: all); the number that wait.

    Idempotent.
    """
    hashes = _hashes_of(content)
    now = timezone.now()
    LinkCheck.objects.bulk_create(
        (LinkCheck(url=url, url_sha256=url_sha256, requested_at=now) for url_sha256, url in hashes.items()),
        ignore_conflicts=True,
    )
    old = Q() if force else Q(checked_at__lt=now - FRESH_FOR)
    known = LinkCheck.objects.filter(url_sha256__in=hashes)
    known.filter(old, state=LinkState.CHECKED).update(state=LinkState.WAITING, requested_at=now, claimed_until=None)
    return known.filter(state=LinkState.WAITING).count()


@dataclass(frozen=True, slots=True)
class LinkProgress:
    """How many addresses of an issue wait for a result, of how many."""

    waiting: int
    total: int

    @property
    def answered(self) -> int:
        """How many have a result."""
        return self.total - self.waiting


def link_progress(content: IssueContent) -> LinkProgress:
    """How far the check of the addresses in `content` is; what was never requested does not wait."""
    hashes = _hashes_of(content)
    waiting = LinkCheck.objects.filter(url_sha256__in=hashes, state=LinkState.WAITING).count()
    return LinkProgress(waiting, len(hashes))


def link_statuses(content: IssueContent) -> Mapping[str, LinkStatus]:
    """The results for the addresses in `content`, without those that wait."""
    checks = LinkCheck.objects.filter(url_sha256__in=_hashes_of(content), state=LinkState.CHECKED)
    return {
        check.url: LinkStatus(
            status=check.status,
            final_url=check.final_url,
            hops=tuple(LinkHop(hop["url"], hop["status"]) for hop in check.hops),
            reason=_reason_message(check.reason, check.reason_detail),
            has_https=check.has_https,
        )
        for check in checks
    }


def _reason_message(reason: str, detail: Mapping[str, Any]) -> str:
    if reason == INTERNAL_ERROR:
        return translatable("The check failed because of an internal error, which is in the log.")
    return fetch_message(reason, detail)


def check_next_links() -> bool:
    """Check some of the waiting links; whether there are more. A background step.

    A row is claimed by a conditional update, so that two workers never check the same link, and updated when the
    result is known. No lock is held during requests; the claim of a killed worker expires.
    """
    claim = _claim(timezone.now())
    if not claim.checks:
        return False
    policy = site_fetch_policy()
    with ThreadPoolExecutor(max_workers=LINKS_PER_STEP, thread_name_prefix="links") as pool:
        results = pool.map(lambda check: check_link(check.url, policy), claim.checks)
        for check, result in zip(claim.checks, results, strict=True):
            _store(check, result)
    return not claim.is_last


def check_link(url: str, policy: FetchPolicy) -> LinkResult:
    """Request the address. Never raises: one link must not stop the checks of the others."""
    try:
        return _check(url, policy)
    except FetchError as error:
        return LinkResult(
            reason=error.reason, reason_detail=error.detail, hops=tuple((hop.url, hop.status) for hop in error.hops)
        )
    except Exception:
        log.exception("The link %s could not be checked.", url)
        return LinkResult(reason=INTERNAL_ERROR)


def _check(url: str, policy: FetchPolicy) -> LinkResult:
    response = _request(url, policy)
    has_https = _is_same_with_https(url, response, policy) if _is_plain_http(url) else None
    return LinkResult(
        status=response.status,
        final_url=response.url,
        hops=tuple((hop.url, hop.status) for hop in response.hops),
        has_https=has_https,
    )


def _request(url: str, policy: FetchPolicy) -> Fetched:
    """HEAD, which is cheap for the server; then GET if HEAD fails, since many servers do not support it."""
    try:
        response = fetch(url, policy, method="HEAD")
    except FetchError as error:
        if error.permanent:
            raise
        return fetch(url, policy, with_body=False)
    return response if response.status < 400 else fetch(url, policy, with_body=False)


def _is_plain_http(url: str) -> bool:
    return url.lower().startswith("http://")


def _is_same_with_https(url: str, response: Fetched, policy: FetchPolicy) -> bool:
    """Whether https returns the same page: the site redirects to it, or both return the same bytes."""
    secure_url = f"https://{url[len('http://') :]}"
    if response.status >= 400:
        return False
    if response.url == secure_url:
        return True
    try:
        plain = fetch(url, policy, limits=COMPARED)
        secure = fetch(secure_url, policy, limits=COMPARED)
    except FetchError:
        return False
    return (plain.status, plain.content_type, plain.body) == (secure.status, secure.content_type, secure.body)


def _claim(now: datetime.datetime) -> _Claim:
    """Claim the links that have waited longest, one of each host that no worker is requesting from."""
    waiting = LinkCheck.objects.filter(state=LinkState.WAITING)
    busy = {_host(url) for url in waiting.filter(claimed_until__gt=now).values_list("url", flat=True)}
    unclaimed = Q(claimed_until__isnull=True) | Q(claimed_until__lte=now)
    candidates = list(waiting.filter(unclaimed).order_by("requested_at", "pk").only("url")[:CANDIDATES])
    claim = _Claim()
    for check in candidates:
        host = _host(check.url)
        if host in busy or len(claim.checks) == LINKS_PER_STEP:
            continue
        busy.add(host)
        # The update changes no row if another worker has claimed the link since the query.
        if waiting.filter(unclaimed, pk=check.pk).update(claimed_until=now + CLAIM_EXPIRES_AFTER):
            claim.checks.append(check)
    claim.is_last = len(candidates) <= len(claim.checks)
    return claim


def _store(check: LinkCheck, result: LinkResult) -> None:
    LinkCheck.objects.filter(pk=check.pk).update(
        state=LinkState.CHECKED, checked_at=timezone.now(), claimed_until=None, **result.as_columns()
    )


def _hashes_of(content: IssueContent) -> dict[str, str]:
    """The addresses in `content` that can be checked, by the hash under which they are stored."""
    urls = {link.url for link in placed_links(content) if is_web_link(link.url)}
    return {_sha256(url): url for url in urls}


def _sha256(url: str) -> str:
    return hashlib.sha256(url.encode("utf-8", "surrogatepass")).hexdigest()


def _host(url: str) -> str:
    return (urlsplit(url).hostname or "").lower()
