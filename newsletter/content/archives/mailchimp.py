"""Mailchimp's campaigns: a folder or ZIP file with the HTML of each mail, and a table of them if there is one. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import PurePosixPath
from typing import Any

from newsletter.content.archives.dates import read_time
from newsletter.content.archives.files import read_text
from newsletter.content.archives.item import (
    ArchiveError,
    ArchiveFiles,
    ArchiveItem,
    ArchiveNote,
    DateSource,
    UnreadItem,
)
from newsletter.content.archives.mail_html import LeftOut, TooLongError, by_class, tree_of, words_of
from newsletter.content.archives.past_issue import PastIssue, built, path_of, too_long
from newsletter.content.archives.tables import csv_rows, json_of, paths_with, rows_of, text_of
from newsletter.content.archives.templates import without_tags
from newsletter.content.details import date_in
from newsletter.content.fields import slug_from
from newsletter.content.html_text import html_to_line, one_line

_MARKS = re.compile(
    r"\*\|[A-Z_:]+\||mcnTextContent|mceText|templateBody|mcusercontent\.com|gallery\.mailchimp\.com|list-manage\.com|"
    r"campaign-archive\d*\.com|mailchi\.mp"
)
_TITLE = re.compile(r"<title[^>]*>(.*?)</title>", re.IGNORECASE | re.DOTALL)
_SUBJECT_TAGS = {"MC:SUBJECT", "SUBJECT"}
_DATE_IN_NAME = re.compile(r"(?<!\d)(20\d\d|19\d\d)[-_.]?(0[1-9]|1[0-2])[-_.]?([0-2]\d|3[01])(?!\d)")
_CHROME_IDS = ("templatePreheader", "templateFooter", "awesomewrap", "monkeyRewards", "rewards")
_CHROME = (
    "mcnFollowContent",
    "mcnShareContent",
    "mcnFollowBlock",
    "mcnShareBlock",
    "mceSocialFollowBlock",
    "mceFooterSection",
)
_SNIFFED = 300_000


@dataclass(slots=True)
class _Facts:
    """What a table says of a campaign."""

    subject: str = ""
    title: str = ""
    preview: str = ""
    sent_at: Any = None
    path: str = ""
    key: str = ""
    notes: list[ArchiveNote] = field(default_factory=list)


@dataclass(slots=True)
class MailchimpArchive:
    """One HTML file for each campaign."""

    code: str = field(default="mailchimp", init=False)
    site_url: str = ""
    keeps_counters: bool = True

    def fits(self, files: ArchiveFiles) -> bool:
        """Whether one of the first HTML files has marks of Mailchimp."""
        for path in paths_with(files, ".html", ".htm")[:20]:
            try:
                if _MARKS.search(read_text(files, path)[:_SNIFFED]):
                    return True
            except ArchiveError:
                continue
        return False

    def items(self, files: ArchiveFiles) -> Iterator[ArchiveItem | UnreadItem]:
        """The campaigns in the order of their paths."""
        facts = _facts_by_name(files)
        for path in paths_with(files, ".html", ".htm"):
            try:
                yield self._campaign(path, read_text(files, path), _facts_of(path, facts))
            except ArchiveError as error:
                yield UnreadItem(str(path), error.args[0], True)

    def _campaign(self, path: PurePosixPath, html: str, facts: _Facts) -> ArchiveItem | UnreadItem:
        subject = facts.subject or _subject_in(html)
        text, notes = without_tags(html, dict.fromkeys(_SUBJECT_TAGS, subject))
        try:
            tree = tree_of(text)
        except TooLongError:
            return too_long(str(path))
        preview = facts.preview or (_preview_of(tree) if tree is not None else "")
        left_out = LeftOut()
        if tree is not None:
            drop_chrome(tree, left_out)
        past = PastIssue(
            key=facts.key or str(path),
            place=str(path),
            title=subject or facts.title or _heading_in(tree) or _title_in_name(path),
            subject=subject,
            preheader=preview,
            slug=slug_from(path.stem),
            tree=tree,
            left_out=left_out,
            base_url=self.site_url,
            old_paths=(facts.path,) if facts.path else (),
            notes=notes,
        )
        _set_date(past, path, facts)
        return built(past, keeps_counters=self.keeps_counters)


def drop_chrome(tree: Any, left_out: LeftOut) -> None:
    """Remove the head and foot of a mail, and the buttons to follow and share."""
    for node in [*by_class(tree, *_CHROME), *(one for one in tree.iter() if one.get("id") in _CHROME_IDS)]:
        if node.getparent() is not None:
            left_out.drop(node)


def _subject_in(html: str) -> str:
    found = _TITLE.search(html)
    words = html_to_line(without_tags(found[1])[0]) if found else ""
    return one_line(words)


def _preview_of(tree: Any) -> str:
    previews = by_class(tree, "mcnPreviewText", "preview-text", "preheader")
    words = words_of(previews[0]) if previews else ""
    if previews:
        previews[0].drop_tree()
    return words


def _heading_in(tree: Any) -> str:
    """The first large heading of a mail."""
    return next((words for node in tree.iter("h1") if (words := words_of(node))), "") if tree is not None else ""


def _title_in_name(path: PurePosixPath) -> str:
    words = re.sub(r"^[\da-f]{6,}[-_ ]+|[-_ ]+[\da-f]{8,}$", "", path.stem)
    return one_line(re.sub(r"[-_]+", " ", words))


def _set_date(past: PastIssue, path: PurePosixPath, facts: _Facts) -> None:
    """The date, and where it was found: table, file name or title."""
    past.published_at = read_time(facts.sent_at)
    if past.published_at is None and (found := _DATE_IN_NAME.search(path.name)):
        past.published_at, past.date_source = read_time("-".join(found.groups())), DateSource.FILE_NAME
    if past.published_at is None and (day := date_in(past.title)):
        past.published_at, past.date_source = read_time(day.isoformat()), DateSource.TITLE


def _facts_by_name(files: ArchiveFiles) -> Mapping[str, _Facts]:
    """What tables and lists of the archive say, by ids and titles of campaigns."""
    found: dict[str, _Facts] = {}
    for path in paths_with(files, ".csv"):
        try:
            for _, row in csv_rows(files, path):
                if "subject" in row and ("send date" in row or "send_time" in row):
                    _remember(found, row, row.get("send date") or row.get("send_time"))
        except ArchiveError:
            continue
    for path in paths_with(files, ".json"):
        value = json_of(files, path)
        for row in rows_of(value.get("campaigns") if isinstance(value, dict) else value):
            settings = row.get("settings")
            if isinstance(settings, dict):
                flat = {
                    **settings,
                    "unique id": row.get("id"),
                    "url": row.get("archive_url") or row.get("long_archive_url"),
                }
                _remember(found, flat, row.get("send_time"))
    return found


def _remember(found: dict[str, _Facts], row: Mapping[str, Any], sent_at: Any) -> None:
    row = dict(row)
    facts = _Facts(
        subject=text_of(row, "subject", "subject_line"),
        title=text_of(row, "title"),
        preview=text_of(row, "preview_text"),
        sent_at=sent_at,
        path=path_of(text_of(row, "url", "archive_url")),
        key=text_of(row, "unique id", "id"),
    )
    for name in (facts.key, slug_from(facts.title), slug_from(facts.subject)):
        if name:
            found.setdefault(name, facts)


def _facts_of(path: PurePosixPath, facts: Mapping[str, _Facts]) -> _Facts:
    """The facts whose id or title is in the name of the file."""
    stem = path.stem
    names = [stem, *re.split(r"[-_. ]", stem), slug_from(stem), slug_from(_title_in_name(path))]
    return next((facts[name] for name in names if name in facts), _Facts())
