"""No page has a barrier that axe-core finds, or scrolls sideways: on a phone and a screen, in light and dark."""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.test import Client
from django.utils import timezone
from playwright.sync_api import Page
from pytest_django import Settings

from newsletter.admin import report_provider
from newsletter.engagement.disabled_links import DISABLED
from newsletter.models import Newsletter, PostmasterDay, Send, SendCount, SendState
from newsletter.providers.counts import MailCounts
from newsletter.reports.provider_counts import ProviderCounts
from tests.accessibility import across_issues, archives, site, starts, web_versions
from tests.accessibility.axe import RUN, axe_script, findings_on_every_screen
from tests.newsletter.admin.test_in_a_browser import browsing, pytestmark

__all__ = ["pytestmark"]

#: A folder for pictures of the pages, if you want to look at them.
PICTURES = os.environ.get("PICTURES", "")


@pytest.fixture
def newsletter(settings: Settings, live_server: Any, transactional_db: None) -> Newsletter:
    settings.SITE_URL = live_server.url
    return site.fill_list()


@pytest.fixture
def editor(transactional_db: None, client: Client) -> Client:
    client.force_login(User.objects.create_superuser("edda", "edda@example.org", "a long password"))
    return client


Step = Callable[[Page], None]


def submit(name: str) -> Step:
    """A button that shows a page of its own."""
    return lambda page: page.get_by_role("button", name=name, exact=True).first.click()


def look_at(live_server: Any, editor: Client, pages: dict[str, str], steps: dict[str, tuple[str, Step]]) -> list[str]:
    """The findings on all pages, then on those that a step leads to from one of them."""
    script, found = axe_script(), []
    with browsing(live_server, editor, viewport={"width": 1440, "height": 900}, bypass_csp=True) as context:
        page = context.new_page()
        for name, (url, step) in {**{name: (url, None) for name, url in pages.items()}, **steps}.items():
            answer = page.goto(url)
            if answer is None or answer.status not in (200, 404, 410):
                found.append(f"{name} did not open")
                continue
            if step:
                step(page)
                page.wait_for_load_state("load")
            found += [f"{name}: {each}" for each in findings_on_every_screen(page, script)]
            if PICTURES:
                take_pictures(page, name)
    return found


def take_pictures(page: Page, name: str) -> None:
    for width, scheme in ((390, "light"), (1440, "light"), (1440, "dark")):
        page.set_viewport_size({"width": width, "height": 900})
        page.emulate_media(color_scheme="dark" if scheme == "dark" else "light")
        page.screenshot(path=f"{PICTURES}/{name}-{width}-{scheme}.png", full_page=True)


def test_the_pages_of_subscribers_have_no_barrier(live_server: Any, editor: Client, newsletter: Newsletter) -> None:
    pages = site.public_pages(newsletter)

    def without_address(page: Page) -> None:
        page.locator("form[method=post]").first.evaluate("form => form.noValidate = true")
        page.get_by_role("button", name="Subscribe").click()
        page.get_by_role("alert").wait_for()

    def wrong_address(page: Page) -> None:
        page.get_by_text("Change address").first.click()
        page.get_by_label("New email address").fill("no address")
        page.get_by_role("button", name="Change address").click()
        page.get_by_role("alert").wait_for()

    steps: dict[str, tuple[str, Step]] = {
        "sign-up-error": (pages["sign-up"], without_address),
        "preferences-error": (pages["preferences"], wrong_address),
        "confirmed": (pages["confirm"], submit("Confirm subscription")),
        "address-confirmed": (pages["confirm-address"], submit("Confirm this address")),
        "address-refused": (pages["refuse-address"], submit("It was not me")),
        "stays": (pages["stay"], submit("Keep my subscription")),
        "declined": (pages["decline"], submit("This was not me")),
        "unsubscribed": (pages["unsubscribe"], submit("Unsubscribe")),
        "erased": (pages["erase-me"], submit("Delete my data")),
    }
    assert "\n".join(look_at(live_server, editor, pages, steps)) == ""


def test_the_list_of_subscribers_has_no_barrier(live_server: Any, editor: Client, newsletter: Newsletter) -> None:
    pages = site.subscriber_pages(newsletter)
    steps: dict[str, tuple[str, Step]] = {"add-error": (pages["add"], submit("Add subscriber"))}
    assert "\n".join(look_at(live_server, editor, pages, steps)) == ""


def test_brands_have_no_barrier(live_server: Any, editor: Client, newsletter: Newsletter) -> None:
    pages = site.brand_pages(newsletter)

    def wrong_color(page: Page) -> None:
        page.locator("#id_accent").fill("red")
        page.get_by_role("button", name="Save brand").click()
        page.get_by_role("alert").wait_for()

    steps: dict[str, tuple[str, Step]] = {"brand-error": (pages["brand"], wrong_color)}
    assert "\n".join(look_at(live_server, editor, pages, steps)) == ""


