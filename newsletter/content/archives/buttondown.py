"""Buttondown's export: a list of mails, and a file with the text of each; or the mails as its API gives them. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import PurePosixPath
from typing import Any

from newsletter.config.translatable import translatable
from newsletter.content.archives.dates import read_time
from newsletter.content.archives.files import read_text
from newsletter.content.archives.item import ArchiveError, ArchiveFiles, ArchiveItem, UnreadItem, Visibility
from newsletter.content.archives.markdown_source import without_active_html
from newsletter.content.archives.past_issue import PastIssue, built, issue_from_html
from newsletter.content.archives.tables import columns_of, csv_rows, json_of, paths_with, rows_of, text_of
from newsletter.content.archives.templates import without_tags

_MODE = re.compile(r"\s*<!--\s*buttondown-editor-mode:\s*(\w+)\s*-->\s*")
_HTML = re.compile(
    r"\s*<(?:!doctype|html|body|p|div|h[1-6]|table|ul|ol|figure|blockquote|section|center|span|a)\b", re.I
)
_HAS_BLOCKS = re.compile(
    r"<(?:p|div|h[1-6]|table|ul|ol|li)\b[^>]*>.*</(?:p|div|h[1-6]|table|ul|ol|li)>", re.I | re.DOTALL
)
_DRAFTS = {"draft", "scheduled", "managed_by_rss", "about_to_send", "paused", "errored", "suppressed", "throttled"}
_PRIVATE = {
    "premium",
    "free",
    "churned",
    "for_subscribers",
    "for_paying",
    "for subscribers",
    "for paying",
    "subscribers",
    "paying",
}
_MAIL_ONLY = {"private", "disabled"}
_KNOWN = {
    "id",
    "subject",
    "body",
    "slug",
    "publish_date",
    "status",
    "email_type",
    "archival_mode",
    "description",
    "html",
}


@dataclass(slots=True)
class ButtondownArchive:
    """`emails.csv` with Markdown or HTML files named by slug, or JSON."""

    code: str = field(default="buttondown", init=False)
    site_url: str = ""
    keeps_counters: bool = True

    def fits(self, files: ArchiveFiles) -> bool:
        """Whether there is a list with Buttondown's columns or fields."""
        return _table_of(files) is not None or any(_rows_in(files, path) for path in paths_with(files, ".json"))

    def items(self, files: ArchiveFiles) -> Iterator[ArchiveItem | UnreadItem]:
        """The mails in the order of the lists."""
        texts = {path.stem: path for path in paths_with(files, ".md", ".markdown", ".html", ".txt")}
        table = _table_of(files)
        try:
            for number, row in csv_rows(files, table) if table else ():
                yield self._mail(files, f"{table}, row {number}", dict(row), texts)
        except ArchiveError as error:
            yield UnreadItem(str(table), error.args[0], True)
        if table:
            return
        for path in paths_with(files, ".json"):
            for number, entry in enumerate(_rows_in(files, path), start=1):
                yield self._mail(files, f"{path}, entry {number}", entry, texts)

    def _mail(
        self, files: ArchiveFiles, place: str, row: dict[str, Any], texts: dict[str, PurePosixPath]
    ) -> ArchiveItem | UnreadItem:
        slug, title = text_of(row, "slug"), text_of(row, "subject", "title")
        body = row.get("body")
        try:
            text = body if isinstance(body, str) else read_text(files, texts[slug]) if slug in texts else None
        except ArchiveError as error:
            return UnreadItem(place, error.args[0], True)
        if text is None:
            sentence = translatable(
                "The text of “{title}” is not in the export: there is no file {name}.md.", title=title, name=slug
            )
            return UnreadItem(place, sentence, True)
        if text_of(row, "status") == "deleted":
            return UnreadItem(place, translatable("“{title}” was deleted.", title=title), False)
        published_at = read_time(row.get("publish_date"))
        past = PastIssue(
            key=text_of(row, "id") or slug or place,
            place=place,
            title=title,
            preheader=text_of(row, "description"),
            slug=slug,
            base_url=self.site_url,
            published_at=published_at,
            visibility=_visibility(row, published_at is not None),
            old_paths=(f"/archive/{slug}/",) if slug and published_at else (),
            unknown={name: value for name, value in row.items() if name not in _KNOWN},
        )
        mode = _MODE.match(text)
        text, notes = without_tags(text[mode.end() :] if mode else text)
        past.notes += notes
        if is_html(text, mode[1] if mode else ""):
            return issue_from_html(past, text, keeps_counters=self.keeps_counters)
        past.markdown, notes = without_active_html(text)
        past.notes += notes
        return built(past, keeps_counters=self.keeps_counters)


def is_html(text: str, mode: str) -> bool:
    """Whether a text is HTML. What the editor called fancy is HTML unless it has none."""
    return _HTML.match(text) is not None if mode != "fancy" else _HAS_BLOCKS.search(text) is not None


def _table_of(files: ArchiveFiles) -> PurePosixPath | None:
    tables = (path for path in files.paths() if path.name.lower() == "emails.csv")
    return next((path for path in tables if {"subject", "publish_date", "slug"} <= columns_of(files, path)), None)


def _rows_in(files: ArchiveFiles, path: PurePosixPath) -> list[dict[str, Any]]:
    value = json_of(files, path)
    rows = rows_of(value.get("results") if isinstance(value, dict) else value)
    is_list = all("subject" in row and "publish_date" in row and "slug" in row for row in rows)
    return rows if is_list else []


def _visibility(row: dict[str, Any], published: bool) -> Visibility:
    words = {text_of(row, name).lower() for name in ("email_type", "archival_mode")} - {""}
    if not published or text_of(row, "status") in _DRAFTS:
        return Visibility.DRAFT
    if words & _MAIL_ONLY:
        return Visibility.MAIL_ONLY
    is_public = words <= {"public", "archival", "enabled", "archive only", "archive_only"}
    return Visibility.PUBLIC if is_public and not words & _PRIVATE else Visibility.PRIVATE
