"""listmonk's campaigns, as its API gives them in JSON. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import PurePosixPath
from typing import Any

from newsletter.config.translatable import translatable
from newsletter.content.archives.dates import read_time
from newsletter.content.archives.item import ArchiveFiles, ArchiveItem, UnreadItem, Visibility
from newsletter.content.archives.markdown_source import without_active_html
from newsletter.content.archives.past_issue import PastIssue, built, issue_from_html
from newsletter.content.archives.tables import json_of, paths_with, rows_of, text_of
from newsletter.content.archives.templates import without_tags
from newsletter.content.plain_text import plain_to_markdown

_KNOWN = {
    *("id", "uuid", "name", "subject", "body", "body_source", "altbody", "content_type", "status", "type", "send_at"),
    *("started_at", "created_at", "updated_at", "tags", "archive", "archive_slug", "from_email", "lists", "views"),
    *("clicks", "bounces", "to_send", "sent", "messenger", "template_id", "headers", "media", "archive_template_id"),
}


@dataclass(slots=True)
class ListmonkArchive:
    """JSON with `data.results`, or a list of campaigns."""

    code: str = field(default="listmonk", init=False)
    site_url: str = ""
    keeps_counters: bool = True

    def fits(self, files: ArchiveFiles) -> bool:
        """Whether there is such a file."""
        return any(_rows_in(files, path) for path in paths_with(files, ".json"))

    def items(self, files: ArchiveFiles) -> Iterator[ArchiveItem | UnreadItem]:
        """The campaigns in the order of the files."""
        for path in paths_with(files, ".json"):
            for number, row in enumerate(_rows_in(files, path), start=1):
                yield self._campaign(f"{path}, entry {number}", row)

    def _campaign(self, place: str, row: dict[str, Any]) -> ArchiveItem | UnreadItem:
        title, uuid = text_of(row, "subject", "name"), text_of(row, "uuid")
        if text_of(row, "type") not in {"regular", ""}:
            sentence = translatable("“{title}” asks for confirmation and is no issue.", title=title)
            return UnreadItem(place, sentence, False)
        slug = text_of(row, "archive_slug")
        text, notes = without_tags(text_of(row, "body"))
        tags = row.get("tags")
        past = PastIssue(
            key=uuid or text_of(row, "id") or place,
            place=place,
            title=title,
            slug=slug,
            base_url=self.site_url,
            published_at=read_time(row.get("started_at")) or read_time(row.get("send_at")),
            visibility=_visibility(row),
            old_paths=tuple(f"/archive/{name}" for name in (slug, uuid) if name and row.get("archive")),
            categories=tuple(str(tag) for tag in tags) if isinstance(tags, list) else (),
            unknown={name: value for name, value in row.items() if name not in _KNOWN},
            notes=notes,
        )
        kind = text_of(row, "content_type")
        if kind == "markdown":
            past.markdown, notes = without_active_html(text)
            past.notes += notes
        elif kind == "plain":
            past.markdown = "\n".join(plain_to_markdown(line) for line in text.splitlines())
        else:
            return issue_from_html(past, text, keeps_counters=self.keeps_counters)
        return built(past, keeps_counters=self.keeps_counters)


def _rows_in(files: ArchiveFiles, path: PurePosixPath) -> list[dict[str, Any]]:
    value = json_of(files, path)
    data = value.get("data", value) if isinstance(value, dict) else value
    rows = rows_of(data.get("results", [data]) if isinstance(data, dict) else data)
    return rows if all("body" in row and "content_type" in row and "uuid" in row for row in rows) else []


def _visibility(row: dict[str, Any]) -> Visibility:
    """A campaign that was stopped midway was sent, but is not known to be finished: a draft."""
    if text_of(row, "status") != "finished":
        return Visibility.DRAFT
    return Visibility.PUBLIC if row.get("archive") else Visibility.MAIL_ONLY
