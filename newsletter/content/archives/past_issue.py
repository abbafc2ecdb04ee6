"""A past issue as an export holds it, built into the value that every archive gives. Pure."""

from __future__ import annotations

import datetime
import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import unquote, urlsplit

from newsletter.config.translatable import translatable
from newsletter.content.archives.dates import day_of
from newsletter.content.archives.item import (
    ArchiveItem,
    ArchiveNote,
    ArchivePicture,
    DateSource,
    UnreadItem,
    Visibility,
)
from newsletter.content.archives.mail_html import LeftOut, TooLongError, markdown_of, tree_of
from newsletter.content.archives.sections import IssueParts, sections_of
from newsletter.content.archives.templates import without_tags
from newsletter.content.archives.unwrap import reader_tokens, text_with_links_unwrapped
from newsletter.content.document import IssueContent, SectionContent
from newsletter.content.fields import LIMITS, FieldName, content_faults, field_faults, slug_from
from newsletter.content.html_text import html_to_line, one_line, shortened
from newsletter.content.markdown import plain_words
from newsletter.content.merge_faults import without_merge_fields

MAX_KEY = 500
TITLE_WORDS = 12
_LANGUAGE = re.compile(r"[a-zA-Z]{2,3}(?:[-_][a-zA-Z0-9]{2,8})*")
_NOT_IN_A_SLUG = re.compile(r"[^-a-zA-Z0-9_]+")


@dataclass(slots=True, kw_only=True)
class PastIssue:
    """What an export says of one issue. The text is a tree of `mail_html.tree_of`, or Markdown."""

    key: str
    place: str
    title: str
    tree: Any = None
    markdown: str = ""
    left_out: LeftOut = field(default_factory=LeftOut)
    base_url: str = ""
    subject: str = ""
    preheader: str = ""
    slug: str = ""
    published_at: datetime.datetime | None = None
    date_source: DateSource = DateSource.COLUMN
    visibility: Visibility = Visibility.PUBLIC
    old_paths: tuple[str, ...] = ()
    language: str = ""
    categories: tuple[str, ...] = ()
    unknown: Mapping[str, object] = field(default_factory=dict)
    pictures: tuple[ArchivePicture, ...] = ()
    notes: list[ArchiveNote] = field(default_factory=list)

    def note(self, sentence: str) -> None:
        """Add a note."""
        self.notes.append(ArchiveNote(sentence))


def issue_from_html(past: PastIssue, html: str, *, keeps_counters: bool = True) -> ArchiveItem | UnreadItem:
    """The item of an issue whose text is `html`, if no rule of a tool changes it."""
    try:
        past.tree = tree_of(html)
    except TooLongError:
        return too_long(past.place)
    return built(past, keeps_counters=keeps_counters)


def too_long(place: str) -> UnreadItem:
    """The item of an issue that is too long to be converted."""
    return UnreadItem(place, translatable("The text has more than 500,000 characters. Divide the issue."), True)


def built(past: PastIssue, *, keeps_counters: bool = True) -> ArchiveItem | UnreadItem:
    """The item; a failure if it has neither a title nor a text. Never raises.

    An issue in which something still looks like the token of a subscriber is private, and a note names it.
    """
    parts = _parts_of(past, keeps_counters)
    title = _title(past, parts.sections)
    if not title:
        return UnreadItem(past.place, translatable("The issue has neither a title nor a text."), True)
    content = IssueContent(
        title=title,
        slug=_slug(past, title),
        date=day_of(past.published_at),
        subject=_line(past, "subject", past.subject) or title,
        preheader=_line(past, "preheader", past.preheader),
        categories=_categories(past),
        sections=tuple(parts.sections),
    )
    if not content.sections:
        past.note(translatable("The issue has no text."))
    if fault := next(content_faults(content), None):
        return UnreadItem(past.place, fault, True)
    visibility = _visibility(past, content)
    return ArchiveItem(
        key=_key(past.key),
        place=past.place,
        content=content,
        published_at=past.published_at,
        date_source=past.date_source if past.published_at else DateSource.UNKNOWN,
        visibility=visibility,
        old_paths=tuple(dict.fromkeys(path for path in past.old_paths if path)),
        language=past.language if _LANGUAGE.fullmatch(past.language) else "",
        unknown={name: value for name, value in past.unknown.items() if value not in (None, "", [], {})},
        pictures=past.pictures,
        notes=tuple(dict.fromkeys([*past.notes, *past.left_out.as_notes(), *parts.notes])),
    )


