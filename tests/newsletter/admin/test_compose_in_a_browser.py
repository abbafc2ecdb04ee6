"""Composing in a real browser: nothing typed is lost, everything is done by keyboard, and the page stays small."""

from __future__ import annotations

import contextlib
import itertools
from dataclasses import replace
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse
from playwright.sync_api import BrowserContext, Dialog, Error, Locator, Page

from newsletter.config.configuration import PROJECT_ROOT
from newsletter.content.document import IssueContent, SectionContent, SectionKind, StoryContent
from newsletter.content.snippets import save_version
from newsletter.content.store import load_content, save_content
from newsletter.models import Issue, Snippet
from tests.newsletter.admin.pages import page_of
from tests.newsletter.admin.test_in_a_browser import browsing, pytestmark, save, sign_in, titles, watched
from tests.publications import make_issue

__all__ = ["pytestmark"]

SCRIPTS = ("compose.js", "autosave.js", "writing.js", "preview.js")
DESK = {"width": 1440, "height": 900}
PHONE = {"width": 390, "height": 844}
SENTENCES = (
    "None of this is new; it had simply not been written down in one place. Two apprentices measured the keel by hand "
    "before anyone ordered timber. What surprised the team was not the cost but the noise that was missing. The yard "
    "kept every drawing, so the new frames follow the old ones to the millimetre. Crews say that the first winter "
    "decides whether a repair was honest, and that nobody who stood on the quay in March would have called it so."
)


def make_long_issue() -> Issue:
    """31 stories in 5 sections, and 3 blocks."""
    numbers = itertools.count(1)

    def story() -> StoryContent:
        number = next(numbers)
        title = f"Story {number}: two sisters run the last sail loft on the estuary"
        return StoryContent(title=title, url=f"https://loft.example/{number}", source="Slipway Weekly", body=SENTENCES)

    sections = tuple(
        SectionContent(title=f"Ships and yards, part {part}", stories=tuple(story() for _ in range(count)))
        for part, count in enumerate((7, 6, 6, 6, 6), start=1)
    )
    blocks = (
        SectionContent(kind=SectionKind.CALLOUT, title="Quiet", body=SENTENCES),
        SectionContent(kind=SectionKind.QUOTE, body="Ports are quiet.", source="Ada"),
        SectionContent(kind=SectionKind.DIVIDER),
    )
    issue = make_issue()
    save_content(issue, replace(load_content(issue), sections=(*sections, *blocks)), by="tests")
    return issue


def row(page: Page, title: str) -> Locator:
    return page.locator("[data-rows] > [data-row]", has=page.locator(f"summary:has-text('{title}')"))


def state(page: Page) -> Locator:
    return page.locator("[data-state]:visible")


def stored() -> IssueContent:
    return load_content(Issue.objects.get())


def without_answers(page: Page) -> None:
    """From now on, no autosave of the page is answered."""
    page.route("**/autosave/", lambda route: None)


# Nothing is lost


def test_an_untouched_page_is_left_without_a_question(live_server: Any, edda: Client) -> None:
    issue = make_issue()
    asked: list[str] = []
    with browsing(live_server, edda, viewport=DESK) as context:
        page = context.new_page()

        def accept(dialog: Dialog) -> None:
            asked.append(dialog.type)
            dialog.accept()

        page.on("dialog", accept)
        page.goto(page_of(issue))
        page.locator("summary", has_text="Quay 2").click()
        page.get_by_role("link", name="Preview").first.click()
        page.wait_for_url("**/preview/")
    assert asked == []


def test_enter_in_a_field_never_saves_and_saving_keeps_row_scroll_and_focus(live_server: Any, edda: Client) -> None:
    issue = make_long_issue()
    sent: list[str] = []
    with browsing(live_server, edda, viewport=DESK) as context:
        page = context.new_page()
        page.on("request", lambda request: sent.append(request.url) if request.method == "POST" else None)
        page.goto(page_of(issue))
        page.locator("summary", has_text="Story 20:").press("Enter")
        page.keyboard.press("Enter")
        assert page.evaluate("document.activeElement.name").endswith("-title")
        page.keyboard.press("End")
        page.keyboard.type(", quietly")
        assert sent == []
        before = page.evaluate("[scrollY, document.activeElement.name]")
        with page.expect_response("**/autosave/"):
            page.keyboard.press("Control+s")
        state(page).filter(has_text="Saved").wait_for()
        assert page.evaluate("[scrollY, document.activeElement.name]") == before
        assert row(page, "Story 20:").locator("details").get_attribute("open") is not None
    assert [each.title for each in stored().stories()][19].endswith("estuary, quietly")


