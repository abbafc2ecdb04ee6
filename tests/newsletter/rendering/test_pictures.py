"""Each theme in a real browser: equal to its screenshot, without horizontal scrolling, with enough contrast."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Callable, Iterator
from functools import cache

import pytest
from PIL import Image
from playwright.sync_api import Browser

from newsletter.content.document import SectionContent, StoryContent
from newsletter.rendering import Theme, render_issue
from tests.newsletter.rendering import pictures
from tests.newsletter.rendering.pictures import SHOTS, Shot, browsing, capture, differs, html_in, opened
from tests.newsletter.rendering.sample_issues import MASTHEAD, WEB_URL, right_to_left, sample_issue, shipped_themes
from tests.newsletter.rendering.test_in_a_browser import WORST_CONTRAST

pytestmark = [pytest.mark.browser, pytest.mark.skipif(pictures.MAY_SKIP, reason=pictures.WHY_NOT)]

written = cache(html_in)


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with browsing() as started:
        yield started


@pytest.mark.parametrize("shot", SHOTS, ids=str)
def test_a_theme_equals_its_screenshot(browser: Browser, shot: Shot) -> None:
    with opened(browser, written(shot.theme), shot.width, shot.scheme) as page:
        taken = capture(page)
        contrast, words = page.evaluate(WORST_CONTRAST)
        assert page.evaluate("document.documentElement.scrollWidth") <= shot.width
    assert contrast >= 4.5, f"“{words}” has a contrast of {contrast:.2f}"
    with Image.open(shot.file) as stored:
        difference = differs(taken, stored)
    if difference:
        taken.save(shot.file.with_suffix(".new.png"))
    assert not difference, f"{shot}: {difference}. If this is intended, run make golden and review the screenshots."


@pytest.mark.parametrize(
    "change",
    [
        lambda theme: dataclasses.replace(theme, light=dataclasses.replace(theme.light, callout="#d5fde0")),
        lambda theme: dataclasses.replace(theme, light=dataclasses.replace(theme.light, link="#9f2f3f")),
        lambda theme: dataclasses.replace(theme, masthead="center"),
    ],
    ids=["background", "links", "masthead"],
)
def test_a_wrong_colour_or_a_moved_block_is_detected(browser: Browser, change: Callable[[Theme], Theme]) -> None:
    shot = next(shot for shot in SHOTS if str(shot) == "plain-600-light")
    with opened(browser, html_in(change(shot.theme)), shot.width, shot.scheme) as page:
        taken = capture(page)
    with Image.open(shot.file) as stored:
        assert differs(taken, stored)


@pytest.mark.parametrize("theme", shipped_themes(), ids=lambda theme: theme.name)
def test_a_mail_without_its_styles_fits_a_phone(browser: Browser, theme: Theme) -> None:
    """Some programs drop the rules in the head; words are as long as in Finnish and German."""
    long = StoryContent(title="Wasserschutzpolizeidienststelle", source="Hafenentwicklungsgesellschaft", body="Text.")
    sections = (SectionContent(title="Schifffahrtspolizeiverordnung", stories=(long,)), *sample_issue().sections)
    content = dataclasses.replace(sample_issue(), title="Binnenschifffahrtsaufgabengesetz", sections=sections)
    html = render_issue(content, MASTHEAD, web_url=WEB_URL, theme=theme).html
    bare = re.sub(r"<style.*?</style>", "", html, flags=re.DOTALL)
    with opened(browser, bare, 375, "light") as page:
        assert page.evaluate("document.documentElement.scrollWidth") <= 375


@pytest.mark.parametrize("theme", shipped_themes(), ids=lambda theme: theme.name)
def test_no_horizontal_scrolling_in_either_writing_direction(browser: Browser, theme: Theme) -> None:
    content, masthead = right_to_left()
    mirrored = render_issue(content, masthead, web_url=WEB_URL, theme=theme).html
    for html in (written(theme), mirrored):
        with opened(browser, html, 320, "light") as page:
            assert page.evaluate("document.documentElement.scrollWidth") <= 320
            page.set_viewport_size({"width": 600, "height": 800})
            assert page.evaluate("document.documentElement.scrollWidth") <= 600
