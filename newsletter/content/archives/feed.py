"""Feeds with the full text of issues: RSS, Atom and JSON Feed, saved as files. Pure."""

from __future__ import annotations

import calendar
import datetime
import io
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import PurePosixPath
from typing import Any

import feedparser  # type: ignore[import-untyped]

from newsletter.config.translatable import translatable
from newsletter.content.archives.dates import read_time
from newsletter.content.archives.item import ArchiveError, ArchiveFiles, ArchiveItem, UnreadItem
from newsletter.content.archives.past_issue import PastIssue, issue_from_html, path_of
from newsletter.content.archives.tables import json_of, paths_with, rows_of, text_of
from newsletter.content.archives.templates import without_tags
from newsletter.content.feeds import declares_entities
from newsletter.content.html_text import html_to_line

_XML = re.compile(rb"<(?:rss|feed|rdf:RDF|channel)\b", re.IGNORECASE)
_CUT = re.compile(
    r"(?:…|\.\.\.|\[(?:…|\.\.\.)\]|(?:read|continue reading|read the rest)(?: more)?\s*[→»>]*)\s*$", re.IGNORECASE
)
_JSON_FEED = "https://jsonfeed.org/version/1"
#: Summaries with fewer words are beginnings.
LEAST_WORDS = 100


@dataclass(slots=True)
class FeedArchive:
    """Files with feeds. They hold the newest ten or twenty issues only, not all."""

    code: str = field(default="feed", init=False)
    site_url: str = ""
    keeps_counters: bool = True

    def fits(self, files: ArchiveFiles) -> bool:
        """Whether one of the files is a feed."""
        return any(_is_feed(files, path) for path in paths_with(files, ".xml", ".rss", ".atom", ".rdf", ".json"))

    def items(self, files: ArchiveFiles) -> Iterator[ArchiveItem | UnreadItem]:
        """The entries in the order of the files. Entries that hold only the beginning of an issue are failures."""
        for path in paths_with(files, ".xml", ".rss", ".atom", ".rdf", ".json"):
            if not _is_feed(files, path):
                continue
            entries = _from_json(files, path) if path.suffix.lower() == ".json" else _from_xml(files, path)
            for number, entry in enumerate(entries, start=1):
                place = f"{path}, entry {number}"
                yield entry if isinstance(entry, UnreadItem) else self._issue(entry, place)

    def _issue(self, entry: _Entry, place: str) -> ArchiveItem | UnreadItem:
        if entry.is_teaser:
            sentence = translatable(
                "The feed holds only the beginning of “{title}”. Feeds with the full text can be imported.",
                title=entry.title or entry.url,
            )
            return UnreadItem(place, sentence, True)
        text, notes = without_tags(entry.html) if "*|" in entry.html else (entry.html, [])
        path = path_of(entry.url)
        past = PastIssue(
            key=entry.key or entry.url or place,
            place=place,
            title=entry.title,
            slug=path.rstrip("/").rsplit("/", 1)[-1],
            base_url=entry.url or self.site_url,
            published_at=entry.published_at,
            old_paths=(path,) if path else (),
            language=entry.language,
            categories=entry.categories,
            notes=notes,
        )
        return issue_from_html(past, text, keeps_counters=self.keeps_counters)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Entry:
    key: str
    title: str
    url: str
    html: str
    is_teaser: bool
    published_at: datetime.datetime | None
    categories: tuple[str, ...] = ()
    language: str = ""


def _is_feed(files: ArchiveFiles, path: PurePosixPath) -> bool:
    try:
        data = files.read(path)
    except ArchiveError:
        return False
    if path.suffix.lower() != ".json":
        return _XML.search(data[:4_000].replace(b"\0", b"")) is not None
    value = json_of(files, path)
    return isinstance(value, dict) and text_of(value, "version").startswith(_JSON_FEED)


def _from_xml(files: ArchiveFiles, path: PurePosixPath) -> Iterator[_Entry | UnreadItem]:
    data = files.read(path)
    if declares_entities(data.replace(b"\0", b"")):
        sentence = translatable("This feed declares XML entities, which are refused because they can be an attack.")
        yield UnreadItem(str(path), sentence, True)
        return
    try:
        parsed = feedparser.parse(io.BytesIO(data), sanitize_html=False)
    except Exception:  # feedparser raises many types for broken XML
        yield UnreadItem(str(path), translatable("This feed is too malformed to be parsed."), True)
        return
    language = str(parsed.feed.get("language") or "")
    for entry in parsed.entries:
        yield _xml_entry(entry, language)


def _xml_entry(entry: Any, language: str) -> _Entry:
    contents = [str(one.get("value") or "") for one in entry.get("content", [])]
    summary = str(entry.get("summary") or "")
    full = max(contents, key=len, default="")
    html = full if len(full) >= len(summary) else summary
    title = str(entry.get("title") or "")
    is_html = (entry.get("title_detail") or {}).get("type") != "text/plain" or "&" in title
    return _Entry(
        key=str(entry.get("id") or ""),
        title=html_to_line(title) if is_html else title,
        url=str(entry.get("link") or ""),
        html=html,
        is_teaser=_is_teaser(html, has_content=bool(full.strip()) and len(full) >= len(summary)),
        published_at=read_time(entry.get("published") or entry.get("updated")) or _parsed_time(entry),
        categories=tuple(str(tag.get("term") or "") for tag in entry.get("tags", [])),
        language=str((entry.get("content") or [{}])[0].get("language") or language),
    )


def _parsed_time(entry: Any) -> datetime.datetime | None:
    """The time as feedparser understands it: names of zones, and other spellings."""
    parsed = entry.get("published_parsed") or entry.get("updated_parsed")
    try:
        return datetime.datetime.fromtimestamp(calendar.timegm(parsed), datetime.UTC) if parsed else None
    except (ValueError, OverflowError, OSError, TypeError):
        return None


def _from_json(files: ArchiveFiles, path: PurePosixPath) -> Iterator[_Entry]:
    value = json_of(files, path)
    for item in rows_of(value.get("items")):
        text = text_of(item, "content_html")
        tags = item.get("tags")
        if not text:
            paragraphs = text_of(item, "content_text").split("\n\n")
            text = "".join(f"<p>{_escaped(paragraph)}</p>" for paragraph in paragraphs if paragraph.strip())
        summary = text_of(item, "summary")
        yield _Entry(
            key=text_of(item, "id"),
            title=text_of(item, "title"),
            url=text_of(item, "url", "external_url"),
            html=text or f"<p>{_escaped(summary)}</p>",
            is_teaser=not text.strip(),
            published_at=read_time(item.get("date_published")) or read_time(item.get("date_modified")),
            categories=tuple(str(tag) for tag in tags) if isinstance(tags, list) else (),
            language=text_of(item, "language") or text_of(value, "language"),
        )


def _escaped(text: str) -> str:
    return text.replace("&", "&amp;").replace("<", "&lt;")


def _is_teaser(html: str, *, has_content: bool) -> bool:
    """Whether a text is only the beginning: short or cut, and not said to be the content."""
    words = html_to_line(html)
    if not words:
        return True
    return not has_content and (len(words.split()) < LEAST_WORDS or _CUT.search(words) is not None)