def test_text_is_saved_after_a_pause_and_at_once_on_leaving_a_row(live_server: Any, edda: Client) -> None:
    issue = make_issue()
    with browsing(live_server, edda, viewport=DESK) as context:
        page = context.new_page()
        page.clock.install()
        page.goto(page_of(issue))
        page.get_by_label("Preheader").fill("Typed")
        with page.expect_response("**/autosave/"):
            page.clock.run_for(1500)
        page.locator("summary", has_text="Quay 1").press("Enter")
        page.keyboard.type("Now: ")
        with page.expect_response("**/autosave/"):
            page.locator("summary", has_text="Quay 3").focus()
        state(page).filter(has_text="Saved").wait_for()
    issue.refresh_from_db()
    assert issue.preheader == "Typed"
    assert next(stored().stories()).title.startswith("Now: ")
    # Both, and what was there before.
    assert issue.revisions.count() == 2


def test_text_of_a_killed_tab_is_offered_compared_and_restored(live_server: Any, edda: Client) -> None:
    issue = make_issue()
    with browsing(live_server, edda, viewport=DESK) as context:
        typed_and_killed(context, issue, "Typed before the crash.")
        page = context.new_page()
        page.goto(page_of(issue))
        offer = page.locator("[data-copy]")
        offer.get_by_text("There is unsaved text from").wait_for()
        offer.get_by_role("button", name="Compare").click()
        offer.locator("ins", has_text="Typed before the crash.").wait_for()
        with page.expect_response("**/autosave/"):
            offer.get_by_role("button", name="Restore").click()
        state(page).filter(has_text="Saved").wait_for()
        page.reload()
        assert not page.locator("[data-copy]").is_visible()
    assert next(stored().stories()).body == "Typed before the crash."


def test_text_of_a_killed_tab_can_be_discarded(live_server: Any, edda: Client) -> None:
    issue = make_issue()
    with browsing(live_server, edda, viewport=DESK) as context:
        typed_and_killed(context, issue, "Typed before the crash.")
        page = context.new_page()
        page.goto(page_of(issue))
        page.locator("[data-copy]").get_by_role("button", name="Discard").click()
        page.reload()
        page.locator("form.with-script").wait_for()
        assert page.evaluate("Object.keys(localStorage).filter(key => key.startsWith('compose '))") == []
    assert "crash" not in next(stored().stories()).body


def test_text_of_a_new_issue_without_a_title_is_kept_on_the_device(live_server: Any, edda: Client) -> None:
    make_issue()
    with browsing(live_server, edda, viewport=DESK) as context:
        page = context.new_page()
        page.goto(reverse("admin:newsletter_issue_add"))
        page.get_by_label("Preheader").fill("Typed first")
        state(page).filter(has_text="Kept on this device.").wait_for()
        page.close()
        page = context.new_page()
        page.goto(reverse("admin:newsletter_issue_add"))
        page.locator("[data-copy]").get_by_role("button", name="Restore").click()
        assert page.get_by_label("Preheader").input_value() == "Typed first"
    assert Issue.objects.count() == 1


def typed_and_killed(context: BrowserContext, issue: Issue, words: str) -> None:
    page = context.new_page()
    without_answers(page)
    page.goto(page_of(issue))
    page.locator("summary", has_text="Quay 1").press("Enter")
    row(page, "Quay 1").get_by_label("Text").fill(words)
    # The process of the page ends without any event.
    with contextlib.suppress(Error):
        page.goto("chrome://crash", timeout=5_000)
    page.close()


def test_text_typed_offline_is_kept_and_saved_once_the_connection_is_back(live_server: Any, edda: Client) -> None:
    issue = make_issue()
    with browsing(live_server, edda, viewport=DESK) as context:
        page = context.new_page()
        page.goto(page_of(issue))
        context.set_offline(True)
        page.get_by_label("Preheader").fill("Typed on a train")
        state(page).filter(has_text="Not saved: offline. Kept on this device.").wait_for()
        assert page.locator("[data-announcement]").inner_text() == "Not saved: offline. Kept on this device."
        with page.expect_response("**/autosave/"):
            context.set_offline(False)
        state(page).filter(has_text="Saved").wait_for()
    issue.refresh_from_db()
    assert issue.preheader == "Typed on a train"


def test_an_editor_who_was_logged_out_goes_on_after_a_log_in_in_another_tab(live_server: Any, edda: Client) -> None:
    issue = make_issue()
    with browsing(live_server, edda, viewport=DESK) as context:
        page = context.new_page()
        page.goto(page_of(issue))
        context.clear_cookies()
        page.get_by_label("Preheader").fill("Typed for an hour")
        state(page).filter(has_text="Not saved: logged out.").wait_for()
        assert page.get_by_role("link", name="Log in in a new tab").get_attribute("target") == "_blank"
        # A log-in starts a new session with a new CSRF token, so that the one in the page is invalid.
        sign_in(context, edda, live_server)
        with page.expect_response(lambda answer: answer.url.endswith("/autosave/") and answer.status == 200):
            page.evaluate("window.dispatchEvent(new Event('focus'))")
        state(page).filter(has_text="Saved").wait_for()
    issue.refresh_from_db()
    assert issue.preheader == "Typed for an hour"


def test_the_second_of_two_tabs_learns_who_saved_and_compares(live_server: Any, edda: Client) -> None:
    issue = make_issue()
    with browsing(live_server, edda, viewport=DESK) as context:
        ours, theirs = context.new_page(), context.new_page()
        for page in (ours, theirs):
            page.goto(page_of(issue))
        theirs.get_by_label("Preheader").fill("Theirs")
        assert save(theirs) == "saved"
        ours.get_by_label("Subject").fill("Ours")
        state(ours).filter(has_text="edda saved a newer revision.").wait_for()
        ours.get_by_role("link", name="Compare").click()
        ours.get_by_role("heading", name="was saved just now by edda").wait_for()
        assert ours.get_by_label("Subject").input_value() == "Ours"
        ours.get_by_role("checkbox", name="Replace revision 2").check()
        assert save(ours) == "saved"
    content = stored()
    assert (content.subject, content.preheader) == ("Ours", "And why the lock keeper smiles.")


def test_an_incomplete_row_is_kept_and_named_and_does_not_block_the_rest(live_server: Any, edda: Client) -> None:
    issue = make_issue()
    with browsing(live_server, edda, viewport=DESK) as context:
        page = context.new_page()
        page.goto(page_of(issue))
        page.locator("summary", has_text="Quay 1").press("Enter")
        row(page, "Quay 1").get_by_label("Link").fill("https:/")
        page.get_by_label("Preheader").fill("Typed after it")
        with page.expect_response("**/autosave/") as answered:
            page.keyboard.press("Control+s")
        assert answered.value.json()["state"] == "unfinished"
        # By hand: the errors are summed up, and the caret is in the first field that has one.
        page.get_by_role("alert").get_by_text("is not a full web address").wait_for()
        assert page.title().startswith("Error: ")
        assert page.evaluate("document.activeElement.name").endswith("-url")
        assert page.evaluate("document.activeElement.getAttribute('aria-invalid')") == "true"
        page.reload()
        assert page.get_by_text("This is your unfinished text").is_visible()
        page.get_by_role("button", name="story 1: error").wait_for()
        assert page.get_by_label("Preheader").input_value() == "Typed after it"
        row(page, "Quay 1").get_by_label("Link").fill("https://quay.example/1")
        assert save(page) == "saved"
        page.get_by_text("This is your unfinished text").wait_for(state="detached")
    assert stored().preheader == "Typed after it"


def test_a_new_issue_goes_on_as_the_issue_that_its_first_save_made(live_server: Any, edda: Client) -> None:
    make_issue()
    with browsing(live_server, edda, viewport=DESK) as context:
        page = context.new_page()
        page.goto(reverse("admin:newsletter_issue_add"))
        page.get_by_label("Title").first.fill("Quiet engines")
        with page.expect_response("**/autosave/"):
            page.get_by_label("Slug").focus()
            page.get_by_label("Slug").fill("quiet-engines")
        page.wait_for_url("**/change/")
        page.get_by_label("Preheader").fill("Typed on")
        page.keyboard.press("Control+s")
        page.locator("iframe[name=preview]").wait_for()
    made = Issue.objects.get(title="Quiet engines")
    assert (made.slug, made.preheader) == ("quiet-engines", "Typed on")


