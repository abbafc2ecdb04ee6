"""What an issue says, as plain values: the one shape that files, admin, tables and rendering exchange.

Pure data.
"""

from __future__ import annotations

import datetime
import enum
from collections.abc import Iterator
from dataclasses import dataclass


class SectionKind(enum.StrEnum):
    """What a part of an issue is, which decides the block that shows it.

    All but SECTION are *blocks*: short parts between the sections. Stories may follow any of them.
    """

    SECTION = "section"
    """Headed text, stories, or text followed by stories."""
    CALLOUT = "callout"
    """Text that stands out: `body`, and a heading if wanted."""
    QUOTE = "quote"
    """Somebody's words: `body`, `source` who said them, `url` where."""
    BUTTON = "button"
    """One large link: `title` on it, `url` behind it."""
    IMAGE = "image"
    """A picture: `image` its address, `alt` what it shows, `body` the line below it, `url` where it leads."""
    LINKS = "links"
    """A list of links: `body` is a Markdown list."""
    DIVIDER = "divider"
    """A line across."""
    CONTENTS = "contents"
    """A table of contents of the sections and stories that follow; `title` its heading."""
    SPONSOR = "sponsor"
    """A paid part, named as one: `source` who pays, `title`, `body`, `url`, and a picture if wanted."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StoryContent:
    """One story of a section. `body` is Markdown; `url` and `source` may be empty in a draft."""

    title: str
    url: str = ""
    source: str = ""
    body: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class SectionContent:
    """A part of an issue, of one kind; `body` is Markdown. Which fields mean something is said at each kind."""

    kind: SectionKind = SectionKind.SECTION
    title: str = ""
    body: str = ""
    url: str = ""
    source: str = ""
    image: str = ""
    alt: str = ""
    stories: tuple[StoryContent, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class IssueContent:
    """Everything editors write in one issue, in reading order.

    `subject` is never empty where content has been read or stored: it falls back to the title.
    `slug` identifies the issue within its newsletter; importing the same slug again updates it.
    """

    title: str
    slug: str
    date: datetime.date
    subject: str
    preheader: str = ""
    categories: tuple[str, ...] = ()
    sections: tuple[SectionContent, ...] = ()

    def stories(self) -> Iterator[StoryContent]:
        """Every story, in reading order, across sections."""
        for section in self.sections:
            yield from section.stories
