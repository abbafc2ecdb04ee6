"""Feeds for tests."""

from __future__ import annotations

import datetime
from collections.abc import Iterable
from typing import Any

from django.utils import timezone

from newsletter.content.links import link_sha256, saved_link_sha256
from newsletter.models import Feed, SavedLink, Sighting
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


def make_links(*numbers: int, feed: Feed | None = None, **fields: Any) -> list[SavedLink]:
    """Links that a feed listed, the newest last."""
    feed = feed or Feed.objects.create(newsletter=make_newsletter(), url="https://quay.example/feed", section="News")
    return [save_link(f"https://quay.example/{number}", number, feed, **fields) for number in numbers]


def save_link(url: str, number: int, feed: Feed, **fields: Any) -> SavedLink:
    """One of them."""
    link = SavedLink.objects.create(
        **{
            "feed": feed,
            "newsletter": feed.newsletter,
            "link_sha256": saved_link_sha256(url),
            "page_sha256": link_sha256(url),
            "title": f"Quay {number}",
            "url": url,
            "source": "Harbour Daily",
            "summary": f"Crane {number} lifts.",
            "expires_at": timezone.now() + datetime.timedelta(days=60),
        }
        | fields
    )
    Sighting.objects.create(link=link, feed=feed)
    return link
