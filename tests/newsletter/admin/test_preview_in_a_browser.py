"""The preview in a real browser: every frame is shown, none violates its policy, and forced dark is dark."""

from __future__ import annotations

import os
import re
from typing import Any

import pytest
from django.test import Client
from playwright.sync_api import Frame, Page

from newsletter.content.store import save_content
from newsletter.sending.freeze import freeze_edition
from tests.newsletter.admin.pages import page_of
from tests.newsletter.admin.test_in_a_browser import CHROMIUM, browsing, watched
from tests.people import ada
from tests.publications import content, make_issue, make_newsletter

CLIENTS = ("side-by-side", "desktop", "phone", "dark", "forced-dark", "no-pictures", "text", "web", "headers")

pytestmark = [
    pytest.mark.browser,
    pytest.mark.django_db(transaction=True),
    pytest.mark.skipif(not CHROMIUM and not os.environ.get("CI"), reason="no Chromium is installed here"),
]


def background_of(frame: Frame) -> int:
    """The lightness of the largest background of the mail, 0 to 255."""
    colours = frame.evaluate(
        "[...document.querySelectorAll('body, table, td, div')].filter(one => one.offsetHeight > 200)"
        ".map(one => getComputedStyle(one).backgroundColor)"
    )
    backgrounds = [[int(part) for part in re.findall(r"\d+", colour)] for colour in colours if "rgba" not in colour]
    return max(sum(background[:3]) // 3 for background in backgrounds)


def shown_frames(page: Page) -> list[Frame]:
    frames = [frame for frame in page.frames if frame != page.main_frame]
    for frame in frames:
        frame.wait_for_load_state("load")
    return frames


@pytest.mark.parametrize(
    "options",
    [
        {"viewport": {"width": 1440, "height": 900}},
        {"viewport": {"width": 390, "height": 844}, "color_scheme": "dark"},
    ],
    ids=["desk", "dark phone"],
)
def test_every_client_is_shown_and_violates_no_policy(live_server: Any, edda: Client, options: dict[str, Any]) -> None:
    ada(make_newsletter())
    issue = make_issue()
    freeze_edition(issue)
    save_content(issue, content(subject="Taller cranes, louder ferries"), by="tests")
    console_errors: list[str] = []
    backgrounds: dict[str, int] = {}
    with browsing(live_server, edda, **options) as context:
        page = watched(context, console_errors)
        for client in CLIENTS:
            page.goto(f"{page_of(issue, 'preview')}?as={client}")
            frames = shown_frames(page)
            if len(frames) != (2 if client == "side-by-side" else 1):
                console_errors.append(f"{client} has {len(frames)} frames")
            words = "Taller cranes" if client == "headers" else "Quay 1 gets a taller crane"
            console_errors += [f"{client} is empty" for frame in frames if words not in frame.inner_text("body")]
            if page.evaluate("document.documentElement.scrollWidth > document.documentElement.clientWidth"):
                console_errors.append(f"{client} scrolls sideways")
            backgrounds[client] = (
                background_of(frames[0]) if client in ("desktop", "dark", "forced-dark", "no-pictures") else 0
            )
        for name in ("dry_run", "difference", "schedule", "send_now"):
            page.goto(page_of(issue, name))
            if page.evaluate("document.documentElement.scrollWidth > document.documentElement.clientWidth"):
                console_errors.append(f"{name} scrolls sideways")
    assert console_errors == []
    assert backgrounds["desktop"] > 200
    assert backgrounds["no-pictures"] > 200
    assert backgrounds["dark"] < 80
    assert backgrounds["forced-dark"] < 80
