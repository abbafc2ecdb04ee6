"""The issue in a real browser: on phones and desktops, in light and dark mode."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from typing import Any

import pytest
from playwright.sync_api import Browser, sync_playwright

from newsletter.content.document import SectionContent
from newsletter.rendering import render_issue
from tests.newsletter.rendering.digests import MASTHEAD, WEB_URL, write_digest

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")

pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(CHROMIUM is None, reason="no Chromium is installed; `apt-get install chromium` brings it"),
]

# The lowest contrast of any text with its background (WCAG 2.2, 1.4.3), and that text.
WORST_CONTRAST = """() => {
  const channels = colour => colour.match(/[\\d.]+/g).map(Number);
  const luminance = ([r, g, b]) => [r, g, b].map(v => v / 255)
    .map(v => v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4)
    .reduce((sum, v, i) => sum + v * [0.2126, 0.7152, 0.0722][i], 0);
  const background = element => {
    for (let e = element; e; e = e.parentElement) {
      const found = channels(getComputedStyle(e).backgroundColor);
      if (found.length === 3 || found[3] > 0) return found;
    }
    return [255, 255, 255];
  };
  let worst = [99, ''];
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (walker.nextNode()) {
    const element = walker.currentNode.parentElement;
    if (!walker.currentNode.data.trim() || getComputedStyle(element).display === 'none') continue;
    const [a, b] = [luminance(channels(getComputedStyle(element).color)), luminance(background(element))];
    const contrast = (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
    if (contrast < worst[0]) worst = [contrast, walker.currentNode.data.trim()];
  }
  return worst;
}"""


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    arguments = ["--no-sandbox", "--disable-gpu", "--disable-background-networking"]
    with sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=CHROMIUM, args=arguments)
        yield started
        started.close()


@pytest.fixture(scope="module")
def html() -> str:
    digest = write_digest()
    odd = SectionContent(
        title="Odds and ends",
        body="> A quote\n\n```\n"
        + "code " * 30
        + "\n```\n\n`code`, a [link](https://x.example/), and\n\n- a\n- list\n\n"
        "https://www.example.com/" + "a-very-long-address-without-a-break-" * 5,
    )
    content = type(digest)(
        title=digest.title,
        slug=digest.slug,
        date=digest.date,
        subject=digest.subject,
        categories=digest.categories,
        sections=(*digest.sections, odd),
    )
    return render_issue(content, MASTHEAD, web_url=WEB_URL).html


def open_issue(browser: Browser, html: str, width: int, scheme: Any = "light") -> Any:
    page = browser.new_page(viewport={"width": width, "height": 900}, color_scheme=scheme)
    page.set_content(html)
    return page


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [600, 375])
def test_every_text_has_enough_contrast(browser: Browser, html: str, width: int, scheme: str) -> None:
    page = open_issue(browser, html, width, scheme)
    contrast, words = page.evaluate(WORST_CONTRAST)
    assert contrast >= 4.5, f"“{words}” has a contrast of {contrast:.2f}"
    page.close()


def test_dark_mode_is_dark(browser: Browser, html: str) -> None:
    page = open_issue(browser, html, 375, "dark")
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(21, 22, 29)"
    page.close()


@pytest.mark.parametrize("width", [600, 375, 320])
def test_there_is_no_horizontal_scrolling(browser: Browser, html: str, width: int) -> None:
    page = open_issue(browser, html, width)
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    page.close()


def test_the_page_is_in_standards_mode_and_loads_nothing(browser: Browser, html: str) -> None:
    page = open_issue(browser, "<p>empty</p>", 600)
    requests: list[str] = []
    page.on("request", lambda request: requests.append(request.url))
    page.set_content(html)
    assert page.evaluate("document.compatMode") == "CSS1Compat"
    assert requests == []
    page.close()


def test_links_are_underlined_or_their_source_is_and_footer_links_are_large_enough_to_tap(
    browser: Browser, html: str
) -> None:
    page = open_issue(browser, html, 375)
    plain = page.evaluate(
        "[...document.links].filter(a => !a.closest('.name, .row, .outline, .more'))"
        ".filter(a => ![a, ...a.children].some(e => getComputedStyle(e).textDecorationLine.includes('underline')))"
        ".map(a => a.textContent)"
    )
    assert plain == []
    sizes = page.evaluate("[...document.querySelectorAll('.outline a')].map(a => a.getBoundingClientRect().height)")
    assert len(sizes) == 1
    assert min(sizes) >= 42
    heights = page.evaluate("[...document.querySelectorAll('.ways a')].map(a => a.getBoundingClientRect().height)")
    assert len(heights) == 4
    assert min(heights) >= 44
    page.close()
