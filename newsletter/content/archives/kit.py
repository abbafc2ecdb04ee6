"""Kit's broadcasts, as its API gives them in JSON. Kit was ConvertKit. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import PurePosixPath
from typing import Any

from newsletter.config.translatable import translatable
from newsletter.content.archives.dates import read_time
from newsletter.content.archives.item import ArchiveFiles, ArchiveItem, UnreadItem, Visibility
from newsletter.content.archives.past_issue import PastIssue, issue_from_html, path_of
from newsletter.content.archives.tables import json_of, paths_with, rows_of, text_of
from newsletter.content.archives.templates import without_tags

_KEPT = ("thumbnail_url", "thumbnail_alt", "description")


@dataclass(slots=True)
class KitArchive:
    """JSON with `broadcasts` or one `broadcast`, or a list of them."""

    code: str = field(default="kit", init=False)
    site_url: str = ""
    keeps_counters: bool = True

    def fits(self, files: ArchiveFiles) -> bool:
        """Whether there is such a file."""
        return any(_rows_in(files, path) for path in paths_with(files, ".json"))

    def items(self, files: ArchiveFiles) -> Iterator[ArchiveItem | UnreadItem]:
        """The broadcasts in the order of the files."""
        for path in paths_with(files, ".json"):
            for number, row in enumerate(_rows_in(files, path), start=1):
                yield self._broadcast(f"{path}, entry {number}", row)

    def _broadcast(self, place: str, row: dict[str, Any]) -> ArchiveItem | UnreadItem:
        title = text_of(row, "subject")
        if not text_of(row, "content"):
            sentence = translatable(
                "The text of “{title}” is not in the file: lists of broadcasts have none. Get each broadcast by "
                "its id.",
                title=title,
            )
            return UnreadItem(place, sentence, True)
        path = path_of(text_of(row, "public_url"))
        text, notes = without_tags(text_of(row, "content"))
        past = PastIssue(
            key=text_of(row, "id") or place,
            place=place,
            title=title,
            preheader=text_of(row, "preview_text"),
            slug=path.rstrip("/").rsplit("/", 1)[-1],
            base_url=text_of(row, "public_url") or self.site_url,
            published_at=read_time(row.get("published_at")) or read_time(row.get("send_at")),
            visibility=_visibility(row),
            old_paths=(path,) if path else (),
            unknown={name: row.get(name) for name in _KEPT},
            notes=notes,
        )
        return issue_from_html(past, text, keeps_counters=self.keeps_counters)


def _rows_in(files: ArchiveFiles, path: PurePosixPath) -> list[dict[str, Any]]:
    value = json_of(files, path)
    if isinstance(value, dict):
        value = value.get("broadcasts") or [value.get("broadcast", value)]
    rows = rows_of(value)
    return rows if all("subject" in row and "content" in row and "public" in row for row in rows) else []


def _visibility(row: dict[str, Any]) -> Visibility:
    if not (row.get("published_at") or row.get("send_at")):
        return Visibility.DRAFT
    return Visibility.PUBLIC if row.get("public") is True else Visibility.MAIL_ONLY