# Rows by keyboard and mouse


def test_rows_are_opened_moved_selected_duplicated_and_removed_by_keyboard(live_server: Any, edda: Client) -> None:
    issue = make_issue()
    console_errors: list[str] = []
    with browsing(live_server, edda, viewport=DESK) as context:
        page = watched(context, console_errors)
        page.goto(page_of(issue))
        page.locator("summary", has_text="Quay 1").press("Enter")
        assert page.evaluate("document.activeElement.name").endswith("-title")
        page.keyboard.press("Escape")
        assert focused_row(page).startswith("Quay 1")
        page.keyboard.press("ArrowDown")
        page.keyboard.press(" ")
        page.keyboard.press("Shift+ArrowDown")
        assert page.locator("[data-selected-count]").inner_text() == "2 rows selected"
        assert row(page, "Quay 2").locator("details").get_attribute("open") is None
        # Both move, past the first; then the bar moves them to another section.
        page.keyboard.press("Alt+ArrowUp")
        assert [title[:6] for title in titles(page)[2:5]] == ["Quay 2", "Quay 3", "Quay 1"]
        page.locator("[data-selection]").get_by_role("button", name="Move to section…").press("Enter")
        page.get_by_role("menuitem", name="The pattern").press("Enter")
        assert [title[:6] for title in titles(page)] == ["Signal", "Deep d", "Quay 1", "The pa", "Quay 2", "Quay 3"]
        page.locator("[data-selection]").get_by_role("button", name="Duplicate").press("Enter")
        page.locator("[data-selection]").get_by_role("button", name="Clear selection").press("Enter")
        assert len(titles(page)) == 8
        page.locator("summary", has_text="Quay 1").press("Delete")
        assert focused_row(page).startswith("The pattern")
        page.keyboard.press("Control+Enter")
        page.keyboard.type("A ferry that waits")
        assert save(page) == "saved"
    assert console_errors == []
    by_section = {each.title: [story.title[:6] for story in each.stories] for each in stored().sections}
    expected = ["A ferr", "Quay 2", "Quay 3", "Quay 2", "Quay 3"]
    assert by_section == {"Signal of the day": [], "Deep dives": [], "The pattern": expected}


def focused_row(page: Page) -> str:
    return str(page.evaluate("document.activeElement.querySelector('[data-shows=title]').textContent"))


def test_each_change_of_the_rows_is_undone_without_taking_back_what_was_typed(live_server: Any, edda: Client) -> None:
    issue = make_issue()
    with browsing(live_server, edda, viewport=DESK) as context:
        page = context.new_page()
        page.goto(page_of(issue))
        before = titles(page)
        page.locator("summary", has_text="Quay 2").press("Delete")
        assert page.locator("[data-message]").inner_text().startswith("Quay 2 gets a taller crane is removed.")
        page.locator("summary", has_text="Quay 1").press("Alt+ArrowDown")
        page.locator("summary", has_text="Quay 3").press("Enter")
        page.keyboard.press("End")
        page.keyboard.type(" again")
        undo = page.locator(".compose-tools").get_by_role("button", name="Undo")
        undo.click()
        undo.click()
        assert titles(page) == [*before[:4], f"{before[4]} again", before[5]]
        assert undo.is_disabled()
        assert save(page) == "saved"
    assert len(list(stored().stories())) == 3


def test_the_menu_of_a_row_does_what_dragging_does(live_server: Any, edda: Client) -> None:
    issue = make_issue()
    with browsing(live_server, edda, viewport=DESK) as context:
        page = context.new_page()
        page.goto(page_of(issue))
        more = row(page, "Quay 1").get_by_role("button", name="More actions")
        more.press("Enter")
        assert more.get_attribute("aria-expanded") == "true"
        page.keyboard.press("ArrowDown")
        page.keyboard.press("Escape")
        assert page.evaluate("document.activeElement.dataset.more") == ""
        more.press("Enter")
        page.get_by_role("menuitem", name="Move down").press("Enter")
        assert [title[:6] for title in titles(page)[2:5]] == ["Quay 2", "Quay 1", "Quay 3"]
        more.click()
        page.get_by_role("menuitem", name="Move to section…").click()
        page.get_by_role("menuitem", name="Signal of the day").click()
        assert titles(page)[1].startswith("Quay 1")
        assert page.locator("[data-announcement]").inner_text() == "Moved to 1 of 3 in Signal of the day"


