"""Every block and theme, compiled by the official MJML compiler and by ours, gives the same pixels."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Page, Route, sync_playwright

from newsletter.rendering.compile import compile_mjml
from tests.fidelity.official import OfficialCompiler, missing, official_compiler
from tests.newsletter.rendering.sample_issues import sample_issues

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
WIDTHS = (600, 375)
PICTURES = Path(__file__).resolve().parents[2] / "var" / "fidelity"
PICTURE = '<svg xmlns="http://www.w3.org/2000/svg" width="1200" height="600"><rect width="999" height="600"/></svg>'

pytestmark = [
    pytest.mark.fidelity,
    pytest.mark.skipif(bool(missing()), reason=missing()),
    pytest.mark.skipif(CHROMIUM is None, reason="no Chromium is installed; `apt-get install chromium` brings it"),
]


@pytest.fixture(scope="module")
def official() -> Iterator[OfficialCompiler]:
    with official_compiler() as compiler:
        yield compiler


@pytest.fixture(scope="module")
def page() -> Iterator[Page]:
    arguments = ["--no-sandbox", "--disable-gpu", "--disable-background-networking"]
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=arguments)
        made = browser.new_page(color_scheme="light")
        made.route("**/*", _answer_with_one_picture)
        yield made
        browser.close()


@pytest.mark.parametrize(("name", "source"), sample_issues(), ids=[name for name, _ in sample_issues()])
def test_both_compilers_give_the_same_pixels(official: OfficialCompiler, page: Page, name: str, source: str) -> None:
    theirs = official.compile(source)
    assert theirs.errors == (), "The official compiler refuses what our validation accepts."
    ours = compile_mjml(source)
    different = [width for width in WIDTHS if not _is_equal(page, name, theirs.html, ours, width)]
    assert different == [], f"At these widths they differ; see {PICTURES.name}/{name.replace('/', '-')}-*.png"


def test_the_comparison_detects_a_single_pixel(official: OfficialCompiler, page: Page) -> None:
    name, source = sample_issues()[0]
    html = official.compile(source).html
    dot = '<i style="position:absolute;left:300px;top:9px;width:1px;height:1px;background:#f00"></i></body>'
    assert _capture(page, html, 600) == _capture(page, html, 600), name
    assert _capture(page, html, 600) != _capture(page, html.replace("</body>", dot), 600), name


def _is_equal(page: Page, name: str, theirs: str, ours: str, width: int) -> bool:
    pictures = {"official": _capture(page, theirs, width), "ours": _capture(page, ours, width)}
    if pictures["official"] == pictures["ours"]:
        return True
    PICTURES.mkdir(parents=True, exist_ok=True)
    for maker, picture in pictures.items():
        (PICTURES / f"{name.replace('/', '-')}-{width}-{maker}.png").write_bytes(picture)
    return False


def _capture(page: Page, html: str, width: int) -> bytes:
    """The whole mail as PNG; the same pixels give the same bytes."""
    page.set_viewport_size({"width": width, "height": 900})
    page.set_content(html, wait_until="load")
    return page.screenshot(full_page=True, animations="disabled")


def _answer_with_one_picture(route: Route) -> None:
    route.fulfill(body=PICTURE, content_type="image/svg+xml")
