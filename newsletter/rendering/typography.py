"""Fonts and sizes of an issue: named font stacks, and a set of measures for each density."""

from __future__ import annotations

from dataclasses import dataclass

STACKS = {
    "system-sans": "-apple-system, BlinkMacSystemFont, 'Segoe UI', Roboto, 'Helvetica Neue', Arial, sans-serif",
    "humanist-sans": "Seravek, 'Gill Sans Nova', Ubuntu, Calibri, 'DejaVu Sans', Verdana, sans-serif",
    "grotesque-sans": "'Helvetica Neue', Helvetica, Arial, sans-serif",
    "book-serif": "Georgia, Cambria, 'Times New Roman', serif",
    "old-serif": "'Iowan Old Style', 'Palatino Linotype', Palatino, 'Book Antiqua', Georgia, serif",
    "slab-serif": "Rockwell, 'Rockwell Nova', 'Roboto Slab', 'DejaVu Serif', Georgia, serif",
    "mono": "ui-monospace, Menlo, Consolas, monospace",
}
"""Stacks of fonts that are installed on common systems, by their names in `theme.toml`. Fonts are never loaded."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Fonts:
    """The font stack for each kind of text."""

    body: str = STACKS["system-sans"]
    heading: str = STACKS["system-sans"]
    label: str = STACKS["system-sans"]
    """The newsletter's name, dates, sources and other small text."""
    code: str = STACKS["mono"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Measures:
    """Sizes and distances in pixels. `…_line` is the line height of a size."""

    body: int
    body_line: int
    small: int
    small_line: int
    title: int
    title_line: int
    heading: int
    heading_line: int
    story: int
    story_line: int
    lead: int
    lead_line: int
    margin: int
    """Left and right of the content."""
    paragraph: int
    """Below a paragraph."""
    between_stories: int
    between_sections: int


DENSITIES = {
    "compact": Measures(
        body=15,
        body_line=23,
        small=13,
        small_line=20,
        title=26,
        title_line=32,
        heading=19,
        heading_line=26,
        story=16,
        story_line=22,
        lead=16,
        lead_line=25,
        margin=20,
        paragraph=9,
        between_stories=18,
        between_sections=16,
    ),
    "regular": Measures(
        body=16,
        body_line=26,
        small=14,
        small_line=22,
        title=30,
        title_line=37,
        heading=23,
        heading_line=30,
        story=17,
        story_line=24,
        lead=18,
        lead_line=29,
        margin=24,
        paragraph=12,
        between_stories=26,
        between_sections=20,
    ),
    "airy": Measures(
        body=17,
        body_line=29,
        small=14,
        small_line=22,
        title=36,
        title_line=43,
        heading=25,
        heading_line=33,
        story=20,
        story_line=27,
        lead=20,
        lead_line=33,
        margin=32,
        paragraph=14,
        between_stories=34,
        between_sections=32,
    ),
}
