"""Fonts and sizes of an issue: named font stacks, and a set of measures for each density."""

from __future__ import annotations

from dataclasses import dataclass

STACKS = {
    "system-sans": "-apple-system, 'Segoe UI', Roboto, Helvetica, Arial, sans-serif",
    "humanist-sans": "Seravek, 'Gill Sans Nova', Ubuntu, Calibri, 'DejaVu Sans', Verdana, sans-serif",
    "grotesque-sans": "'Helvetica Neue', Helvetica, Arial, sans-serif",
    "book-serif": "Georgia, Cambria, 'Times New Roman', serif",
    "old-serif": "'Iowan Old Style', 'Palatino Linotype', Palatino, 'Book Antiqua', Georgia, serif",
    "slab-serif": "Rockwell, 'Rockwell Nova', 'Roboto Slab', 'DejaVu Serif', Georgia, serif",
    "letter-serif": "Charter, 'Bitstream Charter', Georgia, Cambria, serif",
    "mono": "Menlo, Consolas, monospace",
}
"""Stacks of fonts that are installed on common systems, by their names in `theme.toml`. Fonts are never loaded.

They are short: a digest repeats the stack of its headings and sources in each story.
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Fonts:
    """The font stack for each kind of text."""

    body: str = STACKS["system-sans"]
    heading: str = STACKS["system-sans"]
    label: str = STACKS["system-sans"]
    """Dates, sources and other small text."""
    code: str = STACKS["mono"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Measures:
    """Sizes and distances in pixels. `…_line` is the line height of a size; `…_phone` is the size on phones."""

    name: int
    """The newsletter's name."""
    name_line: int
    title: int
    title_line: int
    title_phone: int
    title_phone_line: int
    meta: int
    """Date, number of stories and reading time; sources."""
    meta_line: int
    source_line: int
    lead: int
    """The text of the lead and of the closing section."""
    lead_line: int
    lead_phone: int
    lead_phone_line: int
    heading: int
    """The heading of a section; always larger than that of a story."""
    heading_line: int
    heading_phone: int
    heading_phone_line: int
    story: int
    story_line: int
    story_phone: int
    story_phone_line: int
    body: int
    body_line: int
    body_phone: int
    body_phone_line: int
    small: int
    """Captions and the end of the mail."""
    small_line: int
    margin: int
    """Left and right of the content."""
    margin_phone: int
    paragraph: int
    """Below a paragraph."""
    between_stories: int
    between_blocks: int
    between_sections: int


DENSITIES = {
    "compact": Measures(
        name=16,
        name_line=24,
        title=27,
        title_line=33,
        title_phone=25,
        title_phone_line=31,
        meta=13,
        meta_line=22,
        source_line=20,
        lead=16,
        lead_line=25,
        lead_phone=16,
        lead_phone_line=25,
        heading=20,
        heading_line=26,
        heading_phone=20,
        heading_phone_line=26,
        story=16,
        story_line=22,
        story_phone=17,
        story_phone_line=23,
        body=15,
        body_line=23,
        body_phone=16,
        body_phone_line=24,
        small=13,
        small_line=20,
        margin=20,
        margin_phone=16,
        paragraph=10,
        between_stories=14,
        between_blocks=18,
        between_sections=30,
    ),
    "regular": Measures(
        name=17,
        name_line=24,
        title=32,
        title_line=38,
        title_phone=28,
        title_phone_line=34,
        meta=14,
        meta_line=22,
        source_line=22,
        lead=17,
        lead_line=27,
        lead_phone=17,
        lead_phone_line=27,
        heading=22,
        heading_line=28,
        heading_phone=22,
        heading_phone_line=28,
        story=18,
        story_line=24,
        story_phone=18,
        story_phone_line=24,
        body=16,
        body_line=25,
        body_phone=16,
        body_phone_line=25,
        small=14,
        small_line=22,
        margin=24,
        margin_phone=20,
        paragraph=10,
        between_stories=24,
        between_blocks=30,
        between_sections=44,
    ),
    "airy": Measures(
        name=46,
        name_line=52,
        title=38,
        title_line=44,
        title_phone=31,
        title_phone_line=37,
        meta=15,
        meta_line=24,
        source_line=24,
        lead=18,
        lead_line=30,
        lead_phone=17,
        lead_phone_line=28,
        heading=30,
        heading_line=36,
        heading_phone=27,
        heading_phone_line=33,
        story=20,
        story_line=26,
        story_phone=20,
        story_phone_line=26,
        body=17,
        body_line=28,
        body_phone=17,
        body_phone_line=28,
        small=14,
        small_line=23,
        margin=32,
        margin_phone=22,
        paragraph=10,
        between_stories=30,
        between_blocks=44,
        between_sections=52,
    ),
    "spacious": Measures(
        name=16,
        name_line=22,
        title=33,
        title_line=41,
        title_phone=28,
        title_phone_line=35,
        meta=14,
        meta_line=22,
        source_line=22,
        lead=18,
        lead_line=30,
        lead_phone=18,
        lead_phone_line=29,
        heading=25,
        heading_line=32,
        heading_phone=25,
        heading_phone_line=32,
        story=20,
        story_line=28,
        story_phone=20,
        story_phone_line=28,
        body=17,
        body_line=27,
        body_phone=17,
        body_phone_line=27,
        small=14,
        small_line=22,
        margin=40,
        margin_phone=22,
        paragraph=10,
        between_stories=18,
        between_blocks=36,
        between_sections=36,
    ),
}
