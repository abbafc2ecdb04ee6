"""The colours of an issue, for light and dark screens, and their contrast."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

READABLE = 4.5
"""The minimum contrast between text and its background (WCAG 2.2, 1.4.3 level AA)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Palette:
    """Colours as `#rrggbb`. `pairings_of` lists which of them meet. `theme.toml` may omit those below `rule`."""

    paper: str
    tint: str
    """Background of the lead and of code."""
    ink: str
    quiet: str
    """Source, date and footer."""
    link: str
    accent: str
    """Bars, labels and the newsletter's name."""
    rule: str
    """Thin lines."""

    head: str
    """Background of the masthead. Default: paper."""
    head_name: str
    """The newsletter's name in the masthead. Default: accent."""
    head_title: str
    """The issue's title in the masthead. Default: ink."""
    head_facts: str
    """Date and reading time in the masthead. Default: quiet."""
    button: str
    """Background of buttons. Default: accent."""
    button_text: str
    """Labels of buttons. Default: paper."""
    callout: str
    """Background of call-outs. Default: tint."""
    sponsor: str
    """Background of sponsored parts. Default: tint."""


NEEDED = ("paper", "tint", "ink", "quiet", "link", "accent", "rule")
FALLBACKS = {
    "head": "paper",
    "head_name": "accent",
    "head_title": "ink",
    "head_facts": "quiet",
    "button": "accent",
    "button_text": "paper",
    "callout": "tint",
    "sponsor": "tint",
}
"""The default of each colour that `theme.toml` may omit."""


@dataclass(frozen=True, slots=True, order=True)
class Pairing:
    """A text colour and a background that it appears on, both `#rrggbb`. `what` names them: `quiet on tint`."""

    what: str
    text: str
    background: str

    @property
    def contrast(self) -> float:
        """The contrast ratio, 1 to 21."""
        return contrast(self.text, self.background)


# The text colours that can appear on each background.
_TEXT_ON = {
    "paper": ("ink", "quiet", "link", "accent"),
    "tint": ("ink", "quiet", "link", "accent"),
    "callout": ("ink", "quiet", "link", "accent"),
    "sponsor": ("ink", "quiet", "link", "accent"),
    "head": ("head_name", "head_title", "head_facts"),
    "button": ("button_text",),
}


def pairings_of(palette: Palette) -> Iterator[Pairing]:
    """Every text colour on every background that it can appear on, named as in `theme.toml`: `quiet on tint`."""
    for background, texts in _TEXT_ON.items():
        for text in texts:
            yield Pairing(f"{text} on {background}", getattr(palette, text), getattr(palette, background))


def contrast(one: str, other: str) -> float:
    """The contrast ratio of two `#rrggbb` colours, 1 to 21 (WCAG 2.2)."""
    lighter, darker = sorted((_luminance(one), _luminance(other)), reverse=True)
    return (lighter + 0.05) / (darker + 0.05)


def _luminance(colour: str) -> float:
    """Relative luminance, 0 to 1 (WCAG 2.2)."""
    channels = (int(colour[start : start + 2], 16) / 255 for start in (1, 3, 5))
    red, green, blue = (value / 12.92 if value <= 0.04045 else ((value + 0.055) / 1.055) ** 2.4 for value in channels)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue
