"""What an issue says, as plain values: the one shape that files, admin, tables and rendering exchange.

Pure data; imports nothing of the project.
"""

from __future__ import annotations

import datetime
from collections.abc import Iterator
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class StoryContent:
    """One story of a section. `body` is Markdown; `url` and `source` may be empty in a draft."""

    title: str
    url: str = ""
    source: str = ""
    body: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class SectionContent:
    """A headed part of an issue: text (`body`, Markdown), stories, or text followed by stories."""

    title: str
    body: str = ""
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