def path_of(url: str) -> str:
    """The path of an address, as `ArchiveItem.old_paths` has them; empty for the root or no address."""
    try:
        path = unquote(urlsplit(url).path)
    except ValueError:
        return ""
    return path if path.startswith("/") and path != "/" else ""


def _parts_of(past: PastIssue, keeps_counters: bool) -> IssueParts:
    if past.tree is not None:
        text = markdown_of(past.tree, past.left_out, base_url=past.base_url, keeps_counters=keeps_counters)
        return sections_of(text, title=past.title)
    text, removed = text_with_links_unwrapped(past.markdown, keeps_counters=keeps_counters)
    past.left_out.goals += removed
    return sections_of(text, title=past.title, has_comments=True)


def _title(past: PastIssue, sections: list[SectionContent]) -> str:
    if title := _line(past, "title", past.title):
        return title
    words = next(_first_words(sections), "")
    if words:
        past.note(translatable("The issue had no title. Its first words became its title."))
    return words


def _first_words(sections: list[SectionContent]) -> Any:
    for section in sections:
        lines = (plain_words(line.lstrip("#>-* "), {})[0] for line in section.body.split("\n"))
        for line in (section.title, *lines):
            words = without_merge_fields(one_line(line)).split()
            title = " ".join(words[:TITLE_WORDS]) + ("…" if len(words) > TITLE_WORDS else "")
            title = shortened(title, LIMITS["title"])
            if any(letter.isalnum() for letter in title) and not any(field_faults("title", title)):
                yield title


def _line(past: PastIssue, name: FieldName, value: str) -> str:
    """A field on one line that can be stored; what was cut off is noted."""
    words = without_merge_fields(one_line(without_tags(value)[0]))
    words = "".join(letter for letter in words if not any(field_faults("title", letter)))
    short = shortened(words, LIMITS[name])
    if short != words:
        past.note(translatable("“{field}” was too long and was cut. It was: {words}", field=name, words=words))
    return short


def _slug(past: PastIssue, title: str) -> str:
    """The slug of the source in the letters that ours have."""
    limit = LIMITS["slug"]
    return (
        (past.slug if len(past.slug) <= limit and not _NOT_IN_A_SLUG.search(past.slug) else "")
        or slug_from(past.slug)
        or slug_from(title)
        or f"issue-{hashlib.sha256(past.key.encode('utf-8', 'replace')).hexdigest()[:10]}"
    )


def _categories(past: PastIssue) -> tuple[str, ...]:
    names = (without_merge_fields(one_line(html_to_line(name))).replace(",", " ") for name in past.categories)
    kept = dict.fromkeys(shortened(" ".join(name.split()), LIMITS["category"]) for name in names)
    return tuple(name for name in kept if name and not any(field_faults("category", name)))


def _visibility(past: PastIssue, content: IssueContent) -> Visibility:
    found = reader_tokens(content)
    if not found:
        return past.visibility
    sentence = translatable(
        "The issue is not public: these addresses look as if they named a subscriber. Remove them first: {addresses}",
        addresses=", ".join(found),
    )
    past.note(sentence)
    return Visibility.PRIVATE if past.visibility == Visibility.PUBLIC else past.visibility


def _key(key: str) -> str:
    if len(key) <= MAX_KEY:
        return key
    return f"{key[: MAX_KEY - 65]}-{hashlib.sha256(key.encode('utf-8', 'replace')).hexdigest()}"
