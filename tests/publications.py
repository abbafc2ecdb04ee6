"""What is published in tests: the Harbour Log, and issues of it in the state a story needs."""

from __future__ import annotations

import datetime
from dataclasses import replace
from typing import Any

from newsletter.content.document import IssueContent, SectionContent, StoryContent
from newsletter.content.store import save_content
from newsletter.models import Issue, Newsletter

CRANE = StoryContent(
    title="The crane that learned to wait",
    url="https://gazette.example/crane",
    source="Harbour Gazette",
    body="It stands still in gusts now, and *nobody* misses the noise.",
)
GAUGE = StoryContent(
    title="One gauge, two tides", url="https://mast.example/gauge", source="Mast", body="The old one was upside down."
)
HARBOUR_LOG_41 = IssueContent(
    title="The Harbour Log — 2026-06-30",
    slug="harbour-log-41",
    date=datetime.date(2026, 6, 30),
    subject="A crane that waits, and a gauge that lies",
    preheader="Two stories from the waterfront",
    categories=("News", "Tech"),
    sections=(
        SectionContent(title="Signal of the week", body="Ports are getting *quieter*."),
        SectionContent(title="Deep dives", stories=(CRANE, GAUGE)),
    ),
)


def make_newsletter(slug: str = "harbour-log", **fields: Any) -> Newsletter:
    """A newsletter that lacks nothing that sending asks for; made once per slug."""
    defaults = {
        "name": "The Harbour Log",
        "description": "Thirty-one stories from the waterfront, every week.",
        "sender_name": "The Harbour Log",
        "sender_email": "log@mail.example.org",
        "reply_to": "editors@example.org",
        "postal_address": "The Harbour Log, 4 Quay Street, 20457 Hamburg, Germany",
        "known_sources": "Harbour Gazette\nMast",
    }
    newsletter, _ = Newsletter.objects.get_or_create(slug=slug, defaults=defaults | fields)
    return newsletter


def make_draft(content: IssueContent = HARBOUR_LOG_41, newsletter: Newsletter | None = None, **changes: Any) -> Issue:
    """A draft with this content; `changes` replace fields of the content."""
    content = replace(content, **changes)
    issue = Issue.objects.create(
        newsletter=newsletter or make_newsletter(), title=content.title, slug=content.slug, date=content.date
    )
    save_content(issue, content, by="tests")
    return issue
