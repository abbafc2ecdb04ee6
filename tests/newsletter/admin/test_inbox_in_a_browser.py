"""The inbox in a real browser: with the keyboard alone, by dragging, and undone."""

from __future__ import annotations

from typing import Any

from django.test import Client
from django.urls import reverse

from newsletter.content.document import SectionContent
from newsletter.content.store import load_content
from newsletter.models import Issue, SavedLink
from tests.feeds import make_links
from tests.newsletter.admin.test_in_a_browser import browsing, pytestmark, watched
from tests.publications import make_issue

__all__ = ["pytestmark"]

SECTIONS = (SectionContent(title="Ships and yards"), SectionContent(title="Trade and ports"))


def stories(issue: Issue) -> list[tuple[str, list[str]]]:
    return [(part.title, [story.title for story in part.stories]) for part in load_content(issue).sections]


def test_from_ten_links_five_are_kept_and_added_with_the_keyboard_alone(live_server: Any, edda: Client) -> None:
    issue = make_issue(sections=SECTIONS)
    make_links(*range(1, 11))
    errors: list[str] = []
    with browsing(live_server, edda, viewport={"width": 1440, "height": 900}) as context:
        page = watched(context, errors)
        said = page.locator("[data-status]")
        page.goto(reverse("inbox"))
        page.keyboard.press("j")
        # Quay 10 to 6: kept. Quay 5 is dropped, and that is undone.
        for left in (9, 8, 7, 6, 5):
            page.keyboard.press("e")
            said.get_by_text(f"Kept. {left} new links left.", exact=True).wait_for()
        assert page.evaluate("document.activeElement.textContent") == "Quay 5"
        page.keyboard.press("x")
        said.get_by_text("Dropped. 4 new links left.", exact=True).wait_for()
        page.keyboard.press("z")
        said.get_by_text("Undone. 5 new links left.", exact=True).wait_for()
        assert page.evaluate("document.activeElement.textContent") == "Quay 5"
        page.get_by_role("link", name="Kept 5").press("Enter")
        page.wait_for_url("**state=kept**")
        # Quay 10 goes to the first section; two of the others together to the second, which then comes first.
        page.keyboard.press("j")
        page.keyboard.press("a")
        page.keyboard.press("Enter")
        said.get_by_text("1 story was added to “Ships and yards”.").wait_for()
        page.keyboard.press("Space")
        page.keyboard.press("Shift+J")
        page.keyboard.press("a")
        page.keyboard.press("Tab")
        page.keyboard.press("Enter")
        said.get_by_text("2 stories were added to “Trade and ports”.").wait_for()
        for count in (1, 2):
            page.keyboard.press("a")
            page.keyboard.press("Enter")
            page.locator(".drops").get_by_text(f"{2 + count} stories").wait_for()
        page.get_by_text("No links here.").wait_for()
    assert errors == []
    assert stories(issue) == [
        ("Ships and yards", ["Quay 10"]),
        ("Trade and ports", ["Quay 9", "Quay 8", "Quay 7", "Quay 6"]),
    ]
    assert SavedLink.objects.filter(state="new").count() == 5


def test_a_link_is_dragged_to_a_section_and_taken_back(live_server: Any, edda: Client) -> None:
    issue = make_issue(sections=SECTIONS)
    make_links(1, 2)
    errors: list[str] = []
    with browsing(live_server, edda, viewport={"width": 1440, "height": 900}) as context:
        page = watched(context, errors)
        page.goto(reverse("inbox"))
        rows = page.locator("[data-list] > li")
        rows.nth(1).drag_to(page.locator(".drops li").nth(1))
        page.locator(".drops").get_by_text("1 story").wait_for()
        page.get_by_role("button", name="Undo").click()
        rows.get_by_role("heading", name="Quay 1").wait_for()
        assert rows.locator("h2").all_text_contents() == ["Quay 2", "Quay 1"]
    assert errors == []
    assert stories(issue)[1] == ("Trade and ports", [])


def test_letters_in_fields_and_switched_off_keys_decide_nothing(live_server: Any, edda: Client) -> None:
    make_links(1, 2)
    with browsing(live_server, edda, viewport={"width": 1440, "height": 900}) as context:
        page = context.new_page()
        page.goto(reverse("inbox"))
        page.get_by_label("Search saved links").press_sequentially("ex")
        page.get_by_label("Use single-letter keys").uncheck()
        page.locator("h2 a").first.focus()
        page.keyboard.press("x")
        page.reload()
        assert not page.get_by_label("Use single-letter keys").is_checked()
        assert page.locator("[data-list] > li").count() == 2
    assert not SavedLink.objects.exclude(state="new").exists()
