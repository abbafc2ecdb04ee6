"""The whole system in a real browser: strict CSP, keyboard, phone and dark screen."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Locator, Page, expect, sync_playwright

from tests.installation import SeparateInstallation, separate_installation, wait_until
from tests.journeys.test_over_http import ADA, PASSWORD, mail_to

CHROMIUM = next(
    (found for name in ("chromium", "chromium-browser", "google-chrome") if (found := shutil.which(name))), ""
)

pytestmark = [
    pytest.mark.browser,
    pytest.mark.processes,
    pytest.mark.skipif(not CHROMIUM and not os.environ.get("CI"), reason="no Chromium is installed here"),
]

#: Without these the browser contacts its vendor at every start.
QUIET = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
]


@pytest.fixture
def browser() -> Iterator[Browser]:
    assert CHROMIUM, "CI installs Chromium; this test may not be skipped there."
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=QUIET)
        yield browser
        browser.close()


@pytest.fixture
def site(tmp_path: Path) -> Iterator[SeparateInstallation]:
    with separate_installation(tmp_path) as installation:
        installation.environment["DJANGO_SUPERUSER_PASSWORD"] = PASSWORD
        installation.run(
            "manage.py", "createsuperuser", "--noinput", "--username", "edda", "--email", "edda@example.org"
        )
        installation.run("-m", "tests.installation", "newsletter")
        installation.processes.start_sandbox("--webhook-time-scale", "0.01", "--rate-limit", "200")
        installation.processes.start_web()
        installation.processes.start_worker()
        yield installation


def opened(browser: Browser, console_errors: list[str], *, phone: bool = False) -> Page:
    """A page in a session of its own, whose errors (CSP violations, exceptions) are collected."""
    if phone:
        context = browser.new_context(viewport={"width": 390, "height": 844}, color_scheme="dark")
    else:
        context = browser.new_context(viewport={"width": 1440, "height": 900})
    page = context.new_page()
    page.on(
        "console",
        lambda message: (
            console_errors.append(f"{message.text} {message.location}") if message.type == "error" else None
        ),
    )
    page.on("pageerror", lambda error: console_errors.append(str(error)))
    return page


def fits(page: Page) -> bool:
    """Whether the page does not scroll horizontally."""
    return bool(page.evaluate("document.documentElement.scrollWidth <= document.documentElement.clientWidth"))


def test_a_subscriber_signs_up_on_a_phone_and_an_editor_composes_and_sends(
    site: SeparateInstallation, browser: Browser
) -> None:
    console_errors: list[str] = []
    sign_up_on_a_phone(site, opened(browser, console_errors, phone=True))
    edda = opened(browser, console_errors)
    compose_by_keyboard(site, edda)
    preview_and_send(edda)
    mail = mail_to(site, ADA, "Cranes, counted")
    assert mail["text"].index("Second story") < mail["text"].index("First story"), "the order that the keyboard made"
    read_on_a_phone(site, opened(browser, console_errors, phone=True))
    assert console_errors == []


def sign_up_on_a_phone(site: SeparateInstallation, page: Page) -> None:
    page.goto(f"{site.environment['SITE_URL']}/harbour-notes/")
    assert fits(page)
    page.get_by_label("Email address").fill(ADA)
    page.get_by_label("Email address").press("Enter")
    expect(page.get_by_role("heading", name="Check your mail")).to_be_visible()
    mail = mail_to(site, ADA, "onfirm")
    page.goto(next(word for word in mail["text"].split() if "/confirm/" in word))
    assert fits(page)
    page.get_by_role("button", name="Confirm subscription").press("Enter")
    expect(page.get_by_role("heading", level=1)).to_be_visible()


def compose_by_keyboard(site: SeparateInstallation, page: Page) -> None:
    page.goto(f"{site.environment['SITE_URL']}/admin/login/?next=/admin/newsletter/issue/add/")
    page.get_by_label("Username").fill("edda")
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Log in").press("Enter")
    page.get_by_label("Title").first.fill("Cranes, counted")
    slug = page.locator("[name=slug]")
    slug.fill("cranes-counted")
    rows = page.locator("[data-row]")
    page.get_by_role("button", name="Add section", exact=True).first.press("Enter")
    fill_row(rows.nth(0), "Deep dives", "", "")
    page.get_by_role("button", name="Add story", exact=True).first.press("Enter")
    fill_row(rows.nth(1), "First story", "https://harbour.example/first", "One crane was missed.")
    page.get_by_role("button", name="Add story", exact=True).first.press("Enter")
    fill_row(rows.nth(2), "Second story", "https://harbour.example/second", "It had been counted as a church.")
    heading_of(rows.nth(2)).press("Alt+ArrowUp")
    expect(rows.nth(1)).to_contain_text("Second story")
    page.keyboard.press("Control+s")


def heading_of(row: Locator) -> Locator:
    return row.locator("summary[id^=row-]")


def fill_row(row: Locator, title: str, url: str, body: str) -> None:
    if not row.locator("[name$=-title]").is_visible():
        heading_of(row).press("Enter")
    row.locator("[name$=-title]").fill(title)
    if url:
        row.locator("[name$=-url]").fill(url)
        row.locator("[name$=-body]").fill(body)


def preview_and_send(page: Page) -> None:
    frame = page.frame_locator("iframe[name=preview]")
    expect(frame.get_by_role("heading", name="Second story")).to_be_visible()
    page.get_by_role("button", name="Check and schedule").press("Enter")
    expect(page.get_by_role("link", name="Continue to schedule")).to_be_visible()
    page.get_by_role("link", name="Schedule").first.click()
    page.get_by_role("link", name="Send now").first.click()
    page.get_by_role("button", name="Send to 1 recipient now").press("Enter")
    expect(page.locator(".pill").first).to_have_text("Sent", timeout=30_000)
    assert fits(page)


def read_on_a_phone(site: SeparateInstallation, page: Page) -> None:
    page.goto(f"{site.environment['SITE_URL']}/harbour-notes/issues/")
    page.get_by_role("link", name="Cranes, counted").first.click()
    expect(page.get_by_role("heading", name="First story")).to_be_visible()
    assert fits(page)
    assert page.context.cookies() == []
    wait_until(lambda: page.evaluate("document.readyState") == "complete", "the page is loaded")
