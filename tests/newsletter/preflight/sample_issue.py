"""Issues for the checks, one of them with every kind of part, and their renderings."""

from __future__ import annotations

import datetime
from dataclasses import replace
from functools import cache

from newsletter.content.document import IssueContent, SectionContent, SectionKind, StoryContent
from newsletter.preflight import AudienceSnapshot, Inspection, Sender
from newsletter.preflight.findings import LinkStatus
from newsletter.preflight.places import placed_links
from newsletter.rendering import Masthead, RenderedIssue, render_issue
from newsletter.rendering.theme import PLAIN, Theme

MASTHEAD = Masthead(
    name="Harbour Notes",
    description="Ten stories from the waterfront.",
    site_url="https://news.example.org/harbour-notes/",
    archive_url="https://news.example.org/harbour-notes/issues/",
    postal_address="Harbour Notes\n4 Quay Street\n20457 Hamburg, Germany",
    sender_name="Harbour Notes",
)
SENDER = Sender(
    name="Harbour Notes", email="notes@mail.example.org", postal_address="Harbour Notes\n4 Quay Street\n20457 Hamburg"
)
DAY = datetime.date(2026, 6, 30)
NOON = datetime.datetime(2026, 6, 30, 12, tzinfo=datetime.UTC)

CRANE = StoryContent(
    title="The crane that learned to wait",
    url="https://gazette.example/crane",
    source="Harbour Gazette",
    body="It stands still in gusts now, and *nobody* misses the noise.",
)
GAUGE = StoryContent(
    title="One gauge, two tides", url="https://mast.example/gauge", source="Mast", body="The old one was upside down."
)
PICTURED = replace(CRANE, image="https://pictures.example/crane.jpg", alt="A crane in the fog")
ALL_MARKDOWN = "A *soft*, **loud** and `exact` word, [a link](https://ropes.example/).\n\n> Quoted.\n\n- one\n- two\n\n"
ALL_MARKDOWN += (
    "1. first\n\n```\ncode\n```\n\n### Smaller\n\nThe end.\n\n---\n\nReally. Write to <mailto:notes@mail.example.org>."
)

PLAIN_ISSUE = IssueContent(
    title="Harbour Notes — 2026-06-30",
    slug="issue-41",
    date=DAY,
    subject="A crane that waits, and a gauge that lies",
    preheader="Two stories from the waterfront",
    categories=("News", "Tech"),
    sections=(
        SectionContent(title="Signal of the week", body="Ports are getting *quieter*."),
        SectionContent(title="Deep dives", stories=(CRANE, GAUGE)),
    ),
)
EVERY_KIND = replace(
    PLAIN_ISSUE,
    sections=(
        SectionContent(title="Signal of the week", body="Ports are getting *quieter*, and their cranes taller. " * 12),
        SectionContent(kind=SectionKind.CONTENTS, title="In this issue"),
        SectionContent(title="Deep dives", body=ALL_MARKDOWN, stories=(PICTURED, GAUGE)),
        SectionContent(kind=SectionKind.CALLOUT, title="Open day", body="On Sunday the **lock** is open to all."),
        SectionContent(
            kind=SectionKind.QUOTE, body="A quay is a promise.", source="Ida Ropes", url="https://ropes.example/ida"
        ),
        SectionContent(kind=SectionKind.BUTTON, title="Book a tour of the lock", url="https://lock.example/tours"),
        SectionContent(
            kind=SectionKind.IMAGE,
            image="https://pictures.example/lock.jpg",
            alt="The lock at low water",
            body="The lock, last week.",
            url="https://pictures.example/lock",
        ),
        SectionContent(
            kind=SectionKind.LINKS,
            title="Elsewhere",
            body="- [Tide tables](https://tides.example/)\n- [Winds](https://winds.example/)",
        ),
        SectionContent(kind=SectionKind.DIVIDER),
        SectionContent(
            kind=SectionKind.SPONSOR,
            title="Ropes that last",
            body="Ten years on deck, and no splice.",
            source="Ida's Ropes",
            url="https://ropes.example/shop",
            image="https://pictures.example/rope.png",
            alt="A coil of rope",
        ),
    ),
)


@cache
def mail_of(content: IssueContent, theme: Theme = PLAIN, language: str = "en") -> RenderedIssue:
    """The rendering of an issue, made once for all tests."""
    web_url = "https://news.example.org/harbour-notes/issues/issue-41/"
    return render_issue(content, replace(MASTHEAD, language=language), theme=theme, web_url=web_url)


def inspection_of(content: IssueContent = PLAIN_ISSUE, theme: Theme = PLAIN) -> Inspection:
    """The inspection of an issue that is sent on its date to 500 recipients. All its links work."""
    return Inspection(
        content=content,
        sender=SENDER,
        sends_at=NOON,
        audience=AudienceSnapshot(count=500),
        rendered=mail_of(content, theme),
        links={link.url: LinkStatus(status=200, final_url=link.url) for link in placed_links(content)},
    )
