"""Published issues, and pages as trees."""

from __future__ import annotations

import datetime
from typing import Any

from django.test import Client
from lxml import etree, html  # type: ignore[import-untyped]

from newsletter.models import Issue, Newsletter, SendState
from tests.publications import make_issue, start_sending

FIRST_DAY = datetime.date(2026, 3, 2)


def publish(slug: str = "issue-1", newsletter: Newsletter | None = None, *, week: int = 0, **changes: Any) -> Issue:
    """A sent issue, dated and published `week` weeks after FIRST_DAY."""
    day = FIRST_DAY + datetime.timedelta(weeks=week)
    issue = make_issue(slug, newsletter, **{"date": day, **changes})
    at = datetime.datetime.combine(day, datetime.time(6), tzinfo=datetime.UTC)
    start_sending(issue).move(SendState.SENT, by="tests", started_at=at, expanded_at=at, finished_at=at)
    return issue


def publish_weekly(count: int, newsletter: Newsletter | None = None) -> list[Issue]:
    """`count` sent issues; `week-1` is the oldest."""
    return [
        publish(f"week-{week}", newsletter, week=week, title=f"Week {week} at the quays")
        for week in range(1, count + 1)
    ]


def open_page(client: Client, path: str) -> Any:
    """The page at a path as a tree; the status must be 200."""
    response = client.get(path)
    assert response.status_code == 200, path
    return html_of(response.content)


def html_of(page: bytes) -> Any:
    """An HTML page as a tree."""
    return html.fromstring(page)


def words(tree: Any, path: str) -> list[str]:
    """The text of each element or attribute that an XPath finds, with whitespace collapsed."""
    found = tree.xpath(path)
    return [" ".join((item if isinstance(item, str) else item.text_content()).split()) for item in found]


def parse_xml(document: Any) -> Any:
    """The root of an XML document, which must be well-formed to the letter."""
    body = document if isinstance(document, bytes) else document.content
    return etree.fromstring(body, etree.XMLParser(recover=False, resolve_entities=False))
