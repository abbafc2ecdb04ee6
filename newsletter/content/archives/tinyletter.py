"""TinyLetter's export: a table of letters with their HTML. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import PurePosixPath

from newsletter.content.archives.dates import read_time
from newsletter.content.archives.item import ArchiveError, ArchiveFiles, ArchiveItem, UnreadItem
from newsletter.content.archives.past_issue import PastIssue, issue_from_html
from newsletter.content.archives.tables import columns_of, csv_rows, paths_with
from newsletter.content.archives.templates import without_tags
from newsletter.content.fields import slug_from

_COLUMNS = {"subject", "content", "created_at"}


@dataclass(slots=True)
class TinyLetterArchive:
    """A CSV file with `Subject`, `Content` and `Created_At`."""

    code: str = field(default="tinyletter", init=False)
    site_url: str = ""
    keeps_counters: bool = True

    def fits(self, files: ArchiveFiles) -> bool:
        """Whether there is such a table."""
        return any(_is_table(files, path) for path in paths_with(files, ".csv"))

    def items(self, files: ArchiveFiles) -> Iterator[ArchiveItem | UnreadItem]:
        """The letters in the order of the tables."""
        for path in paths_with(files, ".csv"):
            if not _is_table(files, path):
                continue
            try:
                for number, row in csv_rows(files, path):
                    yield self._letter(f"{path}, row {number}", row)
            except ArchiveError as error:
                yield UnreadItem(str(path), error.args[0], True)

    def _letter(self, place: str, row: dict[str, str]) -> ArchiveItem | UnreadItem:
        title, slug = row.get("subject", ""), slug_from(row.get("subject", ""))
        text, notes = without_tags(row.get("content", ""))
        past = PastIssue(
            key=f"{row.get('created_at', '')} {slug}".strip() or place,
            place=place,
            title=title,
            slug=slug,
            base_url=self.site_url,
            published_at=read_time(row.get("created_at")),
            unknown={name: value for name, value in row.items() if name not in _COLUMNS},
            notes=notes,
        )
        return issue_from_html(past, text, keeps_counters=self.keeps_counters)


def _is_table(files: ArchiveFiles, path: PurePosixPath) -> bool:
    return columns_of(files, path) >= _COLUMNS
