"""The pages of the inbox have no barrier, with all that a link can show, an error, and the dialog open."""

from __future__ import annotations

import datetime
from typing import Any

from django.test import Client
from django.urls import reverse
from django.utils import timezone

from newsletter.content.document import SectionContent, StoryContent
from newsletter.gathering.saving import set_tags
from newsletter.models import Feed, Newsletter, SavedLink
from tests.accessibility.test_pages import editor, look_at, pytestmark, submit
from tests.feeds import save_link
from tests.publications import make_issue, make_newsletter

__all__ = ["editor", "pytestmark"]

LINKS = (
    (
        "Baltic ports agree on one form for shore power",
        "Baltic Post",
        "Eleven harbors sign it.",
        "power",
    ),
    ("The harbor that measures its own silence", "North Quay", "Hydrophones at four piers show what changes.", "quiet"),
    ("Splicing double braid, drawn in six steps", "Rope Walk", "A drawn guide with the two usual mistakes.", "craft"),
    ("Tide tables by post: a letter", "", "", ""),
    ("", "", "", ""),
)


def fill() -> Newsletter:
    """A link in each condition, feeds with all results, and a draft."""
    newsletter = make_newsletter(name="The Harbour Log")
    at = timezone.now()
    feeds = {"polled_at": at, "newsletter": newsletter}
    feed = Feed.objects.create(url="https://quay.example/feed", source="North Quay", new_links=2, **feeds)
    Feed.objects.create(url="https://buoys.example/feed", source="Open Buoys", without_link=12, **feeds)
    problem: dict[str, Any] = {"problem": "feed_not_found", "problem_detail": {"status": 404}}
    Feed.objects.create(url="https://pier.example/feed", source="Pier Data", **problem, **feeds)
    for number, (title, source, summary, tag) in enumerate(LINKS):
        url = f"https://quay.example/{number}"
        shown: dict[str, Any] = {"title": title, "source": source, "summary": summary, "times": 3 if not number else 1}
        set_tags(save_link(url, number, feed, **shown), [tag] if tag else [])
    failed = {"message": "The server responded with an error (HTTP {status}).", "plural": "", "values": {"status": 403}}
    SavedLink.objects.filter(url__endswith="/3").update(metadata="failed", metadata_problem=failed, note="From Ada")
    SavedLink.objects.filter(url__endswith="/4").update(metadata="pending", fetch_at=at, way="button", saved_by="edda")
    ran = SectionContent(title="Craft", stories=(StoryContent(title="Splicing", url="https://quay.example/2"),))
    make_issue("issue-41", title="Issue 41", date=at.date() - datetime.timedelta(days=50), sections=(ran,))
    SavedLink.objects.filter(url__endswith="/2").update(state="new", issue=None)
    stories = tuple(StoryContent(title=f"Quay {number}", url=f"https://a.example/{number}") for number in range(3))
    sections = tuple(SectionContent(title=title, stories=stories) for title in ("Ships and yards", "Trade and ports"))
    make_issue("issue-47", title="Quiet engines", date=at.date() + datetime.timedelta(days=2), sections=sections)
    return newsletter


def test_the_inbox_has_no_barrier(live_server: Any, editor: Client) -> None:
    newsletter = fill()
    link = SavedLink.objects.first()
    assert link is not None
    inbox = reverse("inbox")
    pages = {
        "inbox": inbox,
        "inbox-empty": f"{inbox}?state=expired",
        "inbox-tools": reverse("inbox_tools"),
        "inbox-save": f"{reverse('inbox_save')}?url=https://quay.example/9&title=Nine&newsletter={newsletter.pk}",
        "inbox-link": reverse("inbox_link", args=[link.pk]),
        "inbox-add": f"{reverse('inbox_add')}?link={link.pk}",
    }
    steps = {
        "inbox-dialog": (inbox, submit("Add to…")),
        "inbox-saved": (pages["inbox-save"], submit("Save link")),
        "inbox-token": (pages["inbox-tools"], lambda page: _make_token(page)),
    }
    assert look_at(live_server, editor, pages, steps) == []


def _make_token(page: Any) -> None:
    page.get_by_label("Name", exact=True).fill("Phone")
    page.get_by_role("button", name="Make token").click()
