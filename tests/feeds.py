"""Feeds for tests."""

from __future__ import annotations

from collections.abc import Iterable

from newsletter.content.links import link_sha256
from newsletter.models import Feed, FeedItem
from tests.publications import make_newsletter
from tests.publisher import Answer


def rss(numbers: Iterable[int], **headers: str) -> Answer:
    """An RSS feed with an entry for each number."""
    entries = "".join(
        f"<item><title>Quay {number}</title><link>https://quay.example/{number}?utm_source=rss</link>"
        f"<guid isPermaLink='false'>q-{number}</guid><description>Crane {number} lifts.</description></item>"
        for number in numbers
    )
    text = f'<rss version="2.0"><channel><title>Harbour Daily</title>{entries}</channel></rss>'
    return Answer(text.encode(), headers={"Content-Type": "application/rss+xml", **headers})


def make_items(*numbers: int, feed: Feed | None = None) -> list[FeedItem]:
    """Items of a feed, the newest last."""
    feed = feed or Feed.objects.create(newsletter=make_newsletter(), url="https://quay.example/feed", section="News")
    return [
        FeedItem.objects.create(
            feed=feed,
            newsletter=feed.newsletter,
            link_sha256=link_sha256(f"https://quay.example/{number}"),
            title=f"Quay {number}",
            url=f"https://quay.example/{number}",
            source="Harbour Daily",
            summary=f"Crane {number} lifts.",
        )
        for number in numbers
    ]
