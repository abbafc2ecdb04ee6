"""Issues that readers can see, and pages as trees."""

from __future__ import annotations

import datetime
from typing import Any

from django.test import Client
from lxml import etree, html  # type: ignore[import-untyped]

from newsletter.models import Issue, IssueStatus, Newsletter
from tests.publications import make_issue, start_sending

FIRST_DAY = datetime.date(2026, 3, 2)


def publish(slug: str = "issue-1", newsletter: Newsletter | None = None, *, week: int = 0, **changes: Any) -> Issue:
    """A sent issue, dated and published so many weeks after the first day."""
    day = FIRST_DAY + datetime.timedelta(weeks=week)
    issue = start_sending(make_issue(slug, newsletter, **{"date": day, **changes}))
    moment = datetime.datetime.combine(day, datetime.time(6), tzinfo=datetime.UTC)
    issue.move(IssueStatus.SENT, by="tests", started_at=moment, expanded_at=moment, finished_at=moment)
    return issue


def publish_weekly(count: int, newsletter: Newsletter | None = None) -> list[Issue]:
    """So many sent issues, `week-1` the oldest."""
    return [
        publish(f"week-{week}", newsletter, week=week, title=f"Week {week} at the quays")
        for week in range(1, count + 1)
    ]


def see(client: Client, path: str) -> Any:
    """The page at a path as a tree; it must be there."""
    response = client.get(path)
    assert response.status_code == 200, path
    return html_of(response.content)


def html_of(page: bytes) -> Any:
    """An HTML page as a tree."""
    return html.fromstring(page)


def words(tree: Any, path: str) -> list[str]:
    """The text of each element or attribute that an XPath finds, in single spaces."""
    found = tree.xpath(path)
    return [" ".join((item if isinstance(item, str) else item.text_content()).split()) for item in found]


def parse_xml(document: Any) -> Any:
    """The root of an XML document, which must be well-formed to the letter."""
    body = document if isinstance(document, bytes) else document.content
    return etree.fromstring(body, etree.XMLParser(recover=False, resolve_entities=False))