def test_pasted_links_become_rows_and_one_undo_takes_them_back(live_server: Any, edda: Client) -> None:
    issue = make_issue()
    pasted = "[A ferry](https://ferry.example/1) · Ferry Post\n[A lock](https://lock.example/2)\nhttps://quay.example/3"
    with browsing(live_server, edda, viewport=DESK, bypass_csp=True) as context:
        page = context.new_page()
        page.goto(page_of(issue))
        page.get_by_role("button", name="Add story", exact=True).click()
        paste(page, pasted)
        page.locator("[data-message]", has_text="3 rows added.").wait_for()
        assert titles(page)[-3:] == ["A ferry", "A lock", "(no title)"]
        page.locator("[data-message]").get_by_role("button", name="Undo").click()
        assert len(titles(page)) == 7
        # Other text with a line break is inserted as text.
        page.locator("summary", has_text="Quay 1").press("Enter")
        page.keyboard.press("End")
        paste(page, "and\nmore")
        page.wait_for_function("document.activeElement.value.includes('more')")


def paste(page: Page, text: str) -> None:
    page.evaluate(
        """text => {
            const data = new DataTransfer();
            data.setData("text/plain", text);
            const paste = new ClipboardEvent("paste", { clipboardData: data, bubbles: true, cancelable: true });
            document.activeElement.dispatchEvent(paste);
        }""",
        text,
    )


def test_the_toolbar_and_its_keys_write_markdown_that_the_browser_can_undo(live_server: Any, edda: Client) -> None:
    issue = make_issue()
    with browsing(live_server, edda, viewport=DESK) as context:
        page = context.new_page()
        page.goto(page_of(issue))
        page.locator("summary", has_text="Quay 1").press("Enter")
        text = row(page, "Quay 1").get_by_label("Text")
        for key, button, expected in (
            ("Control+b", "Bold", "**Cranes**"),
            ("Control+i", "Italic", "*Cranes*"),
            ("Control+k", "Link", "[Cranes](https://)"),
            ("", "List", "- Cranes"),
            ("", "Quote", "> Cranes"),
        ):
            for way in filter(None, (key, button)):
                text.fill("Cranes")
                text.press("Control+a")
                if way == button:
                    page.get_by_role("toolbar").get_by_role("button", name=button).click()
                else:
                    page.keyboard.press(way)
                assert text.input_value() == expected
                page.keyboard.press("Control+z")
                assert text.input_value() == "Cranes"
        toolbar = page.get_by_role("toolbar")
        toolbar.get_by_role("button", name="Bold").focus()
        page.keyboard.press("ArrowRight")
        assert page.evaluate("document.activeElement.dataset.format") == "italic"
        assert toolbar.locator("button[tabindex='0'], button:not([tabindex])").count() == 1


# The preview, the counters, and the phone


def test_the_preview_has_its_true_width_follows_the_row_and_keeps_its_place(live_server: Any, edda: Client) -> None:
    issue = make_long_issue()
    with browsing(live_server, edda, viewport=DESK, bypass_csp=True) as context:
        page = context.new_page()
        page.goto(page_of(issue))
        inner = page.frame_locator("iframe[name=preview]")
        page.locator("summary", has_text="Story 20:").press("Enter")
        inner.locator("[data-followed]", has_text="Story 20:").wait_for()
        top = "document.querySelector('iframe').contentWindow.scrollY"
        assert page.evaluate(top) > 1000
        page.get_by_label("Follow the row").uncheck()
        page.evaluate("document.querySelector('iframe').contentWindow.scrollTo(0, 777)")
        page.keyboard.press("Control+s")
        page.wait_for_function("!document.querySelector('iframe').contentDocument.querySelector('[data-followed]')")
        page.wait_for_function(f"{top} === 777")
        assert page.evaluate("document.querySelector('iframe').contentWindow.innerWidth") == 600
        page.get_by_role("button", name="Phone").click()
        page.wait_for_function("document.querySelector('iframe').contentWindow.innerWidth === 375")
        page.keyboard.press("Alt+p")
        assert page.evaluate("document.activeElement.textContent") == "Phone"


