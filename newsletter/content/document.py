"""The content of an issue as plain values, exchanged by files, admin, tables and rendering."""

from __future__ import annotations

import datetime
import enum
from collections.abc import Iterator
from dataclasses import dataclass


class SectionKind(enum.StrEnum):
    """The kind of a part of an issue; it decides which template block renders the part.

    All kinds but SECTION are *blocks*: short parts between the sections. Stories may follow any of them.
    """

    SECTION = "section"
    """A heading with text, stories, or both."""
    TEXT = "text"
    """Text without a heading: `body`, which may be empty above stories. A lead or an essay."""
    CALLOUT = "callout"
    """Highlighted text: `body`, and optionally a heading."""
    QUOTE = "quote"
    """A quotation: `body`, `source` its author, `url` the link to it."""
    BUTTON = "button"
    """A link as a button: `title` its label, `url` its target."""
    IMAGE = "image"
    """`image` the address, `alt` the description, `body` the caption, `url` the link target."""
    LINKS = "links"
    """A list of links: `body` is a Markdown list."""
    DIVIDER = "divider"
    """A horizontal line."""
    CONTENTS = "contents"
    """A table of contents of the parts and stories below it; `title` its heading."""
    SPONSOR = "sponsor"
    """Paid content, labelled as such: `source` the sponsor, `title`, `body`, `url`, and optionally an image."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StoryContent:
    """One story. `body` is Markdown; `url` and `source` may be empty in a draft.

    `image` is the address of a picture, three by two, and `alt` its description, empty for a decorative one.
    """

    title: str
    url: str = ""
    source: str = ""
    body: str = ""
    image: str = ""
    alt: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class SectionContent:
    """A part of an issue. `body` is Markdown; SectionKind says which fields each kind uses."""

    kind: SectionKind = SectionKind.SECTION
    title: str = ""
    body: str = ""
    url: str = ""
    source: str = ""
    image: str = ""
    alt: str = ""
    stories: tuple[StoryContent, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class AudienceContent:
    """Whom an issue is sent to, by names. Without any: every active subscriber of the newsletter's own list.

    A segment of another list has the slug of the list before its name: `weekend: Locals`.
    """

    lists: tuple[str, ...] = ()
    """Slugs of other lists that get the issue, too."""
    segments: tuple[str, ...] = ()
    """Of the lists with segments here, only subscribers in one of them get the issue."""
    exclude: tuple[str, ...] = ()
    """Segments whose subscribers do not get the issue, through any list."""
    topic: str = ""
    """Slug of a topic of the newsletter. Subscribers who opted out of it do not get the issue."""


@dataclass(frozen=True, slots=True, kw_only=True)
class IssueContent:
    """Everything that editors decide about one issue: its details, its parts in reading order, and its audience.

    `subject` falls back to the title when content is parsed or loaded. `slug` identifies the issue within its
    newsletter: importing the same slug again updates the issue.
    """

    title: str
    slug: str
    date: datetime.date
    subject: str
    preheader: str = ""
    categories: tuple[str, ...] = ()
    sections: tuple[SectionContent, ...] = ()
    audience: AudienceContent = AudienceContent()

    def stories(self) -> Iterator[StoryContent]:
        """All stories, in reading order."""
        for section in self.sections:
            yield from section.stories
