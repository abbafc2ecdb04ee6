"""Issues kept as JSON: one with chapters, or several with lists of links. Pure.

`{subject, date, header[], chapters[{title, entries[{title, url, text (HTML), author, tags}]}], footer}`, or months with
`{list: [{title, url, content, tags, date}]}`.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from newsletter.content.html_markdown import html_as_markdown
from newsletter.content.plain_text import plain_to_markdown

MAX_ENTRIES = 5_000
_CHAPTERS = ("chapters", "sections", "categories", "topics", "groups")
_ENTRIES = ("entries", "list", "items", "links", "stories", "articles", "posts")
_URLS = ("url", "link", "href")
_TEXTS = ("text", "content", "description", "body", "summary", "excerpt")
_LEADS = ("header", "intro", "introduction", "preamble", "lead", "content", "body", "text")
_ENDS = ("footer", "outro", "closing")
_DATES = ("date", "published", "published_at", "publish_date", "created_at")
_USED = frozenset({"subject", "title", "name", *_CHAPTERS, *_ENTRIES, *_LEADS, *_ENDS, "date", "slug"})


@dataclass(slots=True)
class JsonIssue:
    """An issue as Markdown, with what else is known."""

    title: str
    markdown: str
    date: str = ""
    slug: str = ""
    unknown: dict[str, object] = field(default_factory=dict)


def issues_in(data: object) -> list[JsonIssue]:
    """The issues of a JSON file; none if it holds something else."""
    if isinstance(data, list):
        return [issue for one in data[:MAX_ENTRIES] for issue in issues_in(one) if isinstance(one, dict)]
    if not isinstance(data, dict):
        return []
    chapters = next((data[key] for key in _CHAPTERS if _are_tables(data.get(key))), None)
    entries = next((data[key] for key in _ENTRIES if _are_links(data.get(key))), None)
    if chapters is None and entries is None:
        return []
    if chapters is not None and not any(_entries_of(chapter) for chapter in chapters):
        return []
    parts = [
        *_texts(data, _LEADS if chapters is not None else ()),
        *_chapters(chapters or []),
        *_stories(entries or []),
    ]
    title = _line(data, ("subject", "title", "name"))
    unknown = {key: value for key, value in data.items() if key not in _USED}
    return [
        JsonIssue(
            title, "\n\n".join([*parts, *_texts(data, _ENDS)]), _line(data, _DATES), _line(data, ("slug",)), unknown
        )
    ]


def _chapters(chapters: Iterable[Mapping[str, Any]]) -> Iterator[str]:
    for chapter in chapters:
        if title := _line(chapter, ("title", "name", "heading")):
            yield f"## {plain_to_markdown(title)}"
        entries = _entries_of(chapter)
        yield from _texts(chapter, ("description", "text", "intro", "content"))
        yield from _stories(entries)


def _stories(entries: Iterable[Mapping[str, Any]]) -> Iterator[str]:
    for entry in list(entries)[:MAX_ENTRIES]:
        title, url = _line(entry, ("title", "name", "headline")), _line(entry, _URLS)
        source = _line(entry, ("author", "source", "by"))
        words = re.sub(r"([\[\]])", r"\\\1", plain_to_markdown(title).replace("\\[", "[").replace("\\]", "]"))
        if url:
            yield f"### [{words or url}](<{url}>)" + (f" · {source}" if source else "")
        elif title:
            yield f"#### {words}" + (f" · {source}" if source else "")
        if tags := _tags(entry):
            yield plain_to_markdown(tags)
        yield from _texts(entry, _TEXTS)


def _texts(data: Mapping[str, Any], keys: Iterable[str]) -> Iterator[str]:
    for key in keys:
        value = data.get(key)
        for text in value if isinstance(value, list) else [value]:
            if isinstance(text, str) and text.strip():
                yield html_as_markdown(text).markdown if "<" in text else text
            elif isinstance(text, dict):
                yield from _texts(text, ("title", *_TEXTS))


def _entries_of(chapter: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    return next((chapter[key] for key in _ENTRIES if _are_tables(chapter.get(key))), [])


def _are_tables(value: object) -> bool:
    return isinstance(value, list) and bool(value) and all(isinstance(one, dict) for one in value)


def _are_links(value: Any) -> bool:
    return _are_tables(value) and any(_line(one, _URLS).startswith("http") for one in value)


def _tags(entry: Mapping[str, Any]) -> str:
    tags = entry.get("tags")
    return ", ".join(str(tag) for tag in tags if isinstance(tag, str)) if isinstance(tags, list) else str(tags or "")


def _line(data: Mapping[str, Any], keys: Iterable[str]) -> str:
    values = (data.get(key) for key in keys)
    return next(
        (" ".join(str(value).split()) for value in values if isinstance(value, str | int) and str(value).strip()), ""
    )
