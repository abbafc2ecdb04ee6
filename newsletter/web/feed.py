"""The Atom feed: every issue whole."""

from __future__ import annotations

import datetime
import functools
import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404
from django.template.loader import render_to_string
from django.urls import reverse
from django.utils.feedgenerator import Atom1Feed
from django.utils.html import escape
from django.utils.xmlutils import SimplerXMLGenerator

from newsletter.models import Newsletter
from newsletter.rendering.context import IssueView
from newsletter.web.archive import PublicIssue, changed_at, published_issues, read_issues
from newsletter.web.public_page import dated, public_page

ISSUES = 10
BEFORE_THE_FIRST = datetime.datetime(1970, 1, 1, tzinfo=datetime.UTC)
"""Atom asks for a date even where nothing has happened; a fixed one keeps an empty feed the same at each request."""

_NOT_IN_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One issue of a feed. `summary` is plain text, `html` is safe; both may hold any character."""

    id: str
    title: str
    url: str
    published: datetime.datetime
    summary: str
    categories: tuple[str, ...]
    html: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Feed:
    """A newsletter as a feed."""

    id: str
    title: str
    subtitle: str
    url: str
    feed_url: str
    language: str
    author: str
    entries: tuple[Entry, ...]


@public_page
def atom_feed(request: HttpRequest, newsletter: str) -> HttpResponse:
    """The latest issues, whole, as Atom 1.0 (RFC 4287)."""
    publication = get_object_or_404(Newsletter, slug=newsletter)
    issues = read_issues(publication, published_issues(publication)[:ISSUES])
    body = write_atom(_feed_of(publication, issues))
    response = HttpResponse(body, content_type="application/atom+xml; charset=utf-8")
    return dated(response, changed_at(publication))


def write_atom(feed: Feed) -> bytes:
    """The feed as well-formed XML, whatever characters it holds; the same bytes for the same feed."""
    writer = _WholeIssues(
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
            description=escape(_xml_text(entry.summary)),  # Atom1Feed calls it HTML
            unique_id=entry.id,
            pubdate=entry.published,
            updateddate=entry.published,  # what was sent is not changed afterwards
            categories=[_xml_text(category) for category in entry.categories],
            content=_xml_text(entry.html),
        )
    return writer.writeString("utf-8").encode()


class _WholeIssues(Atom1Feed):
    """Django's Atom writer, with the whole text of each item and a date that does not follow the clock."""

    def add_item_elements(self, handler: SimplerXMLGenerator, item: dict[str, Any]) -> None:
        super().add_item_elements(handler, item)
        handler.addQuickElement("content", item["content"], {"type": "html"})

    def latest_post_date(self) -> datetime.datetime:
        return max((item["updateddate"] for item in self.items), default=BEFORE_THE_FIRST)


def _feed_of(newsletter: Newsletter, issues: Iterable[PublicIssue]) -> Feed:
    return Feed(
        id=f"tag:{settings.SITE_HOST},2026:newsletter/{newsletter.pk}",
        title=newsletter.name,
        subtitle=newsletter.description,
        url=newsletter.web_url,
        feed_url=f"{settings.SITE_URL}{reverse('feed', args=[newsletter.slug])}",
        language=newsletter.language,
        author=newsletter.sender_name or newsletter.name,
        entries=tuple(_entry_of(issue) for issue in issues),
    )


def _entry_of(issue: PublicIssue) -> Entry:
    return Entry(
        id=f"tag:{settings.SITE_HOST},{issue.published_at:%Y-%m-%d}:issue/{issue.pk}",
        title=issue.view.title,
        url=issue.url,
        published=issue.published_at,
        summary=issue.view.preheader,
        categories=issue.view.categories,
        html=_whole_text(issue.view),
    )


@functools.lru_cache(maxsize=4 * ISSUES)
def _whole_text(view: IssueView) -> str:
    return render_to_string("newsletter/feed_entry.html", {"issue": view})


def _xml_text(text: str) -> str:
    """The text without what XML 1.0 cannot hold, not even escaped (R-168)."""
    return _NOT_IN_XML.sub("", text)
