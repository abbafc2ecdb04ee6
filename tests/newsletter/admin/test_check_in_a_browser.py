"""The check page in a real browser: results arrive by themselves, and keys lead to the field of a problem."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any

from django.db import connection
from django.test import Client
from django.utils import timezone
from playwright.sync_api import expect

from newsletter.content.document import SectionContent, StoryContent
from newsletter.models import LinkCheck, LinkState
from tests.newsletter.admin.pages import page_of
from tests.newsletter.admin.test_in_a_browser import browsing, pytestmark, watched
from tests.people import ada
from tests.publications import make_issue, make_newsletter, story

__all__ = ["pytestmark"]


def answer_all_links() -> None:
    LinkCheck.objects.update(state=LinkState.CHECKED, status=404, checked_at=timezone.now())
    connection.close()


def test_results_arrive_and_keys_lead_to_the_field(live_server: Any, edda: Client) -> None:
    ada(make_newsletter())
    stories = (story(1), *(StoryContent(title=f"Without {number}", body="Words.") for number in range(2)))
    issue = make_issue(sections=(SectionContent(title="Dives", stories=stories),))
    console_errors: list[str] = []
    with browsing(live_server, edda, viewport={"width": 1280, "height": 900}) as context:
        page = watched(context, console_errors)
        page.goto(page_of(issue, "check"))
        expect(page.get_by_role("heading", level=1)).to_have_text("2 problems block sending. 1 warning.")
        expect(page.get_by_text("1 link: waiting for an answer.")).to_be_visible()

        with ThreadPoolExecutor() as elsewhere:
            elsewhere.submit(answer_all_links).result()
        expect(page.get_by_role("heading", level=1)).to_have_text("3 problems block sending. 1 warning.")
        expect(page.get_by_role("status").last).to_have_text("The link was checked.")

        page.keyboard.press("n")
        expect(page.locator(":focus")).to_have_text("Go through 2… (2 stories have no link)")
        page.keyboard.press("Enter")
        expect(page.get_by_text("Problem 1 of 2:")).to_be_visible()
        expect(page.locator(":focus")).to_have_attribute("name", "rows-2-url")
        page.get_by_role("link", name="Next", exact=True).click()
        expect(page.get_by_text("Problem 2 of 2:")).to_be_visible()
        expect(page.locator(":focus")).to_have_attribute("name", "rows-3-url")
    assert console_errors == []
