"""The colours of an issue, in one place, each for light and for dark screens. Imports nothing of the project."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Palette:
    """Colours as `#rrggbb`. Every text colour has a contrast of 4.5 or more on `paper` and on `tint`."""

    paper: str
    tint: str
    """Ground of the lead section and of code."""
    ink: str
    quiet: str
    """Source, date and footer."""
    link: str
    accent: str
    """Bars and the newsletter's name."""
    rule: str
    """Hairlines; carries no meaning."""


LIGHT = Palette(
    paper="#ffffff",
    tint="#f3f4fb",
    ink="#1d1e2b",
    quiet="#5a5c6e",
    link="#2f3f9f",
    accent="#4353c4",
    rule="#e0e2ec",
)

DARK = Palette(
    paper="#15161d",
    tint="#20222d",
    ink="#e9e9f0",
    quiet="#a6a8b9",
    link="#b1bcff",
    accent="#93a1ff",
    rule="#363847",
)
