"""Signing up in a real browser, with JavaScript and without: page, frame, copied form, program and challenge."""

from __future__ import annotations

import os
import shutil
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from playwright.sync_api import BrowserContext, Page, expect, sync_playwright
from pytest_django import Settings

from subscribers.models import (
    CustomField,
    FieldAsked,
    FieldKind,
    MailingList,
    Signup,
    SignupAnswers,
    SignupRule,
    SignupState,
    Subscription,
)
from subscribers.signup import challenge
from subscribers.signup.embed import form_html, frame_html
from subscribers.signup.queue import process_signups
from tests.people import make_mailing_list
from tests.publisher import Answer, Publisher, publishing

CHROMIUM = next((found for name in ("chromium", "chromium-browser") if (found := shutil.which(name))), "")
QUIET = ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-component-update"]

#: In milliseconds: a busy machine may need many seconds for a page.
TIMEOUT = 30_000

pytestmark = [
    pytest.mark.browser,
    pytest.mark.django_db(transaction=True),
    pytest.mark.skipif(not CHROMIUM and not os.environ.get("CI"), reason="no Chromium is installed here"),
]


@pytest.fixture
def shop() -> Iterator[Publisher]:
    """Another site."""
    with publishing() as publisher:
        yield publisher


@pytest.fixture
def mailing_list(settings: Settings, live_server: Any, monkeypatch: pytest.MonkeyPatch, shop: Publisher) -> MailingList:
    """A list with a field, which the shop may frame."""
    settings.SITE_URL = live_server.url
    monkeypatch.setattr("subscribers.signup.forms.MIN_SECONDS_TO_SUBMIT", 0)
    made = make_mailing_list(
        is_embeddable=True,
        frame_origins=shop.url,
        privacy_url="https://harbour.example/privacy",
        complaint_contact="privacy@harbour.example",
    )
    CustomField.objects.create(
        mailing_list=made,
        key="ferries",
        label="Ferries",
        kind=FieldKind.CHOICES,
        options=["Car", "Foot"],
        asked=FieldAsked.SIGNUP,
    )
    return made


@contextmanager
def browsing(live_server: Any, **options: Any) -> Iterator[tuple[BrowserContext, list[str]]]:
    """A browser, and the errors of its consoles. Django's tables are out of reach while it is open."""
    errors: list[str] = []
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=QUIET)
        context = browser.new_context(base_url=live_server.url, **options)
        context.on("console", lambda message: errors.append(message.text) if message.type == "error" else None)
        context.on("weberror", lambda error: errors.append(str(error.error)))
        yield context, errors
        assert context.cookies() == []
        browser.close()


def fits(page: Page) -> bool:
    return bool(page.evaluate("document.documentElement.scrollWidth <= document.documentElement.clientWidth"))


@pytest.mark.parametrize("with_script", [True, False], ids=["script", "no script"])
def test_a_visitor_signs_up_on_the_page_in_a_frame_and_by_a_copied_form(
    live_server: Any, mailing_list: MailingList, shop: Publisher, with_script: bool
) -> None:
    serve(shop, form_html(mailing_list) + frame_html(mailing_list))
    options = {"viewport": {"width": 390, "height": 844}, "java_script_enabled": with_script}
    with browsing(live_server, **options) as (context, errors):
        page = context.new_page()
        page.goto("/subscribe/harbour-notes/?source=poster")
        assert fits(page)
        sign_up(page, "gus@example.org")
        expect(page.get_by_role("heading", name="Check your mail")).to_be_visible(timeout=TIMEOUT)
        assert fits(page)

        page.goto(f"{shop.url}/")
        frame = page.frame_locator("iframe")
        sign_up(frame, "hana@example.org")
        expect(frame.get_by_role("heading", name="Check your mail")).to_be_visible(timeout=TIMEOUT)
        assert page.url == f"{shop.url}/"
        frame.get_by_role("button", name="Send the link again").click()
        expect(frame.get_by_text("We will send the link again.")).to_be_visible(timeout=TIMEOUT)

        sign_up(page.locator("form").first, "ines@example.org")
        expect(page.get_by_role("heading", name="Check your mail")).to_be_visible(timeout=TIMEOUT)
        assert page.url.startswith(live_server.url)
        assert errors == []
    process_signups()
    sources = Subscription.objects.order_by("subscriber__canonical").values_list("subscriber__canonical", "source")
    assert list(sources) == [
        ("gus@example.org", "poster"),
        ("hana@example.org", "website"),
        ("ines@example.org", "website"),
    ]
    assert [kept.values for kept in SignupAnswers.objects.all()] == [{"ferries": ["Foot"]}] * 3


def serve(site: Publisher, content: str) -> None:
    page = f"<!doctype html><html lang=en><title>Shop</title>{content}".encode()
    site.pages["/favicon.ico"] = Answer(status=204)
    site.pages["/"] = Answer(page, headers={"Content-Type": "text/html; charset=utf-8"})


def sign_up(place: Any, address: str) -> None:
    place.get_by_label("Email address").fill(address)
    place.get_by_label("Foot").check()
    place.get_by_role("button", name="Subscribe").click()


def test_a_site_that_is_not_allowed_shows_no_frame_and_a_script_reads_json(
    live_server: Any, mailing_list: MailingList, shop: Publisher
) -> None:
    MailingList.objects.update(frame_origins="https://harbour.example")
    serve(shop, frame_html(mailing_list))
    with browsing(live_server) as (context, errors):
        page = context.new_page()
        page.goto(f"{shop.url}/")
        expect(page.frame_locator("iframe").get_by_label("Email address")).to_have_count(0)
        assert any("frame-ancestors" in error for error in errors)
        answer = page.evaluate(
            """async (url) => {
                const body = new URLSearchParams({ email: "gus@example.org", source: "app" });
                const response = await fetch(url, { method: "POST", body, headers: { Accept: "application/json" } });
                return [response.status, (await response.json()).status];
            }""",
            f"{live_server.url}/subscribe/harbour-notes/embed/",
        )
        assert answer == [202, "check_mail"]
    assert Signup.objects.get().source == "app"


def test_a_challenge_is_solved_with_javascript_and_held_without(
    live_server: Any, mailing_list: MailingList, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(challenge, "MIN_HASHES", 100)
    monkeypatch.setattr(challenge, "MAX_HASHES", 200)
    SignupRule.objects.create(action="challenge")
    for with_script, address in ((True, "gus@example.org"), (False, "hana@example.org")):
        with browsing(live_server, java_script_enabled=with_script) as (context, errors):
            page = context.new_page()
            page.goto("/subscribe/harbour-notes/")
            sign_up(page, address)
            if not with_script:
                expect(page.get_by_role("heading", name="One more step")).to_be_visible(timeout=TIMEOUT)
                page.get_by_role("button", name="Continue").click()
            expect(page.get_by_role("heading", name="Check your mail")).to_be_visible(timeout=TIMEOUT)
            assert errors == []
    process_signups()
    found = Counter(Signup.objects.values_list("address", "state"))
    assert found == {("gus@example.org", SignupState.PROCESSED): 1, ("hana@example.org", SignupState.HELD): 1}
