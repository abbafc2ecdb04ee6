"""The list of subscribers and the page of one in a real browser, with JavaScript on and off, on every screen."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, expect

from tests.installation import separate_installation
from tests.journeys.test_in_a_browser import CHROMIUM, browser, fits
from tests.journeys.test_over_http import PASSWORD

__all__ = ["browser"]

pytestmark = [
    pytest.mark.browser,
    pytest.mark.processes,
    pytest.mark.skipif(not CHROMIUM and not os.environ.get("CI"), reason="no Chromium is installed here"),
]

SCREENS = ((390, "dark"), (1440, "light"))


@dataclass(frozen=True)
class Admin:
    """Where the pages are."""

    url: str
    subscriber: int

    def page(self, path: str = "") -> str:
        return f"{self.url}/admin/subscribers/subscriber/{path}"


@pytest.fixture
def admin(tmp_path: Path) -> Iterator[Admin]:
    with separate_installation(tmp_path) as site:
        site.environment["DJANGO_SUPERUSER_PASSWORD"] = PASSWORD
        site.run("manage.py", "createsuperuser", "--noinput", "--username", "edda", "--email", "edda@example.org")
        subscriber = int(site.run("-m", "tests.journeys.subscribers_site"))
        site.processes.start_web()
        yield Admin(site.environment["SITE_URL"], subscriber)


def signed_in(browser: Browser, admin: Admin, *, scripts: bool) -> BrowserContext:
    context = browser.new_context(java_script_enabled=scripts, viewport={"width": 1440, "height": 900})
    page = context.new_page()
    page.goto(f"{admin.url}/admin/login/?next=/admin/subscribers/subscriber/")
    page.get_by_label("Username").fill("edda")
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Log in").press("Enter")
    return context


def test_an_editor_finds_tags_and_exports_subscribers(browser: Browser, admin: Admin) -> None:
    without = signed_in(browser, admin, scripts=False)
    tag_a_selection(without.pages[0], admin)
    unsubscribe_one(without.pages[0], admin)
    export_a_selection(without.pages[0], admin)
    context = signed_in(browser, admin, scripts=True)
    page, errors = context.pages[0], list[str]()
    page.on("console", lambda message: errors.append(message.text) if message.type == "error" else None)
    page.on("pageerror", lambda error: errors.append(str(error)))
    search_by_keyboard(page, admin)
    every_page_fits(page, admin)
    assert errors == []


def tag_a_selection(page: Page, admin: Admin) -> None:
    page.goto(admin.page())
    expect(page.get_by_text("34 subscribers, 25 shown")).to_be_visible()
    page.get_by_label("Select reader-30@example.org").check()
    page.get_by_label("Select reader-29@example.org").check()
    page.get_by_role("button", name="Add tag…").click()
    page.get_by_label("List").select_option(label="Harbour Notes")
    page.get_by_label("Tag").fill("guest")
    page.get_by_role("button", name="Add tag").click()
    expect(page.get_by_text("was added to 2 subscriptions")).to_be_visible()
    page.get_by_label("Tag").select_option(label="guest (Harbour Notes)")
    page.get_by_role("button", name="Search").click()
    expect(page.get_by_text("2 subscribers, 2 shown")).to_be_visible()


def unsubscribe_one(page: Page, admin: Admin) -> None:
    page.get_by_role("link", name="reader-30@example.org").click()
    page.get_by_role("link", name="Unsubscribe…").click()
    page.get_by_label("Reason").fill("Asked by phone.")
    page.get_by_role("button", name="Unsubscribe").click()
    expect(page.get_by_text("1 subscription has ended.")).to_be_visible()
    expect(page.get_by_role("listitem").filter(has_text="Asked by phone.")).to_be_visible()


def export_a_selection(page: Page, admin: Admin) -> None:
    page.goto(admin.page("?state=unsubscribed"))
    page.get_by_label("Select all that match").check()
    page.get_by_role("button", name="Export…").click()
    page.get_by_label("List").select_option(label="Harbour Notes")
    with page.expect_download() as download:
        page.get_by_role("button", name="Export").click()
    text = Path(download.value.path()).read_text(encoding="utf-8-sig")
    assert text.splitlines()[0].startswith("address,first_name,state,tags")
    assert len(text.splitlines()) == 3


def search_by_keyboard(page: Page, admin: Admin) -> None:
    page.goto(admin.page())
    page.keyboard.press("/")
    page.keyboard.type("reader-1")
    page.keyboard.press("Enter")
    expect(page.get_by_text("11 subscribers, 11 shown")).to_be_visible()
    page.get_by_label("Select reader-19@example.org").focus()
    page.keyboard.press("ArrowDown")
    expect(page.get_by_label("Select reader-18@example.org")).to_be_focused()
    page.keyboard.press("Space")
    expect(page.get_by_label("Select reader-18@example.org")).to_be_checked()
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", level=1)).to_have_text("reader-18@example.org")


def every_page_fits(page: Page, admin: Admin) -> None:
    """No page scrolls sideways, on a phone and on a screen, in light and dark."""
    one = f"{admin.subscriber}/"
    paths = (
        *("", "?q=nobody", "add/", "export/", "actions/add_tag/?q=reader", "actions/suppress/"),
        *(f"{one}change/", f"{one}edit/", f"{one}unsubscribe/", f"{one}merge/"),
    )
    for path in paths:
        for width, scheme in SCREENS:
            page.set_viewport_size({"width": width, "height": 900})
            page.emulate_media(color_scheme="dark" if scheme == "dark" else "light")
            page.goto(admin.page(path))
            assert fits(page), (path, width)
