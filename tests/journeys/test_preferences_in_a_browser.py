"""The preferences page in a real browser without JavaScript: every part works, and every page fits every screen."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.installation import separate_installation
from tests.journeys.test_in_a_browser import CHROMIUM, browser, fits

__all__ = ["browser"]

pytestmark = [
    pytest.mark.browser,
    pytest.mark.processes,
    pytest.mark.skipif(not CHROMIUM and not os.environ.get("CI"), reason="no Chromium is installed here"),
]


@pytest.fixture
def links(tmp_path: Path) -> Iterator[dict[str, Any]]:
    with separate_installation(tmp_path) as site:
        links = json.loads(site.run("-m", "tests.journeys.preferences_site"))
        site.processes.start_web()
        yield links


def page_without_scripts(browser: Browser) -> Page:
    return browser.new_context(java_script_enabled=False, viewport={"width": 390, "height": 844}).new_page()


def press(page: Page, name: str) -> None:
    page.get_by_role("button", name=name, exact=True).press("Enter")


def status(page: Page, text: str) -> None:
    expect(page.get_by_role("status")).to_contain_text(text)


def test_a_subscriber_confirms_chooses_changes_the_address_and_leaves_without_javascript(
    browser: Browser, links: dict[str, Any]
) -> None:
    page = page_without_scripts(browser)
    confirm_and_answer(page, links["ben"])
    choose(page, links["ada"]["preferences"])
    change_the_address(page, links["change"])
    leave(page, links["ada"]["preferences"])
    assert page.context.cookies() == []
    every_page_fits(browser, links)


def confirm_and_answer(page: Page, ben: dict[str, str]) -> None:
    page.goto(ben["confirm"])
    press(page, "Confirm subscription")
    page.get_by_label("Home harbour").fill("Kiel")
    press(page, "Save details")
    status(page, "Saved. Thank you.")


def choose(page: Page, url: str) -> None:
    page.goto(url)
    page.get_by_label("Weather").uncheck()
    press(page, "Save topics")
    status(page, "topics that you have chosen")
    page.reload()
    expect(page.get_by_label("Weather")).not_to_be_checked()
    page.get_by_label("Once a week").check()
    press(page, "Save frequency")
    expect(page.get_by_label("Once a week")).to_be_checked()
    page.get_by_label("First name").fill("Augusta")
    press(page, "Save name")
    expect(page.get_by_text("A•••", exact=True)).to_be_visible()
    page.get_by_label("Your time zone").select_option(value="Europe/Berlin")
    press(page, "Save time zone")
    expect(page.locator("dd", has_text="Berlin (UTC+")).to_be_visible()
    page.get_by_label("Town").fill("Kiel")
    page.get_by_label("Ketch").check()
    press(page, "Save details")
    expect(page.locator("dd", has_text="K•••")).to_be_visible()
    press(page, "Allow")
    status(page, "may be stored from now on")
    press(page, "Do not store it any more")
    press(page, "Subscribe to Tide Tables")
    status(page, "Open the link in it within 7 days")
    press(page, "Download my data")
    status(page, "We will send a link to your address.")


def change_the_address(page: Page, change: dict[str, str]) -> None:
    page.goto(change["confirm"])
    press(page, "Confirm this address")
    status(page, "as soon as the present address approves it")
    page.goto(change["approve"])
    press(page, "Approve the change")
    status(page, "Mails go to a•••@example.net from now on.")


def leave(page: Page, url: str) -> None:
    page.goto(url)
    press(page, "Unsubscribe")
    page.get_by_label("Too many mails").check()
    page.get_by_label("In your words").fill("Once a month is enough.")
    press(page, "Send answer")
    status(page, "Thank you for your answer.")
    press(page, "Undo: subscribe again")
    expect(page.get_by_role("heading", name="Check your mail")).to_be_visible()


def every_page_fits(browser: Browser, links: dict[str, Any]) -> None:
    """No page scrolls sideways, in light and dark, on a phone and on a screen."""
    for width, scheme in ((320, "dark"), (390, "light"), (390, "dark"), (1440, "light"), (1440, "dark")):
        context = browser.new_context(
            viewport={"width": width, "height": 900},
            color_scheme=scheme,  # type: ignore[arg-type]
        )
        page = context.new_page()
        for url in (links["ben"]["preferences"], links["ada"]["preferences"], links["change"]["approve"]):
            page.goto(url)
            assert fits(page), f"{url} at {width} pixels"
        page.goto(links["ben"]["preferences"])
        page.get_by_text("Change address").first.click()
        page.get_by_label("New email address").fill("no address")
        press(page, "Change address")
        expect(page.get_by_role("alert")).to_be_visible()
        assert fits(page)
        context.close()