def test_segments_fields_tags_and_rules_have_no_barrier(
    live_server: Any, editor: Client, newsletter: Newsletter
) -> None:
    pages = site.record_pages(newsletter)
    steps: dict[str, tuple[str, Step]] = {
        "segment-error": (pages["segment-add"], submit("Save segment")),
    }
    assert "\n".join(look_at(live_server, editor, pages, steps)) == ""


def test_the_import_wizard_has_no_barrier(live_server: Any, editor: Client, newsletter: Newsletter) -> None:
    pages = site.import_pages()
    steps: dict[str, tuple[str, Step]] = {
        "upload-error": (pages["upload"], submit("Continue to columns")),
        "columns-error": (pages["columns-asks"], submit("Continue to review")),
    }
    assert "\n".join(look_at(live_server, editor, pages, steps)) == ""


def test_the_import_of_an_archive_has_no_barrier(live_server: Any, editor: Client, newsletter: Newsletter) -> None:
    pages = archives.archive_import_pages()

    def no_file(page: Page) -> None:
        page.get_by_role("button", name="Continue to review").click()
        page.get_by_role("alert").wait_for()

    assert look_at(live_server, editor, pages, {"archive-no-file": (pages["archive-upload"], no_file)}) == []


def test_the_audience_of_an_issue_has_no_barrier(live_server: Any, editor: Client, newsletter: Newsletter) -> None:
    pages = site.issue_pages(newsletter)
    assert "\n".join(look_at(live_server, editor, pages, {})) == ""


def test_the_report_and_what_sponsors_see_have_no_barrier(
    live_server: Any, editor: Client, newsletter: Newsletter, monkeypatch: pytest.MonkeyPatch
) -> None:
    counts = MailCounts(sent=110, delivered=66, bounced=9, complained=3, opened=41, clicked=17)
    found = ProviderCounts(provider="resend", counts=counts, is_of_send=False, is_complete=False)
    monkeypatch.setattr(report_provider, "provider_counts", lambda _send: found)
    pages = site.report_pages(newsletter)

    def open_the_count(page: Page) -> None:
        page.get_by_text("Provider’s own count").click()
        page.get_by_text("Refresh").wait_for()

    steps: dict[str, tuple[str, Step]] = {
        "report-with-count": (pages["report"], open_the_count),
        "report-shared": (pages["report-share"], submit("Make link")),
    }
    assert "\n".join(look_at(live_server, editor, pages, steps)) == ""


def test_the_report_is_printed_on_two_pages(live_server: Any, editor: Client, newsletter: Newsletter) -> None:
    """Also with every place, twenty mail domains and all tables."""
    url = site.report_pages(newsletter)["report"]
    send = Send.objects.latest("pk")
    domains = [f"mail{number}.example" for number in range(25)]
    SendCount.objects.add({(send.pk, "domain", domain, "delivered"): 200 for domain in domains})
    SendCount.objects.add({(send.pk, "", "", "event.delivered"): 5000})
    Send.objects.filter(pk=send.pk).update(state=SendState.SENT, expanded_at=timezone.now(), finished_at=timezone.now())
    with browsing(live_server, editor, viewport={"width": 1440, "height": 900}) as context:
        page = context.new_page()
        page.goto(url)
        printed = page.pdf(format="A4", prefer_css_page_size=True)
    assert re.findall(rb"/Type\s*/Pages\b.*?/Count (\d+)", printed, re.DOTALL) == [b"2"]


def test_the_pages_of_webhooks_have_no_barrier(live_server: Any, editor: Client, newsletter: Newsletter) -> None:
    pages = site.webhook_pages(newsletter)
    steps: dict[str, tuple[str, Step]] = {
        "webhook-error": (pages["webhook-add"], submit("Save")),
        "webhook-secret": (pages["webhook"], submit("Replace secret")),
    }
    assert "\n".join(look_at(live_server, editor, pages, steps)) == ""


def test_the_pages_of_links_have_no_barrier(live_server: Any, editor: Client, settings: Any, tmp_path: Path) -> None:
    settings.LINK_TABLES_DIR = tmp_path / "links"
    pages = site.link_pages()

    def without_reason(page: Page) -> None:
        page.locator("#id_reason").evaluate("field => field.required = false")
        page.get_by_role("button", name="Disable link").click()
        page.get_by_role("alert").wait_for()

    steps: dict[str, tuple[str, Step]] = {"link-error": (pages["link"], without_reason)}
    try:
        assert "\n".join(look_at(live_server, editor, pages, steps)) == ""
    finally:
        DISABLED.forget()


