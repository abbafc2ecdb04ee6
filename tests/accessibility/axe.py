"""axe-core in a page of a browser. `make test-journeys` installs it from npm."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Page

SCRIPT = Path(__file__).parent / "node_modules" / "axe-core" / "axe.min.js"

#: Width and height in pixels with the colour scheme. A page is loaded on the first one.
SCREENS: tuple[tuple[int, int, Any], ...] = (
    (1440, 900, "light"),
    (1440, 900, "dark"),
    (390, 844, "dark"),
    (390, 844, "light"),
)

#: Both widths and both schemes, for pages that are made of parts that other tests look at on all screens.
TWO_SCREENS = (SCREENS[0], SCREENS[2])

#: Where nothing may scroll sideways either: a page of 1280 pixels at a zoom of 400% (WCAG 1.4.10).
NARROW: Any = {"width": 320, "height": 700}

#: WCAG 2.0 to 2.2, levels A and AA, and the best practices of axe-core.
RUN = """axe.run(document, {
  resultTypes: ["violations"],
  runOnly: ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"],
}).then(result => result.violations.map(each => `${each.id}: ${each.nodes.map(node => node.html).join(" | ")}`))"""

#: An animation of something that is not drawn never ends.
SETTLED = """() => Promise.race([
  Promise.allSettled(document.getAnimations().map(each => each.finished)),
  new Promise(resolve => setTimeout(resolve, 2000)),
])"""

#: What makes a page wider than the window.
TOO_WIDE = """() => {
  const width = document.documentElement.clientWidth;
  if (document.documentElement.scrollWidth <= width) return [];
  const wide = [...document.querySelectorAll("main *")].filter(each => each.getBoundingClientRect().right > width + 1);
  return ["scrolls sideways: " + (wide.length ? wide[0].outerHTML.slice(0, 200) : "")];
}"""


def axe_script() -> str:
    """The source of axe-core. Skips the test if it is not installed, or fails it if CI is set."""
    if SCRIPT.exists():
        return SCRIPT.read_text(encoding="utf-8")
    reason = "axe-core is not installed; `npm ci` in tests/accessibility does it"
    if os.environ.get("CI"):
        pytest.fail(reason)
    pytest.skip(reason)


def findings_on_every_screen(page: Page, script: str, screens: Sequence[tuple[int, int, Any]] = SCREENS) -> list[str]:
    """What axe-core finds on the page that is open, and whether it scrolls sideways, on each of the screens."""
    found = []
    page.evaluate(script)
    for width, height, scheme in screens:
        page.set_viewport_size({"width": width, "height": height})
        page.emulate_media(color_scheme=scheme, reduced_motion="reduce")
        # Colours that are still changing are no colours of the page.
        page.evaluate(SETTLED)
        # What a sticky bar covers by half is too small a target, wherever the page happened to be scrolled to.
        page.evaluate("window.scrollTo(0, 0)")
        found += [f"{width} px, {scheme}: {each}" for each in page.evaluate(RUN) + page.evaluate(TOO_WIDE)]
    page.set_viewport_size(NARROW)
    return found + [f"{NARROW['width']} px: {each}" for each in page.evaluate(TOO_WIDE)]
