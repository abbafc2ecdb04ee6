"""Pasting rich text from Google Docs, Word and web pages into a text field as Markdown."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Page, Route, expect, sync_playwright

from newsletter.config.configuration import PROJECT_ROOT
from newsletter.content.html_markdown import html_as_markdown

SCRIPT = PROJECT_ROOT / "newsletter" / "static" / "newsletter" / "admin" / "paste.js"
FIXTURES = Path(__file__).parent / "pasted"
CHROMIUM = next((found for name in ("chromium", "chromium-browser") if (found := shutil.which(name))), "")

pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(not CHROMIUM and not os.environ.get("CI"), reason="no Chromium is installed here"),
]

PASTE = """([html, plain]) => {
    const data = new DataTransfer();
    if (html) data.setData("text/html", html);
    data.setData("text/plain", plain);
    const event = new ClipboardEvent("paste", { clipboardData: data, bubbles: true, cancelable: true });
    return !document.activeElement.dispatchEvent(event);
}"""


@pytest.fixture(scope="module")
def compose() -> Iterator[Page]:
    """A page with the text field of one row, one other field, the script under test, and the server's converter."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox", "--disable-gpu"])
        page = browser.new_page()
        page.route(
            "http://compose.example/",
            lambda route: route.fulfill(
                content_type="text/html",
                headers={"Content-Security-Policy": "default-src 'none'; script-src 'self'; connect-src 'self'"},
                body="<form data-compose data-paste=/paste/ data-text-pasted-plain='No answer.'>"
                "<input type=hidden name=csrfmiddlewaretoken value=token>"
                "<p><textarea name=rows-0-body></textarea></p><textarea name=other></textarea></form>"
                "<script src=/paste.js></script>",
            ),
        )
        page.route("http://compose.example/paste.js", lambda route: route.fulfill(path=SCRIPT))
        page.route("http://compose.example/paste/", answer)
        yield page
        browser.close()


def answer(route: Route) -> None:
    """What the server answers; nothing for HTML that asks for it."""
    html = route.request.post_data or ""
    if route.request.headers.get("x-csrftoken") != "token" or "no answer" in html:
        route.abort()
        return
    converted = html_as_markdown(html)
    notes = [f"{count} {name} left out." for name, count in converted.dropped.items()]
    route.fulfill(json={"markdown": converted.markdown, "notes": notes})


@pytest.fixture
def console_messages() -> list[str]:
    return []


@pytest.fixture
def page(compose: Page, console_messages: list[str]) -> Iterator[Page]:
    compose.on("console", lambda message: console_messages.append(message.text))
    compose.on("pageerror", lambda error: console_messages.append(str(error)))
    compose.goto("http://compose.example/")
    compose.locator("[name=rows-0-body]").focus()
    yield compose
    assert console_messages == []


def paste(page: Page, html: str, plain: str = "plain") -> bool:
    """Paste into the focused field; whether the script handled it, not the browser."""
    return bool(page.evaluate(PASTE, [html, plain]))


def text(page: Page) -> str:
    return page.locator("[name=rows-0-body]").input_value()


@pytest.mark.parametrize("name", ["google_docs", "word", "web_page"])
def test_rich_text_of_other_programs_becomes_markdown(page: Page, name: str) -> None:
    assert paste(page, (FIXTURES / f"{name}.html").read_text(encoding="utf-8"))
    expect(page.locator("[name=rows-0-body]")).to_have_value(
        (FIXTURES / f"{name}.md").read_text(encoding="utf-8").rstrip("\n")
    )


def test_a_paste_can_be_undone(page: Page) -> None:
    page.keyboard.type("Before. ")
    paste(page, "<b>Loud</b>")
    expect(page.locator("[name=rows-0-body]")).to_have_value("Before. **Loud**")
    page.keyboard.press("Control+z")
    assert text(page) == "Before. "


def test_a_paste_fires_an_input_event(page: Page) -> None:
    page.evaluate("document.addEventListener('input', () => { window.hasFired = true; })")
    paste(page, "<b>Loud</b>")
    expect(page.locator("[name=rows-0-body]")).to_have_value("**Loud**")
    assert page.evaluate("window.hasFired")


@pytest.mark.parametrize("html", ["", "<p>Only <span>words</span>.</p>", "<meta charset=utf-8><div>2 * 3 * 4</div>"])
def test_plain_text_is_left_to_the_browser(page: Page, html: str) -> None:
    assert not paste(page, html)
    assert text(page) == ""


def test_other_fields_are_left_to_the_browser(page: Page) -> None:
    page.locator("[name=other]").focus()
    assert not paste(page, "<b>Loud</b>")


def test_a_url_pasted_over_selected_text_links_that_text(page: Page) -> None:
    page.keyboard.type("quay")
    page.keyboard.press("Control+a")
    assert paste(page, "", "https://quay.example/3")
    assert text(page) == "[quay](https://quay.example/3)"


def test_what_is_left_out_is_said_below_the_field(page: Page) -> None:
    assert paste(page, '<b>x</b> <a href="javascript:alert(1)">bad</a>')
    expect(page.locator("[name=rows-0-body]")).to_have_value("**x** bad")
    expect(page.get_by_role("status")).to_have_text("1 link left out.")


def test_without_an_answer_the_plain_text_is_inserted_and_that_is_said(page: Page, console_messages: list[str]) -> None:
    assert paste(page, "<b>no answer</b>", "the plain text")
    expect(page.locator("[name=rows-0-body]")).to_have_value("the plain text")
    expect(page.get_by_role("status")).to_have_text("No answer.")
    console_messages.clear()  # the browser reports the failed request
