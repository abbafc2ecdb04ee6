"""Looking at feeds: the step of the worker that takes one feed that is due and keeps what is new in it.

A feed is claimed by moving its next look ahead, so that of several workers one looks; if that one dies, another looks
when the claim has run out. Nothing is fetched inside a transaction.
"""

from __future__ import annotations

import datetime
import http
import logging
from dataclasses import dataclass

from django.db import transaction
from django.db.models import QuerySet
from django.utils import timezone

from newsletter.content.feeds import FEED_TYPES, FeedEntry, FeedError, FeedReading
from newsletter.content.link_key import link_sha256
from newsletter.gathering.reading import read_strangers_feed
from newsletter.models import Feed, FeedItem, Newsletter
from newsletter.outbound import Fetched, FetchError, fetch, site_fetch_policy

log = logging.getLogger(__name__)

#: Between two looks; after failures it doubles with each, up to a day.
INTERVAL, LONGEST_INTERVAL = datetime.timedelta(minutes=30), datetime.timedelta(days=1)
#: After this another worker may look at a claimed feed. A look takes seconds.
CLAIM = datetime.timedelta(minutes=5)


@dataclass(frozen=True, slots=True)
class _News:
    """What a look at a feed found: nothing new (`reading` is None), or its entries."""

    answer: Fetched
    reading: FeedReading | None


def poll_next_feed() -> bool:
    """Look at one feed that is due, and keep its new items; whether there was one.

    What goes wrong is kept as the feed's `problem`, a sentence for the editor, and tried again later, less and less
    often.
    """
    feed = _claim_due_feed()
    if feed is None:
        return False
    try:
        news = _look_at(feed)
    except (FetchError, FeedError) as error:
        _keep_problem(feed, str(error))
    else:
        _keep_news(feed, news)
    return True


def look_now(newsletter: Newsletter) -> int:
    """Make the newsletter's feeds due, so that the worker looks at them within seconds; how many there are."""
    return Feed.objects.filter(newsletter=newsletter, is_active=True).update(next_poll_at=timezone.now())


def _claim_due_feed() -> Feed | None:
    """A feed whose time has come, its next look moved ahead; None if none is due or another worker was faster."""
    now = timezone.now()
    feed = Feed.objects.filter(is_active=True, next_poll_at__lte=now).order_by("next_poll_at").first()
    if feed is None:
        return None
    claimed_until = now + CLAIM
    claimed = Feed.objects.filter(pk=feed.pk, is_active=True, next_poll_at=feed.next_poll_at)
    if not claimed.update(next_poll_at=claimed_until):
        return None
    feed.next_poll_at = claimed_until
    return feed


def _look_at(feed: Feed) -> _News:
    answer = fetch(feed.url, site_fetch_policy(), accept=FEED_TYPES, etag=feed.etag, last_modified=feed.last_modified)
    if answer.status == http.HTTPStatus.NOT_MODIFIED:
        return _News(answer, None)
    if answer.status != http.HTTPStatus.OK:
        raise FeedError(_status_sentence(answer.status))
    return _News(answer, read_strangers_feed(answer.body, answer.url, charset=answer.charset))


def _status_sentence(status: int) -> str:
    if status in (http.HTTPStatus.NOT_FOUND, http.HTTPStatus.GONE):
        return f"There is no feed at this address any more (status {status}). Look for the new one at the publisher."
    if status in (http.HTTPStatus.UNAUTHORIZED, http.HTTPStatus.FORBIDDEN):
        return f"The publisher lets nobody read this feed without signing in (status {status})."
    return f"The publisher's server answered with status {status} instead of the feed."


def _keep_problem(feed: Feed, sentence: str) -> None:
    failures = feed.failures + 1
    rest = min(LONGEST_INTERVAL, INTERVAL * 2 ** min(failures, 10))
    now = timezone.now()
    _still_claimed(feed).update(
        failures=min(failures, 1_000), problem=sentence[:300], polled_at=now, next_poll_at=now + rest
    )
    log.info("feed %s could not be read, for the %s. time: %s", feed.url, failures, sentence)


def _keep_news(feed: Feed, news: _News) -> None:
    now = timezone.now()
    changes: dict[str, object] = {"failures": 0, "problem": "", "polled_at": now, "next_poll_at": now + INTERVAL}
    if news.reading is not None:
        changes |= {
            "title": news.reading.title,
            "etag": _that_fits(news.answer.headers.get("etag", ""), 300),
            "last_modified": _that_fits(news.answer.headers.get("last-modified", ""), 100),
        }
    with transaction.atomic():
        # Whoever changed the address or asked for another look meanwhile gets that look; this one is dropped.
        if _still_claimed(feed).update(**changes) and news.reading is not None:
            _keep_items(feed, news.reading)


def _still_claimed(feed: Feed) -> QuerySet[Feed]:
    return Feed.objects.filter(pk=feed.pk, url=feed.url, next_poll_at=feed.next_poll_at)


def _that_fits(value: str, longest: int) -> str:
    """A validator goes back exactly as it came or not at all."""
    return value if len(value) <= longest and value.isprintable() else ""


def _keep_items(feed: Feed, reading: FeedReading) -> None:
    """Store the entries that are new: neither their link nor, in this feed, their own name is known (R-156)."""
    guids = [entry.guid for entry in reading.items if entry.guid]
    known = set(FeedItem.objects.filter(feed=feed, guid__in=guids).values_list("guid", flat=True))
    items = [_item(feed, entry) for entry in reading.items if entry.guid not in known]
    FeedItem.objects.bulk_create(items, ignore_conflicts=True)


def _item(feed: Feed, entry: FeedEntry) -> FeedItem:
    return FeedItem(
        feed=feed,
        newsletter_id=feed.newsletter_id,
        link_sha256=link_sha256(entry.url),
        guid=entry.guid,
        title=entry.title,
        url=entry.url,
        source=feed.source or entry.source,
        summary=entry.summary,
        published_at=entry.published,
    )