@pytest.mark.parametrize("width", [1440, 1280, 390])
def test_the_preview_page_shows_its_frames_in_their_true_width(live_server: Any, edda: Client, width: int) -> None:
    issue = make_issue()
    with browsing(live_server, edda, viewport={"width": width, "height": 900}, bypass_csp=True) as context:
        page = context.new_page()
        page.goto(page_of(issue, "preview"))
        frames = page.locator("[data-true-width] iframe")
        page.wait_for_function("document.querySelectorAll('.is-scaled').length === 2")
        widths = frames.evaluate_all("all => all.map(each => each.clientWidth)")
        scaled = frames.evaluate_all("all => all.map(each => Math.round(each.getBoundingClientRect().width))")
        places = page.locator("[data-true-width]").evaluate_all("all => all.map(each => each.clientWidth)")
    assert widths == [600, 375]
    assert all(shown <= place for shown, place in zip(scaled, places, strict=True))


def test_the_counters_lead_to_what_is_missing(live_server: Any, edda: Client) -> None:
    issue = make_issue()
    with browsing(live_server, edda, viewport=DESK) as context:
        page = context.new_page()
        page.goto(page_of(issue))
        page.locator("summary", has_text="Quay 2").press("Enter")
        row(page, "Quay 2").get_by_label("Link").fill("")
        page.keyboard.press("Escape")
        assert row(page, "Quay 2").locator(".pill").inner_text() == "no link"
        page.get_by_role("button", name="story 2: no link").click()
        assert page.evaluate("document.activeElement.name").endswith("-url")
        counters = page.get_by_role("group", name="Counters")
        counters.get_by_text("3 stories").wait_for()
        counters.get_by_text(" of 102 KB").wait_for()


def test_a_phone_has_its_actions_in_a_bar_below_and_tall_rows(live_server: Any, edda: Client) -> None:
    issue = make_long_issue()
    with browsing(live_server, edda, viewport=PHONE, bypass_csp=True) as context:
        page = context.new_page()
        page.goto(page_of(issue))
        page.locator(".phone-bar").get_by_role("button", name="Add").click()
        page.locator("[data-menu]").get_by_role("button", name="Add story").click()
        page.keyboard.type("A ferry that waits")
        page.wait_for_function("document.querySelector('[data-phone-state]').textContent.includes('Saved')")
        heights = page.locator("[data-rows] summary").evaluate_all("all => all.map(each => each.offsetHeight)")
        assert min(heights) >= 48
        with page.expect_response("**/autosave/"):
            page.locator(".phone-bar").get_by_role("button", name="Check").click()
        page.wait_for_url("**/check/")


def test_the_page_of_31_stories_keeps_its_budget(live_server: Any, edda: Client) -> None:
    issue = make_long_issue()
    assert len(edda.get(page_of(issue)).content) <= 120_000
    with browsing(live_server, edda, viewport=DESK) as context:
        page = context.new_page()
        page.goto(page_of(issue))
        page.locator("form.with-script").wait_for()
        assert page.evaluate("document.querySelectorAll('*').length") <= 1300
        loaded = page.evaluate("[...document.scripts].map(each => new URL(each.src).pathname)")
    own = {path.rpartition("/")[2] for path in loaded if "/newsletter/admin/" in path}
    assert own == {*SCRIPTS, "paste.js", "compose_pictures.js"}
    folder = PROJECT_ROOT / "newsletter" / "static" / "newsletter" / "admin"
    assert sum((folder / name).stat().st_size for name in SCRIPTS) <= 42_000


def test_a_snippet_is_inserted_from_the_menu_and_saved(live_server: Any, edda: Client) -> None:
    issue = make_issue()
    snippet = Snippet.objects.create(newsletter=issue.newsletter, name="Imprint")
    save_version(snippet, "## About {callout}\nWritten on the quay.", by="edda")
    with browsing(live_server, edda, viewport=DESK) as context:
        page = context.new_page()
        page.goto(live_server.url + page_of(issue))
        page.locator("[data-menu] > summary").click()
        page.get_by_role("button", name="Imprint").click()
        page.wait_for_function("document.querySelector('[data-message] span').textContent === '1 row added.'")
        save(page)
    assert stored().sections[-1] == SectionContent(kind=SectionKind.CALLOUT, title="About", body="Written on the quay.")
