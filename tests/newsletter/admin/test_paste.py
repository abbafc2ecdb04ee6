"""Pasting rich text from Google Docs, Word and web pages into a text field as Markdown."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Page, sync_playwright

from newsletter.config.configuration import PROJECT_ROOT

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
    """A page with the text field of one row, one other field, and only the script under test."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox", "--disable-gpu"])
        page = browser.new_page()
        page.route(
            "http://compose.example/",
            lambda route: route.fulfill(
                content_type="text/html",
                headers={"Content-Security-Policy": "default-src 'none'; script-src 'self'"},
                body="<form data-compose><textarea name=rows-0-body></textarea><textarea name=other></textarea></form>"
                "<script src=/paste.js></script>",
            ),
        )
        page.route("http://compose.example/paste.js", lambda route: route.fulfill(path=SCRIPT))
        yield page
        browser.close()


@pytest.fixture
def page(compose: Page) -> Iterator[Page]:
    console_messages: list[str] = []
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
    assert text(page) == (FIXTURES / f"{name}.md").read_text(encoding="utf-8").rstrip("\n")


def test_a_paste_can_be_undone(page: Page) -> None:
    page.keyboard.type("Before. ")
    paste(page, "<b>Loud</b>")
    assert text(page) == "Before. **Loud**"
    page.keyboard.press("Control+z")
    assert text(page) == "Before. "


def test_a_paste_fires_an_input_event(page: Page) -> None:
    page.evaluate("document.addEventListener('input', () => { window.hasFired = true; })")
    paste(page, "<b>Loud</b>")
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


@pytest.mark.parametrize(
    ("html", "markdown"),
    [
        ("<b>a</b><b>b</b> <i>c</i><i>d</i>", "**ab** *cd*"),
        ("<b>Note: </b>it <b><i>lifts</i></b>.", "**Note**: it ***lifts***."),
        ('<b>x</b> <a href="javascript:alert(1)">bad</a> <a href="/rel">relative</a>', "**x** bad relative"),
        ("<b>x</b><script>alert(1)</script><p><style>p{}</style>y</p>", "**x**\n\ny"),
        ('<a href="https://a.example/(x)">[1]</a>', "[\\[1\\]](https://a.example/%28x%29)"),
        ("<p>1. no list</p><p># no heading <b>x</b></p>", "1\\. no list\n\n\\# no heading **x**"),
        ("<ol start=3><li>c<ul><li>deep</li></ul></li><li>d</li></ol>", "3. c\n   - deep\n4. d"),
        ("<blockquote><p>Said.</p></blockquote><p>After.</p>", "> Said.\n\nAfter."),
        ("<img src=x onerror=alert(1)><em>x</em>", "*x*"),
    ],
)
def test_edge_cases_of_html(page: Page, html: str, markdown: str) -> None:
    assert paste(page, html)
    assert text(page) == markdown
