"""Polls feeds: the background step that fetches one due feed and stores its new entries as saved links.

A worker claims a feed by moving its next poll ahead, so that only one of several workers fetches it. The claim of a
killed worker expires. No transaction is open during the fetch.
"""

from __future__ import annotations

import datetime
import http
import logging
from dataclasses import dataclass

from django.db import transaction
from django.db.models import QuerySet
from django.utils import timezone

from newsletter.content.feeds import FEED_TYPES, FeedError, ParsedFeed
from newsletter.gathering.problems import FeedProblem, problem_of, problem_of_status
from newsletter.gathering.reading import read_untrusted_feed
from newsletter.gathering.saving import save_entries
from newsletter.models import Feed, Newsletter
from newsletter.outbound import Fetched, FetchError, fetch, site_fetch_policy

log = logging.getLogger(__name__)

#: The time between two polls. It doubles with each failure, up to a day.
INTERVAL, LONGEST_INTERVAL = datetime.timedelta(minutes=30), datetime.timedelta(days=1)
#: Another worker may poll a claimed feed after this time. A poll takes seconds.
CLAIM_EXPIRES_AFTER = datetime.timedelta(minutes=5)


@dataclass(frozen=True, slots=True)
class _FetchedFeed:
    """The response of a feed, and its entries; `reading` is None if the feed is not modified."""

    response: Fetched
    reading: ParsedFeed | None


def poll_next_feed() -> bool:
    """Poll one due feed and store its new links; whether there was a due feed. A background step.

    A failure is stored as the `problem` of the feed, and retried with growing intervals.
    """
    feed = _claim_due_feed()
    if feed is None:
        return False
    try:
        fetched = _fetch_feed(feed)
    except (FetchError, FeedError) as error:
        _store_problem(feed, problem_of(error))
    else:
        if isinstance(fetched, FeedProblem):
            _store_problem(feed, fetched)
        else:
            _store_feed(feed, fetched)
    return True


def poll_now(newsletter: Newsletter) -> int:
    """Make the newsletter's feeds due, so that the worker polls them within seconds; the number of feeds."""
    return Feed.objects.filter(newsletter=newsletter, is_active=True).update(next_poll_at=timezone.now())


def _claim_due_feed() -> Feed | None:
    """A due feed with its next poll moved ahead; None if no feed is due, or another worker claimed it first."""
    now = timezone.now()
    due = Feed.objects.filter(is_active=True, next_poll_at__lte=now)
    feed = due.select_related("newsletter").order_by("next_poll_at").first()
    if feed is None:
        return None
    claimed_until = now + CLAIM_EXPIRES_AFTER
    claimed = Feed.objects.filter(pk=feed.pk, is_active=True, next_poll_at=feed.next_poll_at)
    if not claimed.update(next_poll_at=claimed_until):
        return None
    feed.next_poll_at = claimed_until
    return feed


def _fetch_feed(feed: Feed) -> _FetchedFeed | FeedProblem:
    response = fetch(feed.url, site_fetch_policy(), accept=FEED_TYPES, etag=feed.etag, last_modified=feed.last_modified)
    if response.status == http.HTTPStatus.NOT_MODIFIED:
        return _FetchedFeed(response, None)
    if response.status != http.HTTPStatus.OK:
        return problem_of_status(response.status)
    return _FetchedFeed(response, read_untrusted_feed(response.body, response.url, charset=response.charset))


def _store_problem(feed: Feed, problem: FeedProblem) -> None:
    failures = feed.failures + 1
    delay = min(LONGEST_INTERVAL, INTERVAL * 2 ** min(failures, 10))
    now = timezone.now()
    _still_claimed(feed).update(
        failures=min(failures, 1_000),
        problem=problem.code,
        problem_detail=problem.detail,
        polled_at=now,
        next_poll_at=now + delay,
    )
    log.info("Feed %s failed (%s), consecutive failures: %s.", feed.url, problem.code, failures)


def _store_feed(feed: Feed, fetched: _FetchedFeed) -> None:
    now = timezone.now()
    changes: dict[str, object] = {"failures": 0, "problem": "", "problem_detail": {}}
    changes |= {"polled_at": now, "next_poll_at": now + INTERVAL}
    if fetched.reading is not None:
        headers = fetched.response.headers
        changes |= {
            "title": fetched.reading.title,
            "without_link": fetched.reading.without_link,
            "etag": _validator(headers.get("etag", ""), 300),
            "last_modified": _validator(headers.get("last-modified", ""), 100),
        }
    with transaction.atomic():
        # If the address was changed or another poll was requested meanwhile, this result is dropped.
        if _still_claimed(feed).update(**changes):
            new_links = save_entries(feed, fetched.reading.items) if fetched.reading is not None else 0
            Feed.objects.filter(pk=feed.pk).update(new_links=new_links)


def _still_claimed(feed: Feed) -> QuerySet[Feed]:
    return Feed.objects.filter(pk=feed.pk, url=feed.url, next_poll_at=feed.next_poll_at)


def _validator(value: str, longest: int) -> str:
    """The value if it can be stored; else empty, since a validator must be returned unchanged."""
    return value if len(value) <= longest and value.isprintable() else ""
