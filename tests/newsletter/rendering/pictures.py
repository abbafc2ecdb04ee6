"""Screenshots of each theme. `make golden` takes them again; review them.

The whole sample issue is captured at 600 and 375 pixels, in light and dark mode, in DejaVu fonts so that machines
agree. Screenshots are kept at a quarter of their size: letters blur into grey, while colours and layout stay.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Any

from PIL import Image, ImageChops, ImageDraw, ImageFilter
from playwright.sync_api import Browser, Page, sync_playwright

from newsletter.rendering import PlaceholderTemplate, Theme
from newsletter.rendering.sample_issue import sample_values
from newsletter.rendering.theme_check import render_sample_issue
from tests.newsletter.rendering.sample_issues import PICTURE, shipped_themes

FOLDER = Path(__file__).parent / "pictures"
WIDTHS, SCHEMES = (600, 375), ("light", "dark")
SCALE = 4
LARGEST_STEP = 12
"""How much a channel of a pixel may differ, of 255: text drawn by another Chromium differs less."""
LARGEST_SHARE = 0.001
"""The share of pixels that may differ more."""
LARGEST_GROWTH = 1
"""How many rows a screenshot may be taller or shorter than the stored one."""

CHROMIUM = next((found for name in ("chromium", "chromium-browser") if (found := shutil.which(name))), "")
FONTS = Path("/usr/share/fonts/truetype/dejavu/DejaVuSerif-Italic.ttf")
WHY_NOT = "" if CHROMIUM and FONTS.is_file() else "Chromium and DejaVu's fonts are needed: chromium, fonts-dejavu-extra"
MAY_SKIP = bool(WHY_NOT) and not os.environ.get("CI")

_IN_DEJAVU = """() => {
  const fonts = {'serif': 'DejaVu Serif', 'sans-serif': 'DejaVu Sans', 'monospace': 'DejaVu Sans Mono'};
  const chosen = [...document.querySelectorAll('body, body *')].map(element =>
    [element, fonts[getComputedStyle(element).fontFamily.split(',').pop().trim()] || 'DejaVu Sans']);
  for (const [element, font] of chosen) element.style.setProperty('font-family', `'${font}'`, 'important');
}"""


@dataclass(frozen=True, slots=True)
class Shot:
    """One screenshot of one theme."""

    theme: Theme
    width: int
    scheme: Any

    @property
    def file(self) -> Path:
        """The file of the stored screenshot."""
        return FOLDER / f"{self.theme.name}-{self.width}-{self.scheme}.png"

    def __str__(self) -> str:
        return self.file.stem


SHOTS = [Shot(theme, width, scheme) for theme in shipped_themes() for width in WIDTHS for scheme in SCHEMES]


@contextmanager
def browsing() -> Iterator[Browser]:
    """One browser for all screenshots."""
    arguments = ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--font-render-hinting=none"]
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=arguments)
        yield browser
        browser.close()


def html_in(theme: Theme) -> str:
    """The whole sample issue with its placeholders filled."""
    rendered = render_sample_issue(theme)
    return PlaceholderTemplate.split(rendered.html.encode(), rendered.nonce).fill(sample_values(rendered)).decode()


@contextmanager
def opened(browser: Browser, html: str, width: int, scheme: Any) -> Iterator[Page]:
    """A page that shows a mail. Its images are served here; all other requests are aborted."""
    page = browser.new_page(viewport={"width": width, "height": 800}, color_scheme=scheme)
    page.route("**/*", lambda route: route.abort())
    page.route(PICTURE, lambda route: route.fulfill(body=_slipway(), content_type="image/png"))
    page.set_content(html, wait_until="load")
    page.evaluate(_IN_DEJAVU)
    yield page
    page.close()


def capture(page: Page) -> Image.Image:
    """A screenshot of the whole page at a quarter of its size."""
    return Image.open(BytesIO(page.screenshot(full_page=True))).convert("RGB").reduce(SCALE)


def differs(one: Image.Image, other: Image.Image) -> str:
    """How two screenshots differ beyond what browser versions explain; empty if they do not."""
    if one.width != other.width or abs(one.height - other.height) > LARGEST_GROWTH:
        return f"it measures {one.size} and not {other.size}"
    box = (0, 0, one.width, min(one.height, other.height))
    blurred = [picture.convert("RGB").crop(box).filter(ImageFilter.GaussianBlur(1.5)) for picture in (one, other)]
    steps = ImageChops.difference(*blurred).split()
    largest = ImageChops.lighter(ImageChops.lighter(steps[0], steps[1]), steps[2])
    moved = sum(largest.histogram()[LARGEST_STEP + 1 :])
    if moved <= LARGEST_SHARE * box[2] * box[3]:
        return ""
    top = (largest.point(lambda step: 255 if step > LARGEST_STEP else 0).getbbox() or (0, 0, 0, 0))[1]
    return f"{moved} of {box[2] * box[3]} pixels differ, the first about {top * SCALE} pixels from the top"


def _slipway() -> bytes:
    """A rowing boat on a slip, in a few shapes."""
    picture = Image.new("RGB", (552, 240), "#8fb3c9")
    draw = ImageDraw.Draw(picture)
    draw.rectangle((0, 160, 552, 240), fill="#54788f")
    draw.polygon([(125, 150), (425, 150), (380, 205), (170, 205)], fill="#2b4c8c")
    written = BytesIO()
    picture.save(written, "PNG")
    return written.getvalue()


if __name__ == "__main__":
    FOLDER.mkdir(exist_ok=True)
    with browsing() as started:
        for each in SHOTS:
            with opened(started, html_in(each.theme), each.width, each.scheme) as shown:
                capture(shown).quantize(96).save(each.file, optimize=True)
