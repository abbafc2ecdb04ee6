"""What is read from an archive: past issues, each with where it came from, and files that it could not read."""

from __future__ import annotations

import datetime
import enum
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import PurePosixPath
from typing import Protocol

from newsletter.content.document import IssueContent


class DateSource(enum.StrEnum):
    """Where the date of a past issue was found."""

    HEAD = "head"
    FILE_NAME = "file_name"
    TITLE = "title"
    COLUMN = "column"
    UNKNOWN = "unknown"
    """Nowhere: `ArchiveItem.published_at` is None."""


class Visibility(enum.StrEnum):
    """Whether a past issue was public at its old place. All but PUBLIC are imported as drafts and not published."""

    PUBLIC = "public"
    DRAFT = "draft"
    PRIVATE = "private"
    """Only for paying or chosen subscribers."""
    MAIL_ONLY = "mail_only"
    """Mailed, and never on the web."""


@dataclass(frozen=True, slots=True)
class ArchiveNote:
    """What was changed, left out or could not be read, as a sentence of `translatable`."""

    sentence: str
    line: int = 0
    """Of the source file, from 1; 0 if it has none."""


@dataclass(frozen=True, slots=True)
class ArchivePicture:
    """A picture of an issue that is a file of the archive: `address` as the texts name it, `path` in the archive."""

    address: str
    path: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ArchiveItem:
    """One past issue. `content.slug` is the slug of the source, which may be taken here; the importer makes it unique.

    `content.date` is the day of `published_at`, or 1970-01-01 if that is None.
    """

    key: str
    """Stable within its archive, at most 500 characters: path in the repository, id of the post, uuid."""
    place: str
    """For reports: the path of the file, with the row or entry if the file holds several."""
    content: IssueContent
    published_at: datetime.datetime | None = None
    """With a time zone; a date without a time is noon UTC."""
    date_source: DateSource = DateSource.UNKNOWN
    visibility: Visibility = Visibility.PUBLIC
    old_paths: tuple[str, ...] = ()
    """Paths at its old site that lead here, each with a leading slash, not percent-encoded."""
    language: str = ""
    """A language code, if the source names one."""
    unknown: Mapping[str, object] = field(default_factory=dict)
    """Keys of the source that have no meaning here, as JSON values. They are kept."""
    pictures: tuple[ArchivePicture, ...] = ()
    notes: tuple[ArchiveNote, ...] = ()


@dataclass(frozen=True, slots=True)
class UnreadItem:
    """A file, row or entry that is no issue, or that could not be read, and why."""

    place: str
    sentence: str
    """Of `translatable`."""
    is_failure: bool
    """Whether it should have become an issue; False for pages, configuration and the like."""


class ArchiveFiles(Protocol):
    """The files of a folder or of a ZIP file, under limits of size and number."""

    def paths(self) -> tuple[PurePosixPath, ...]:
        """The paths of all regular files, sorted; no links, no hidden files, none outside of the archive."""

    def read(self, path: PurePosixPath) -> bytes:
        """The bytes of a file. Raises ArchiveError if it is too large or damaged."""


class ArchiveReader(Protocol):
    """Reads one kind of archive."""

    code: str
    """Such as `ghost`; stored with what was imported."""

    def fits(self, files: ArchiveFiles) -> bool:
        """Whether the files are such an archive."""

    def items(self, files: ArchiveFiles) -> Iterator[ArchiveItem | UnreadItem]:
        """Everything in it, one at a time. A broken part is an UnreadItem and stops nothing."""


class ArchiveError(Exception):
    """The archive cannot be read. The message is a sentence for the editor."""

    permanent = True