def test_the_page_about_deliverability_has_no_barrier(
    live_server: Any, editor: Client, newsletter: Newsletter, settings: Any
) -> None:
    settings.DMARC_REPORT_ADDRESS = "dmarc@reports.example.org"
    empty = {"deliverability-empty": "/admin/deliverability/"}
    assert "\n".join(look_at(live_server, editor, empty, {})) == ""
    pages = site.deliverability_pages(newsletter)

    def open_details(page: Page) -> None:
        for summary in page.locator("#content details > summary").all():
            summary.click()

    def without_file(page: Page) -> None:
        page.locator("#id_report").evaluate("field => field.required = false")
        page.get_by_role("button", name="Add report").click()
        page.get_by_role("alert").wait_for()

    steps: dict[str, tuple[str, Step]] = {
        "deliverability-open": (pages["deliverability"], open_details),
        "deliverability-error": (pages["deliverability"], without_file),
    }
    assert "\n".join(look_at(live_server, editor, pages, steps)) == ""
    PostmasterDay.objects.filter(spam_rate__isnull=False).update(spam_rate=0.004)
    assert "\n".join(look_at(live_server, editor, {"deliverability-stopped": pages["deliverability"]}, {})) == ""


def test_the_pages_about_many_issues_have_no_barrier(live_server: Any, editor: Client, newsletter: Newsletter) -> None:
    def by_source(page: Page) -> None:
        page.get_by_text("By source").click()

    pages = across_issues.pages(newsletter)
    steps: dict[str, tuple[str, Step]] = {"growth-cohorts-by-source": (pages["growth-cohorts"], by_source)}
    assert "\n".join(look_at(live_server, editor, pages, steps)) == ""


def test_web_versions_have_no_barrier(live_server: Any, editor: Client, newsletter: Newsletter) -> None:
    pages = web_versions.pages(newsletter)

    def show_changes(page: Page) -> None:
        page.locator("#id_text").evaluate("field => field.value = field.value.replace('cranes', 'low cranes')")
        page.get_by_label("Note to visitors").fill("The cranes are low.")
        page.get_by_role("button", name="Show changes").click()
        page.get_by_text("Nothing is published yet.").wait_for()

    def preview(page: Page) -> None:
        page.locator("#id_text").evaluate("field => field.value = field.value.replace('Taller', 'Lower')")
        page.get_by_role("button", name="Preview").click()
        page.frame_locator("[name=preview]").get_by_role("heading", name="Lower cranes").wait_for()

    steps: dict[str, tuple[str, Step]] = {
        "web-correct-changes": (pages["web-correct"], show_changes),
        "web-correct-preview": (pages["web-correct"], preview),
        "web-correct-error": (pages["web-correct"], submit("Show changes")),
    }
    assert "\n".join(look_at(live_server, editor, pages, steps)) == ""


def test_the_pages_that_drafts_start_from_have_no_barrier(
    live_server: Any, editor: Client, newsletter: Newsletter
) -> None:
    def open_the_menu(page: Page) -> None:
        page.locator(".start-menu > summary").click()

    pages = starts.pages(newsletter)
    opened = {"overview-menu": (pages["overview-menu"], open_the_menu)}
    undone = {"start-undo": (pages["start-delete"], submit("Delete draft"))}
    assert "\n".join(look_at(live_server, editor, pages, {**opened, **undone})) == ""


def test_the_overview_and_growth_have_no_barrier(live_server: Any, editor: Client, newsletter: Newsletter) -> None:
    pages = site.overview_pages(newsletter)
    assert "\n".join(look_at(live_server, editor, pages, {})) == ""


def test_the_frame_and_the_open_menu_have_no_barrier(live_server: Any, editor: Client, newsletter: Newsletter) -> None:
    """The pages of an account, of users, and of a login; and on a phone the navigation over a page."""
    pages = {
        "password": "/admin/password_change/",
        "user-add": "/admin/auth/user/add/",
        "groups": "/admin/auth/group/",
        "newsletter-history": f"/admin/newsletter/newsletter/{newsletter.pk}/history/",
    }
    assert "\n".join(look_at(live_server, editor, pages, {})) == ""
    script, found = axe_script(), []
    with browsing(live_server, editor, viewport={"width": 390, "height": 844}, bypass_csp=True) as context:
        page = context.new_page()
        for scheme in ("light", "dark"):
            page.emulate_media(color_scheme=scheme, reduced_motion="reduce")
            for opener in ("Menu", "edda"):
                page.goto("/admin/newsletter/send/")
                page.get_by_role("button", name=opener).click()
                page.evaluate(script)
                found += [f"{opener}, {scheme}: {each}" for each in page.evaluate(RUN)]
                if PICTURES:
                    page.screenshot(path=f"{PICTURES}/open-{opener}-390-{scheme}.png")
        context.clear_cookies()
        page.goto("/admin/login/")
        found += [f"login: {each}" for each in findings_on_every_screen(page, script)]
        if PICTURES:
            take_pictures(page, "login")
    assert found == []
