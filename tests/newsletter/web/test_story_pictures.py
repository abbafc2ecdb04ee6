"""Pictures of stories on the public page and in the feed."""

from __future__ import annotations

from dataclasses import replace

import pytest
from django.test import Client

from newsletter.content.store import load_content, save_content
from newsletter.sending.freeze import freeze_edition
from tests.newsletter.web.published import open_page
from tests.publications import make_issue, start_sending

pytestmark = [pytest.mark.django_db, pytest.mark.any_database]

OURS = f"https://news.example.org/media/ab/ab{'0' * 30}-crane-360x240.jpg"
ELSEWHERE = "https://pictures.example/crane.jpg"


def test_a_picture_is_shown_with_its_story_and_takes_its_place_before_it_is_loaded(client: Client) -> None:
    issue = make_issue()
    content = load_content(issue)
    lead, dives, end = content.sections
    first, second, third = dives.stories
    stories = (replace(first, image=OURS, alt="A crane"), replace(second, image=ELSEWHERE, alt="Fog"), third)
    save_content(issue, replace(content, sections=(lead, replace(dives, stories=stories), end)), by="edda")
    start_sending(issue)

    page = open_page(client, "/harbour-notes/issues/issue-1/")

    ours, elsewhere = page.xpath("//section[@class='story']/img")
    assert (ours.get("src"), ours.get("alt"), ours.get("loading")) == (OURS, "A crane", "lazy")
    assert (ours.get("width"), ours.get("height")) == ("360", "240")
    assert (elsewhere.get("src"), elsewhere.get("width")) == (ELSEWHERE, None)
    assert ours.get("referrerpolicy") == "no-referrer"
    assert OURS in client.get("/harbour-notes/feed.atom").content.decode()
    assert OURS in freeze_edition(issue).html
