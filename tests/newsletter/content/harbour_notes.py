"""An issue of Harbour Notes as content, and as a draft in the tables."""

from __future__ import annotations

import datetime
from dataclasses import replace
from typing import Any

from newsletter.content.document import IssueContent, SectionContent, StoryContent
from newsletter.content.store import save_content
from newsletter.models import Issue, Newsletter
from tests.publications import make_newsletter

CRANE = StoryContent(
    title="The crane that learned to wait",
    url="https://gazette.example/crane",
    source="Harbour Gazette",
    body="It stands still in gusts now, and *nobody* misses the noise.",
)
GAUGE = StoryContent(
    title="One gauge, two tides", url="https://mast.example/gauge", source="Mast", body="The old one was upside down."
)
ISSUE_41 = IssueContent(
    title="Harbour Notes — 2026-06-30",
    slug="issue-41",
    date=datetime.date(2026, 6, 30),
    subject="A crane that waits, and a gauge that lies",
    preheader="Two stories from the waterfront",
    categories=("News", "Tech"),
    sections=(
        SectionContent(title="Signal of the week", body="Ports are getting *quieter*."),
        SectionContent(title="Deep dives", stories=(CRANE, GAUGE)),
    ),
)


def make_draft(content: IssueContent = ISSUE_41, newsletter: Newsletter | None = None, **changes: Any) -> Issue:
    """A draft with this content; `changes` replace fields of it."""
    content = replace(content, **changes)
    issue = Issue.objects.create(
        newsletter=newsletter or make_newsletter(), title=content.title, slug=content.slug, date=content.date
    )
    save_content(issue, content, by="tests")
    return issue
