"""Archives for tests: an archive reader that gives invented past issues, imports of them, and what came of these."""

from __future__ import annotations

import datetime
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import PurePosixPath
from typing import Any

from newsletter.archive_import.control import start_run
from newsletter.archive_import.engine import ArchiveImportWorker
from newsletter.archive_import.files import store_upload
from newsletter.content.archives.item import (
    ArchiveError,
    ArchiveFiles,
    ArchiveItem,
    DateSource,
    UnreadItem,
    Visibility,
)
from newsletter.content.document import IssueContent, SectionContent, StoryContent
from newsletter.models import ArchiveImport, Newsletter
from tests.publications import make_newsletter

NOON = datetime.time(12, tzinfo=datetime.UTC)


def item(number: int, **changes: Any) -> ArchiveItem:
    """The past issue with this number, of one week of 2021."""
    day = datetime.date(2021, 3, 1) + datetime.timedelta(weeks=number)
    published_at = datetime.datetime.combine(day, NOON)
    content = IssueContent(
        title=f"Tide table {number}",
        slug=f"tide-table-{number}",
        date=day,
        subject=f"Tide table {number}",
        categories=("Tides",),
        sections=(
            SectionContent(title="High water", body=f"See [the gauge](https://gauge.example/{number}?utm_source=x)."),
            SectionContent(
                title="Also", stories=(StoryContent(title="Low water", url=f"https://low.example/{number}"),)
            ),
        ),
    )
    fields: dict[str, Any] = {
        "key": f"issues/{number:03}.md",
        "place": f"issues/{number:03}.md",
        "content": content,
        "published_at": published_at,
        "date_source": DateSource.FILE_NAME,
        "old_paths": (f"/issues/{number}",),
    }
    return ArchiveItem(**{**fields, **changes})


def with_content(one: ArchiveItem, **changes: Any) -> ArchiveItem:
    """The same item with other words."""
    return replace(one, content=replace(one.content, **changes))


def draft(number: int) -> ArchiveItem:
    """An item that was no public issue."""
    return item(number, visibility=Visibility.DRAFT)


class Shelf:
    """An archive reader, and its files: what it gives is set by the test."""

    code = "shelf"

    def __init__(self, items: Sequence[ArchiveItem | UnreadItem], files: dict[str, bytes] | None = None) -> None:
        self.given = list(items)
        self.stored = files or {}
        self.reads = 0

    def fits(self, files: ArchiveFiles) -> bool:
        return True

    def items(self, files: ArchiveFiles) -> Iterator[ArchiveItem | UnreadItem]:
        for one in self.given:
            self.reads += 1
            yield one

    def paths(self) -> tuple[PurePosixPath, ...]:
        return tuple(PurePosixPath(path) for path in sorted(self.stored))

    def read(self, path: PurePosixPath) -> bytes:
        try:
            return self.stored[str(path)]
        except KeyError:
            raise ArchiveError(f"There is no file {path}.") from None

    def worker(self, **options: Any) -> ArchiveImportWorker:
        """A worker that reads this archive, whatever was uploaded."""
        return ArchiveImportWorker(lambda files, site_url, code: self, files=self, **options)


def uploaded(newsletter: Newsletter | None = None, *, data: bytes = b"x") -> ArchiveImport:
    """An import with an upload that no test reads."""
    return store_upload(newsletter or make_newsletter(), "shelf.zip", [data], by="ines")


def work(stored: ArchiveImport, worker: ArchiveImportWorker, *, chunks: int = 1_000) -> ArchiveImport:
    """Let a worker do so many chunks, until nothing is left to do."""
    for _ in range(chunks):
        if not worker.claim(stored.pk):
            break
        worker.advance(stored.pk)
    worker.release(stored.pk)
    return ArchiveImport.objects.get(pk=stored.pk)


def checked(shelf: Shelf, newsletter: Newsletter | None = None, **options: Any) -> ArchiveImport:
    """An import of the shelf after its check."""
    return work(uploaded(newsletter), shelf.worker(**options))


def imported(
    shelf: Shelf,
    newsletter: Newsletter | None = None,
    *,
    as_drafts: bool = False,
    keeps_tracking: bool = False,
    **options: Any,
) -> ArchiveImport:
    """An import of the shelf from its upload to its end."""
    stored = checked(shelf, newsletter, **options)
    start_run(stored, by="ines", as_drafts=as_drafts, keeps_tracking=keeps_tracking)
    return work(stored, shelf.worker(**options))
