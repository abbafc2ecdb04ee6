"""The colours of an issue, for light and dark screens, and their contrast."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

READABLE = 4.5
"""The minimum contrast between text and its background (WCAG 2.2, 1.4.3 level AA)."""

VISIBLE = 3.0
"""The minimum contrast of the outline of a button (WCAG 2.2, 1.4.11)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Palette:
    """Colours as `#rrggbb`. `pairings_of` lists which of them meet. `theme.toml` may omit those below `rule`."""

    paper: str
    tint: str
    """Background of boxes and of code."""
    ink: str
    quiet: str
    """Date, source, numbers and the end of the mail."""
    link: str
    accent: str
    """Labels, bars and buttons."""
    rule: str
    """Thin lines without a meaning."""

    title: str
    """Headings and the titles of stories. Default: ink."""
    line: str
    """Outlines of buttons. Default: quiet."""
    section_rule: str
    """The line above the heading of a section. Default: title."""
    head: str
    """Background of the masthead. Default: paper."""
    head_name: str
    """The newsletter's name in the masthead. Default: title."""
    head_title: str
    """The issue's title, if the masthead has a background of its own. Default: title."""
    head_facts: str
    """Date, reading time and links in the masthead. Default: quiet."""
    button: str
    """Background of buttons. Default: accent."""
    button_text: str
    """Labels of buttons. Default: paper."""
    callout: str
    """Background of call-outs. Default: tint."""
    sponsor: str
    """Background of paid content. Default: paper, since tint is for what editors highlight."""


NEEDED = ("paper", "tint", "ink", "quiet", "link", "accent", "rule")
FALLBACKS = {
    "title": "ink",
    "line": "quiet",
    "section_rule": "title",
    "head": "paper",
    "head_name": "title",
    "head_title": "title",
    "head_facts": "quiet",
    "button": "accent",
    "button_text": "paper",
    "callout": "tint",
    "sponsor": "paper",
}
"""The default of each colour that `theme.toml` may omit: another colour, which may have a default itself."""


@dataclass(frozen=True, slots=True, order=True)
class Pairing:
    """A colour and a background that it appears on, both `#rrggbb`. `what` names them: `quiet on tint`."""

    what: str
    text: str
    background: str
    minimum: float = READABLE
    """The contrast that it needs."""

    @property
    def contrast(self) -> float:
        """The contrast ratio, 1 to 21."""
        return contrast(self.text, self.background)


# The text colours that can appear on each background.
_ON_BOXES = ("title", "ink", "quiet", "link", "accent")
_TEXT_ON = {
    "paper": _ON_BOXES,
    "tint": _ON_BOXES,
    "callout": _ON_BOXES,
    "sponsor": _ON_BOXES,
    "head": ("head_name", "head_title", "head_facts"),
    "button": ("button_text",),
}
_LINES_ON = ("paper", "tint")
"""Buttons with an outline are drawn on these."""


def filled_in(colours: Mapping[str, str]) -> Palette:
    """The palette with these colours and the defaults of those that are missing; the needed ones must be there."""
    complete = dict(colours)
    for key, default in FALLBACKS.items():  # a default stands before the colours that follow it
        complete.setdefault(key, complete[default])
    return Palette(**complete)


def pairings_of(palette: Palette) -> Iterator[Pairing]:
    """Every colour that must be seen on every background that it can appear on, named as in `theme.toml`."""
    for background, texts in _TEXT_ON.items():
        for text in texts:
            yield Pairing(f"{text} on {background}", getattr(palette, text), getattr(palette, background))
    for background in _LINES_ON:
        yield Pairing(f"line on {background}", palette.line, getattr(palette, background), VISIBLE)


def contrast(one: str, other: str) -> float:
    """The contrast ratio of two `#rrggbb` colours, 1 to 21 (WCAG 2.2)."""
    lighter, darker = sorted((_luminance(one), _luminance(other)), reverse=True)
    return (lighter + 0.05) / (darker + 0.05)


def _luminance(colour: str) -> float:
    """Relative luminance, 0 to 1 (WCAG 2.2)."""
    channels = (int(colour[start : start + 2], 16) / 255 for start in (1, 3, 5))
    red, green, blue = (value / 12.92 if value <= 0.04045 else ((value + 0.055) / 1.055) ** 2.4 for value in channels)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue
