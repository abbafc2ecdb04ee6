"""The colours of an issue, each for light and for dark screens, and how far apart they are."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

READABLE = 4.5
"""The least contrast between text and its ground (WCAG 2.2, 1.4.3 level AA)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Palette:
    """Colours as `#rrggbb`. `pairings_of` tells which of them meet; `theme.toml` may leave out all below `rule`."""

    paper: str
    tint: str
    """Ground of the lead section and of code."""
    ink: str
    quiet: str
    """Source, date and footer."""
    link: str
    accent: str
    """Bars, labels and the newsletter's name."""
    rule: str
    """Hairlines; carries no meaning."""

    head: str
    """Ground of the masthead. Else the paper."""
    head_name: str
    """The newsletter's name in the masthead. Else the accent."""
    head_title: str
    """The issue's title in the masthead. Else the ink."""
    head_facts: str
    """Date and length in the masthead. Else quiet."""
    button: str
    """Ground of buttons. Else the accent."""
    button_text: str
    """Words on buttons. Else the paper."""
    callout: str
    """Ground of call-outs. Else the tint."""
    sponsor: str
    """Ground of sponsors' parts. Else the tint."""


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
"""What stands for a colour that `theme.toml` leaves out."""


@dataclass(frozen=True, slots=True, order=True)
class Pairing:
    """A text colour and a ground that it stands on, both `#rrggbb`; `what` says so in words."""

    what: str
    text: str
    ground: str

    @property
    def contrast(self) -> float:
        """From 1, not to be told apart, to 21."""
        return contrast(self.text, self.ground)


# Which text colours can stand on which ground.
_STANDS_ON = {
    "paper": ("ink", "quiet", "link", "accent"),
    "tint": ("ink", "quiet", "link", "accent"),
    "callout": ("ink", "quiet", "link", "accent"),
    "sponsor": ("ink", "quiet", "link", "accent"),
    "head": ("head_name", "head_title", "head_facts"),
    "button": ("button_text",),
}


def pairings_of(palette: Palette) -> Iterator[Pairing]:
    """Every text colour on every ground that it can stand on, named as in `theme.toml`: `quiet on tint`."""
    for ground, texts in _STANDS_ON.items():
        for text in texts:
            yield Pairing(f"{text} on {ground}", getattr(palette, text), getattr(palette, ground))


def contrast(one: str, other: str) -> float:
    """The contrast ratio of two `#rrggbb` colours, 1 to 21 (WCAG 2.2)."""
    lighter, darker = sorted((_luminance(one), _luminance(other)), reverse=True)
    return (lighter + 0.05) / (darker + 0.05)


def _luminance(colour: str) -> float:
    """Relative luminance, 0 to 1 (WCAG 2.2)."""
    channels = (int(colour[start : start + 2], 16) / 255 for start in (1, 3, 5))
    red, green, blue = (value / 12.92 if value <= 0.04045 else ((value + 0.055) / 1.055) ** 2.4 for value in channels)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue
