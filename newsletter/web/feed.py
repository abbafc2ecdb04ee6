"""The Atom feed with the full text of the latest issues."""

from __future__ import annotations

import datetime
import functools
import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.template.loader import render_to_string
from django.urls import reverse
from django.utils.feedgenerator import Atom1Feed
from django.utils.html import escape
from django.utils.translation import get_language
from django.utils.xmlutils import SimplerXMLGenerator

from newsletter.models import Newsletter
from newsletter.rendering.context import IssueView
from newsletter.web.archive import PublicIssue, changed_at, published_issues, read_issues
from newsletter.web.public_page import newsletter_page, public_page, with_last_modified

MAX_ENTRIES = 10
#: Atom requires a date even for an empty feed; a fixed one keeps it the same at each request.
DATE_OF_EMPTY_FEED = datetime.datetime(1970, 1, 1, tzinfo=datetime.UTC)

_NOT_IN_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


@dataclass(frozen=True, slots=True, kw_only=True)
class FeedEntry:
    """One issue of a feed. `summary` is plain text, `html` is safe HTML; both may hold any character."""

    id: str
    title: str
    url: str
    published: datetime.datetime
    updated: datetime.datetime
    summary: str
    categories: tuple[str, ...]
    html: str


@dataclass(frozen=True, slots=True, kw_only=True)
class AtomFeed:
    """A newsletter as a feed. `language` is that of the issues."""

    id: str
    title: str
    subtitle: str
    url: str
    feed_url: str
    language: str
    author: str
    entries: tuple[FeedEntry, ...]


@public_page
@newsletter_page
def atom_feed(request: HttpRequest, newsletter: Newsletter) -> HttpResponse:
    """The latest issues with their full text as Atom 1.0 (RFC 4287)."""
    issues = read_issues(newsletter, published_issues(newsletter)[:MAX_ENTRIES])
    body = write_atom(_feed_of(newsletter, issues))
    response = HttpResponse(body, content_type="application/atom+xml; charset=utf-8")
    return with_last_modified(response, changed_at(newsletter))


def write_atom(feed: AtomFeed) -> bytes:
    """The feed as well-formed XML, for any characters in it; the same bytes for the same feed."""
    writer = _FullTextFeed(
        title=_xml_text(feed.title),
        link=feed.url,
        description="",
        subtitle=_xml_text(feed.subtitle),
        language=feed.language,
        author_name=_xml_text(feed.author),
        feed_url=feed.feed_url,
        feed_guid=feed.id,
    )
    for entry in feed.entries:
        writer.add_item(
            title=_xml_text(entry.title),
            link=entry.url,
            description=escape(_xml_text(entry.summary)),  # Atom1Feed declares it as HTML
            unique_id=entry.id,
            pubdate=entry.published,
            updateddate=entry.updated,
            categories=[_xml_text(category) for category in entry.categories],
            content=_xml_text(entry.html),
        )
    return writer.writeString("utf-8").encode()


class _FullTextFeed(Atom1Feed):
    """Django's Atom writer with the full text of each item, and without the current time."""

    def add_item_elements(self, handler: SimplerXMLGenerator, item: dict[str, Any]) -> None:
        super().add_item_elements(handler, item)
        handler.addQuickElement("content", item["content"], {"type": "html"})

    def latest_post_date(self) -> datetime.datetime:
        return max((item["updateddate"] for item in self.items), default=DATE_OF_EMPTY_FEED)


def _feed_of(newsletter: Newsletter, issues: Iterable[PublicIssue]) -> AtomFeed:
    return AtomFeed(
        id=f"tag:{settings.SITE_HOST},2026:newsletter/{newsletter.pk}",
        title=newsletter.name,
        subtitle=newsletter.description,
        url=newsletter.web_url,
        feed_url=f"{settings.SITE_URL}{reverse('feed', args=[newsletter.slug])}",
        language=newsletter.language,
        author=newsletter.sender_name or newsletter.name,
        entries=tuple(_entry_of(issue) for issue in issues),
    )


def _entry_of(issue: PublicIssue) -> FeedEntry:
    return FeedEntry(
        id=f"tag:{settings.SITE_HOST},{issue.published_at:%Y-%m-%d}:issue/{issue.pk}",
        title=issue.view.title,
        url=issue.url,
        published=issue.published_at,
        updated=issue.updated_at,
        summary=issue.view.preheader,
        categories=issue.view.categories,
        html=_full_text(issue.view, get_language() or settings.LANGUAGE_CODE),
    )


@functools.lru_cache(maxsize=4 * MAX_ENTRIES)
def _full_text(view: IssueView, language: str) -> str:
    # `language` is the active one: the template has words of its own, so it is part of the key.
    return render_to_string("newsletter/feed_entry.html", {"issue": view})


def _xml_text(text: str) -> str:
    """The text without the characters that XML 1.0 §2.2 does not allow, not even escaped."""
    return _NOT_IN_XML.sub("", text)
