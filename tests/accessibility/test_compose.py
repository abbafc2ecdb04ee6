"""The compose page has no barrier: with a row, a menu, a selection, an error or unfinished text, or with no content."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from django.test import Client
from django.urls import reverse
from PIL import Image, ImageDraw
from playwright.sync_api import Page

from newsletter.media.store import save_picture
from newsletter.models import FileUse, Issue
from tests.accessibility.test_pages import Step, editor, look_at, pytestmark
from tests.newsletter.admin.pages import form_data, page_of
from tests.newsletter.admin.test_compose_in_a_browser import make_long_issue
from tests.newsletter.media.pictures import as_file
from tests.newsletter.media.test_store import with_picture
from tests.publications import make_issue

__all__ = ["editor", "pytestmark"]


def open_row(page: Page, title: str = "Story 1:") -> None:
    page.locator("summary", has_text=title).press("Enter")
    page.get_by_role("toolbar").wait_for()


def open_menu(page: Page) -> None:
    open_row(page)
    page.locator("[data-open-add]").evaluate("button => button.click()")


def open_menu_of_row(page: Page) -> None:
    page.locator("[data-rows] [data-more]").nth(3).press("Enter")
    page.get_by_role("menuitem").first.wait_for()


def select_rows(page: Page) -> None:
    page.locator("summary", has_text="Story 3:").press(" ")
    page.keyboard.press("Shift+ArrowDown")
    page.keyboard.press("Delete")
    page.locator("summary", has_text="Story 6:").press(" ")


def save_with_an_error(page: Page) -> None:
    open_row(page, "Story 9:")
    page.locator("[data-rows] details[open] [name$=-url]").fill("nowhere")
    page.keyboard.press("Control+s")
    page.get_by_role("alert").wait_for()


def test_the_compose_page_has_no_barrier_in_any_state(live_server: Any, editor: Client) -> None:
    url = page_of(make_long_issue())
    steps: dict[str, tuple[str, Step]] = {
        "compose-row": (url, open_row),
        "compose-menu": (url, open_menu),
        "compose-row-menu": (url, open_menu_of_row),
        "compose-selection": (url, select_rows),
        "compose-error": (url, save_with_an_error),
    }
    # The error of the last step is shown again as unfinished text.
    steps["compose-unfinished"] = (url, lambda page: page.get_by_text("This is your unfinished text").wait_for())
    assert "\n".join(look_at(live_server, editor, {"compose": url}, steps)) == ""


def test_the_library_of_pictures_and_the_choice_for_a_row_have_no_barrier(
    live_server: Any, editor: Client, settings: Any, tmp_path: Path
) -> None:
    settings.MEDIA_ROOT = tmp_path
    issue = make_issue()
    drawn = [draw(number) for number in range(3)]
    stored = [
        save_picture(issue.newsletter, f"Lighthouse {n}.png", data, by="edda").picture for n, data in enumerate(drawn)
    ]
    with_picture(issue, stored[0].files.get(use=FileUse.STORY).address)

    def choose(page: Page) -> None:
        open_row(page, "Quay 2")
        page.get_by_role("button", name="Add picture…").click()
        page.locator("[data-use]").first.wait_for()

    library = f"{reverse('pictures')}?newsletter={issue.newsletter_id}"
    pages = {
        "pictures": f"{library}&picture={stored[0].pk}",
        "pictures-none": f"{library}&q=nothing",
        "compose-picture": f"{page_of(issue)}#row-1",
    }
    steps: dict[str, tuple[str, Step]] = {
        "pictures-error": (f"{library}&picture={stored[1].pk}", wrong_focus),
        "pictures-choice": (page_of(issue), choose),
    }
    assert "\n".join(look_at(live_server, editor, pages, steps)) == ""


def wrong_focus(page: Page) -> None:
    page.get_by_label("Focus, left %").evaluate("field => { field.form.noValidate = true; field.value = 400 }")
    page.get_by_role("button", name="Save").click()
    page.locator(".errorlist").wait_for()


def draw(number: int) -> bytes:
    image = Image.new("RGB", (1200, 800), (180 + 8 * number, 196, 212 - 6 * number))
    pen = ImageDraw.Draw(image)
    pen.rectangle((0, 620, 1200, 800), fill=(92, 112, 132))
    pen.polygon([(420, 640), (500, 200), (620, 200), (700, 640)], fill=(140, 58, 58))
    return as_file(image)


def test_the_page_of_a_new_and_of_an_empty_issue_has_no_barrier(live_server: Any, editor: Client) -> None:
    empty = make_issue(sections=())
    pages = {"compose-new": reverse("admin:newsletter_issue_add"), "compose-empty": page_of(empty)}
    assert "\n".join(look_at(live_server, editor, pages, {})) == ""


def test_a_newer_revision_is_shown_without_a_barrier(live_server: Any, editor: Client) -> None:
    issue = make_issue()
    data = form_data(editor, page_of(issue)) | {"rows-2-body": "Mine."}
    Issue.objects.filter(pk=issue.pk).update(revision=5)
    assert editor.post(page_of(issue, "autosave"), data).json()["state"] == "newer"
    assert "\n".join(look_at(live_server, editor, {"compose-newer": page_of(issue)}, {})) == ""
