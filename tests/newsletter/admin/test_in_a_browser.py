"""The editors' pages in a real browser: no policy violation, no horizontal scrolling, rows moved by key and mouse."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse
from playwright.sync_api import BrowserContext, Locator, Page, sync_playwright

from newsletter.content.store import load_content
from newsletter.models import Delivery, DeliveryState, Issue, RecurringSchedule, Weekday
from newsletter.sending.recurring import plan_occurrences
from newsletter.sending.switch import stop_all_sending
from tests.feeds import make_links
from tests.newsletter.admin.pages import page_of
from tests.people import ada
from tests.publications import expand_audiences, make_issue, make_newsletter, schedule_send, start_sending

CHROMIUM = next((found for name in ("chromium", "chromium-browser") if (found := shutil.which(name))), "")
QUIET = ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-component-update"]

pytestmark = [
    pytest.mark.browser,
    pytest.mark.django_db(transaction=True),
    pytest.mark.skipif(not CHROMIUM and not os.environ.get("CI"), reason="no Chromium is installed here"),
]


@contextmanager
def browsing(live_server: Any, client: Client, **options: Any) -> Iterator[BrowserContext]:
    """A browser in which the client's editor is signed in. Django's tables are out of reach while it is open."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=QUIET)
        context = browser.new_context(base_url=live_server.url, **options)
        sign_in(context, client, live_server)
        yield context
        browser.close()


def sign_in(context: BrowserContext, client: Client, live_server: Any) -> None:
    """Make the browser the client's editor."""
    context.add_cookies([{"name": "sessionid", "value": client.cookies["sessionid"].value, "url": live_server.url}])


def watched(context: BrowserContext, console_errors: list[str]) -> Page:
    """A page whose console errors are collected, policy violations among them."""
    page = context.new_page()
    page.on("console", lambda message: console_errors.append(message.text) if message.type == "error" else None)
    page.on("pageerror", lambda error: console_errors.append(str(error)))
    return page


def titles(page: Page) -> list[str]:
    """The titles of the rows in their order, without the pills that name what is missing."""
    shown: list[str] = page.locator("[data-rows] [data-shows=title]").evaluate_all(
        "all => all.map(each => each.firstChild.data)"
    )
    return shown


def save(page: Page) -> str:
    """Press Save, and return what the server made of it."""
    with page.expect_response("**/autosave/") as answered:
        page.get_by_role("button", name="Save", exact=True).click()
    return str(answered.value.json()["state"])


@pytest.mark.parametrize(
    "options",
    [
        {"viewport": {"width": 1440, "height": 900}},
        {"viewport": {"width": 390, "height": 844}, "color_scheme": "dark"},
    ],
    ids=["desk", "dark phone"],
)
def test_no_page_violates_the_csp_or_scrolls_sideways(live_server: Any, edda: Client, options: dict[str, Any]) -> None:
    draft, started = make_issue(), start_sending(make_issue("issue-2")).issue
    scheduled = schedule_send(make_issue("issue-3")).issue
    ada(make_newsletter())
    make_links(1, 2, 3)
    RecurringSchedule.objects.create(
        newsletter=draft.newsletter, weekday=Weekday.TUESDAY, title="Harbour Notes, {date}"
    )
    plan_occurrences()
    expand_audiences()
    urls = [
        page_of(draft, name)
        for name in ("change", "revisions", "compare", "preview", "check", "test", "schedule", "send_now", "delete")
    ]
    urls += [page_of(draft, name) for name in ("feeds", "link")]
    urls += [reverse(name) for name in ("inbox", "inbox_tools", "inbox_save")]
    urls += [page_of(started, name) for name in ("change", "preview", "report", "pause", "cancel", "undo")]
    urls += [page_of(draft, name) for name in ("approve", "keep_as_draft")]
    urls += [page_of(scheduled, name) for name in ("schedule", "unschedule", "dry_run")]
    urls.append(reverse("admin:newsletter_newsletter_change", args=[draft.newsletter.pk]))
    urls += [reverse(f"admin:newsletter_issue_{name}") for name in ("changelist", "add", "import")]
    urls += [reverse("admin:index"), reverse("sending_switch")]
    # Every page then shows its banner.
    stop_all_sending(by="Edda", text="A reason without a space: " + "x" * 200)
    console_errors: list[str] = []
    with browsing(live_server, edda, **options) as context:
        page = watched(context, console_errors)
        for url in urls:
            answer = page.goto(url)
            page.wait_for_load_state("load")
            if answer is None or answer.status != 200:
                console_errors.append(f"{url} did not open")
            if page.evaluate("document.documentElement.scrollWidth > document.documentElement.clientWidth"):
                console_errors.append(f"{url} scrolls sideways")
            if page.locator("[hidden]:visible").count():
                console_errors.append(f"{url} shows hidden elements")
    assert console_errors == []


def test_rows_moved_by_keyboard_and_mouse_are_stored_in_that_order(live_server: Any, edda: Client) -> None:
    issue = make_issue()
    console_errors: list[str] = []
    with browsing(live_server, edda, viewport={"width": 1440, "height": 1400}) as context:
        page = watched(context, console_errors)
        page.goto(page_of(issue))
        move_by_keyboard(page)
        drag_by_mouse(page)
        page.get_by_role("button", name="Add story").first.click()
        page.keyboard.type("A ferry that waits")
        assert save(page) == "saved"
        page.wait_for_load_state("networkidle")  # the preview reads the tables, too
    assert console_errors == []
    by_section = {
        section.title: [story.title.removesuffix(" gets a taller crane") for story in section.stories]
        for section in load_content(Issue.objects.get()).sections
    }
    assert by_section == {
        "Deep dives": ["Quay 3", "Quay 2", "Quay 1"],
        "Signal of the day": [],
        "The pattern": ["A ferry that waits"],
    }


