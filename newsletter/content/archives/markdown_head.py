"""What the head of a Markdown file says of a past issue: what is known, and what is kept as it is. Pure."""

from __future__ import annotations

import datetime
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from newsletter.config.translatable import translatable
from newsletter.content.archives.item import ArchiveNote, Visibility
from newsletter.content.archives.name_dates import head_time
from newsletter.content.heads import Head

_TITLES = ("title", "subject", "name")
_PREHEADERS = ("preheader", "description", "summary", "excerpt", "subtitle")
_DATES = (
    *("date", "publish_date", "publishdate", "pubdate", "pubdatetime", "published_at", "published", "sent_at"),
    *("created", "created_at"),
)
_NAMES = ("categories", "category", "tags", "tag", "keywords")
_PATHS = ("permalink", "url", "path")
_REDIRECTS = ("aliases", "alias", "redirect_from", "redirects")
_LANGUAGES = ("lang", "language", "locale")
_NO = frozenset({"false", "no", "off", "0"})
_HIDDEN = frozenset({"draft", "hidden", "private", "unlisted", "skip"})


@dataclass(slots=True)
class PastHead:
    """The values of a head. `unknown` are the keys without a meaning here, `has_date` whether a date was meant."""

    title: str = ""
    subject: str = ""
    preheader: str = ""
    slug: str = ""
    published_at: datetime.datetime | None = None
    categories: tuple[str, ...] = ()
    visibility: Visibility = Visibility.PUBLIC
    paths: tuple[str, ...] = ()
    redirects: tuple[str, ...] = ()
    language: str = ""
    unknown: dict[str, object] = field(default_factory=dict)
    notes: list[ArchiveNote] = field(default_factory=list)


def past_head(head: Head) -> PastHead:
    """The values of `head`. A broken date is a note, and no date. Never raises."""
    values: dict[str, Any] = {}
    made = PastHead(notes=[ArchiveNote(sentence, line) for line, sentence in head.notes])
    lines: dict[str, int] = {}
    for entry in head.entries:
        values.setdefault(entry.key.strip().lower(), entry.value)
        lines.setdefault(entry.key.strip().lower(), entry.line)
    made.title = _text(values, _TITLES)
    made.subject = _text(values, ("subject",))
    made.preheader = _text(values, _PREHEADERS)
    made.slug = _text(values, ("slug",))
    made.language = _text(values, _LANGUAGES)
    made.categories = tuple(dict.fromkeys(_names(values)))
    made.paths = tuple(path for key in _PATHS if (path := _path(values.get(key))))
    made.redirects = tuple(path for key in _REDIRECTS for one in _listed(values.get(key)) if (path := _path(one)))
    made.visibility = _visibility(values)
    _read_date(made, values, lines)
    known = {*_TITLES, *_PREHEADERS, "slug", *_LANGUAGES, *_NAMES, *_PATHS, *_REDIRECTS, "draft", "taxonomies"}
    used = {key for key in known if isinstance(values.get(key), str | bool | list) or key == "taxonomies"}
    dates = {key for key in _DATES if isinstance(values.get(key), str) and head_time(values[key])}
    made.unknown = {key: value for key, value in values.items() if key not in used | dates}
    return made


def _read_date(made: PastHead, values: Mapping[str, Any], lines: Mapping[str, int]) -> None:
    for key in _DATES:
        text = str(values.get(key) or "").strip()
        if key == "published" and text.lower() in {"true", "false", "yes", "no", ""}:
            continue
        if text and (at := head_time(text)):
            made.published_at = at
            return
        if text:
            sentence = translatable("“{date}” is not a date, so it was not used.", date=text[:100])
            made.notes.append(ArchiveNote(sentence, lines.get(key, 0)))


def _visibility(values: Mapping[str, Any]) -> Visibility:
    words = {key: str(values.get(key, "")).strip().lower() for key in ("draft", "published", "status", "visibility")}
    is_draft = words["draft"] in {"true", "yes", "on", "1"} or words["published"] in _NO
    if is_draft or words["status"] in _HIDDEN or words["visibility"] in _HIDDEN:
        return Visibility.DRAFT
    return Visibility.PUBLIC


def _text(values: Mapping[str, Any], keys: Iterable[str]) -> str:
    texts = (str(values[key]).strip() for key in keys if isinstance(values.get(key), str | int))
    return next((text for text in texts if text), "")


def _names(values: Mapping[str, Any]) -> Iterable[str]:
    tables = [values, values["taxonomies"]] if isinstance(values.get("taxonomies"), dict) else [values]
    for table in tables:
        for key in _NAMES:
            yield from (name.strip() for name in _listed(table.get(key)) if name.strip())


def _listed(value: Any) -> Iterable[str]:
    if isinstance(value, str):
        return value.strip("[] ").split(",") if "," in value else [value]
    return [str(one) for one in value if isinstance(one, str | int)] if isinstance(value, list) else []


def _path(value: Any) -> str:
    """A path with its leading slash; empty for patterns and addresses of other kinds."""
    text = str(value or "").strip() if isinstance(value, str) else ""
    if "://" in text:
        text = "/" + text.partition("://")[2].partition("/")[2]
    if not text or "{{" in text or ":" in text or text == "/":
        return ""
    return text if text.startswith("/") else f"/{text}"
