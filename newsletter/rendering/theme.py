"""The theme: how a newsletter's issues look, as plain values read from `theme.toml`. Imports palette and errors."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from newsletter.rendering.palette import DARK, LIGHT, Palette


@dataclass(frozen=True, slots=True, kw_only=True)
class Fonts:
    """Font stacks of fonts that readers' systems have; nothing is ever loaded."""

    body: str = "-apple-system, BlinkMacSystemFont, 'Segoe UI', Roboto, 'Helvetica Neue', Arial, sans-serif"
    heading: str = "-apple-system, BlinkMacSystemFont, 'Segoe UI', Roboto, 'Helvetica Neue', Arial, sans-serif"
    code: str = "ui-monospace, Menlo, Consolas, monospace"


@dataclass(frozen=True, slots=True, kw_only=True)
class Theme:
    """Everything that a newsletter chooses by naming a theme. `sha256` is of all its files."""

    name: str
    label: str
    light: Palette
    dark: Palette
    fonts: Fonts
    density: str
    """compact, regular or airy."""
    folder: Path | None
    """Where its own templates are; None where it has none and uses the shipped blocks."""
    is_shipped: bool
    """A theme of the operator's own is rendered in a child process (R-153)."""
    sha256: str


PLAIN = Theme(
    name="plain",
    label="Plain",
    light=LIGHT,
    dark=DARK,
    fonts=Fonts(),
    density="regular",
    folder=None,
    is_shipped=True,
    sha256="",
)