def move_by_keyboard(page: Page) -> None:
    page.locator("summary", has_text="Quay 1").press("Alt+ArrowDown")
    assert [title[:6] for title in titles(page)[2:5]] == ["Quay 2", "Quay 1", "Quay 3"]
    assert page.evaluate("document.activeElement.textContent").count("Quay 1") == 1
    assert page.locator("[data-announcement]").inner_text() == "Moved to 2 of 3 in Deep dives"
    # A section moves together with its stories.
    page.locator("summary", has_text="Deep dives").press("Alt+ArrowUp")
    assert [title[:6] for title in titles(page)] == ["Deep d", "Quay 2", "Quay 1", "Quay 3", "Signal", "The pa"]


def drag_by_mouse(page: Page) -> None:
    grip = page.locator("[data-row]", has_text="Quay 3").locator("[data-grip]").bounding_box()
    target = page.locator("[data-row]", has_text="Quay 2").bounding_box()
    assert grip is not None
    assert target is not None
    page.mouse.move(grip["x"] + 8, grip["y"] + 8)
    page.mouse.down()
    page.mouse.move(target["x"] + 20, target["y"] + 4, steps=5)
    page.mouse.up()
    assert [title[:6] for title in titles(page)[1:4]] == ["Quay 3", "Quay 2", "Quay 1"]


def test_blocks_are_added_from_a_menu_and_show_the_fields_of_their_kind(live_server: Any, edda: Client) -> None:
    issue = make_issue()
    console_errors: list[str] = []
    with browsing(live_server, edda, viewport={"width": 1440, "height": 1400}) as context:
        page = watched(context, console_errors)
        page.goto(page_of(issue))
        # The new block goes below the row that had the focus.
        page.locator("summary", has_text="The pattern").focus()
        add_block(page, "Quote")
        quote = page.locator("[data-rows] > [data-row]").last
        assert labels_of(quote) == ["Link to the source (optional)", "Author", "Quotation"]
        assert page.evaluate("document.activeElement.name").endswith("-url")
        quote.locator("[name$=-body]").fill("Ports are quiet.")
        quote.locator("[name$=-source]").fill("Ada")
        add_block(page, "Divider")
        # A story may belong to a block, and moves with it.
        page.get_by_role("button", name="Add story", exact=True).click()
        page.keyboard.type("A ferry that waits")
        page.locator("summary", has_text="Divider").press("Alt+ArrowUp")
        assert titles(page)[-3:] == ["Divider", "A ferry that waits", "Quote"]
        assert save(page) == "saved"
    assert console_errors == []
    *_, divider, last = load_content(Issue.objects.get()).sections
    assert (divider.kind, [story.title for story in divider.stories]) == ("divider", ["A ferry that waits"])
    assert (last.kind, last.body, last.source) == ("quote", "Ports are quiet.", "Ada")


def add_block(page: Page, name: str) -> None:
    page.locator("[data-menu] > summary").press("Enter")
    page.locator("[data-menu]").get_by_role("button", name=name, exact=True).press("Enter")


def labels_of(row: Locator) -> list[str]:
    labels = row.locator(".row-fields > label").evaluate_all("all => all.map(each => each.firstChild.data)")
    return [label.strip() for label in labels]


def test_going_back_shows_the_stored_content_and_not_what_was_typed_before(live_server: Any, edda: Client) -> None:
    issue = make_issue()
    with browsing(live_server, edda) as context:
        ours, theirs = context.new_page(), context.new_page()
        for page, preheader in ((ours, "As Edda has it"), (theirs, "As another editor has it")):
            page.goto(page_of(issue))
            page.get_by_label("Preheader").fill(preheader)
            assert save(page) == "saved"
            page.goto(page_of(issue, "revisions"))
        ours.go_back(wait_until="load")
        revision, preheader = (
            ours.locator("[name=based_on]").input_value(),
            ours.get_by_label("Preheader").input_value(),
        )
    issue.refresh_from_db()
    assert (int(revision), preheader) == (issue.revision, "As another editor has it")


def test_a_report_announces_each_tenth_to_screen_readers(
    live_server: Any, edda: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Playwright runs an event loop in this thread.
    monkeypatch.setenv("DJANGO_ALLOW_ASYNC_UNSAFE", "true")
    ada(make_newsletter())
    issue = start_sending(make_issue()).issue
    expand_audiences()
    with browsing(live_server, edda) as context:
        page = context.new_page()
        page.goto(page_of(issue, "report"))
        Delivery.objects.update(state=DeliveryState.ACCEPTED)
        page.locator("[aria-live]", has_text="100 percent of the mails").wait_for(timeout=15_000, state="attached")


def test_a_report_refreshes_until_the_send_ends(live_server: Any, edda: Client) -> None:
    ada(make_newsletter())
    issue = start_sending(make_issue()).issue
    expand_audiences()
    with browsing(live_server, edda) as context:
        page = context.new_page()
        page.goto(page_of(issue, "report"))
        other = context.new_page()
        other.goto(page_of(issue, "cancel"))
        other.get_by_role("button", name="Cancel the send").click()
        page.locator(".issue-bar .pill", has_text="Cancelled").wait_for(timeout=15_000)
        assert page.locator("[data-poll]").get_attribute("data-poll") == "0"
