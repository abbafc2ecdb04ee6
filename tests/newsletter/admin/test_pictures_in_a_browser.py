"""Pictures in a real browser: chosen and uploaded in a row, and dropped on the library."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from django.test import Client
from playwright.sync_api import FilePayload

from newsletter.content.store import load_content
from newsletter.media.store import save_picture
from newsletter.models import FileUse, Issue, Picture
from tests.newsletter.admin.pages import page_of
from tests.newsletter.admin.test_in_a_browser import browsing, pytestmark
from tests.newsletter.media.pictures import RED, as_file, jpeg, picture
from tests.publications import make_issue

__all__ = ["pytestmark"]


@pytest.fixture
def issue(settings: Any, tmp_path: Path) -> Issue:
    settings.MEDIA_ROOT = tmp_path
    return make_issue()


def test_a_story_gets_a_picture_from_the_library_and_another_by_upload(
    live_server: Any, edda: Client, issue: Issue
) -> None:
    save_picture(issue.newsletter, "Trawler.jpg", jpeg(1200, 600), by="edda")
    with browsing(live_server, edda, viewport={"width": 1440, "height": 900}) as context:
        page = context.new_page()
        page.goto(page_of(issue))
        story = page.locator("[data-rows] > [data-row=story]").first
        story.locator("summary").click()
        page.get_by_role("button", name="Add picture…").click()
        page.locator("[data-use]", has_text="Trawler").click()
        page.keyboard.type("A trawler at the quay")
        chosen = [story.locator(f"[name$=-{name}]").input_value() for name in ("image", "alt")]
        file: FilePayload = {
            "name": "Crane.png",
            "mimeType": "image/png",
            "buffer": as_file(picture(900, 600, color=RED)),
        }
        page.get_by_role("button", name="Change picture…").click()
        page.get_by_label("Upload a picture").set_input_files([file])
        page.locator("dialog").wait_for(state="hidden")
        page.keyboard.type("A crane")
        with page.expect_response("**/autosave/"):
            page.keyboard.press("Control+s")

    second = next(load_content(issue).stories())
    trawler, stored = (Picture.objects.get(name=name) for name in ("Trawler", "Crane"))
    assert chosen == [trawler.files.get(use=FileUse.STORY).address, "A trawler at the quay"]
    assert (second.image, second.alt) == (stored.files.get(use=FileUse.STORY).address, "A crane")


def test_files_are_uploaded_one_by_one_and_the_refused_one_is_named(
    live_server: Any, edda: Client, issue: Issue
) -> None:
    files: list[FilePayload] = [
        {"name": "logo.svg", "mimeType": "image/svg+xml", "buffer": b"<svg/>"},
        {"name": "Ferry.jpg", "mimeType": "image/jpeg", "buffer": jpeg(300, 200)},
    ]
    with browsing(live_server, edda, viewport={"width": 1440, "height": 900}) as context:
        page = context.new_page()
        page.goto("/admin/pictures/")
        page.get_by_text("Upload pictures…").click()
        page.get_by_label("Files").set_input_files(files)
        page.get_by_text("logo.svg was refused: SVG is not accepted").wait_for()
        page.get_by_role("link", name="Ferry").click()
        shown = page.locator("[data-focus-picture]")
        shown.click(position={"x": 5, "y": 5})
        focus = page.get_by_label("Focus, left %").input_value()

    assert int(focus) < 10
