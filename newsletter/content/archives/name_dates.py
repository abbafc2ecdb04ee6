"""Dates in the names, titles and heads of files, in all the forms that people type. Pure."""

from __future__ import annotations

import datetime
import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import PurePosixPath

from newsletter.content.archives.dates import EARLIEST, LATEST, read_time

_NAMES_OF_MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
_MONTHS = {name: number for number, name in enumerate(_NAMES_OF_MONTHS, start=1)}
_MONTH = r"(?P<word>jan|feb|mar|apr|may|jun|jul|aug|sep|oct|nov|dec)[a-z]*"
_BETWEEN = r"[-_. ,/]+"
_DAYS = tuple(
    re.compile(pattern, re.IGNORECASE)
    for pattern in (
        r"(?<!\d)(?P<year>\d{4})[-_./ ](?P<month>\d{1,2})[-_./ ](?P<day>\d{1,2})(?!\d)",
        r"(?<!\d)(?P<year>(?:19|20)\d\d)(?P<month>\d\d)(?P<day>\d\d)(?!\d)",
        rf"(?<!\d)(?P<year>\d{{4}}){_BETWEEN}{_MONTH}{_BETWEEN}(?P<day>\d{{1,2}})(?:st|nd|rd|th)?(?!\d)",
        rf"(?<!\d)(?P<day>\d{{1,2}})(?:st|nd|rd|th)?\.?{_BETWEEN}{_MONTH}{_BETWEEN}(?P<year>\d{{4}})(?!\d)",
        rf"(?<![a-z]){_MONTH}{_BETWEEN}(?P<day>\d{{1,2}})(?:st|nd|rd|th)?{_BETWEEN}(?P<year>\d{{4}})(?!\d)",
        r"(?P<year>\d{4})\s*年\s*(?P<month>\d{1,2})\s*月\s*(?P<day>\d{1,2})\s*日",
        r"(?<!\d)(?P<day>\d{1,2})\.\s?(?P<month>\d{1,2})\.\s?(?P<year>\d{4})(?!\d)",
    )
)
_MONTHS_ALONE = tuple(
    re.compile(pattern, re.IGNORECASE)
    for pattern in (
        rf"(?<!\d)(?P<year>\d{{4}}){_BETWEEN}{_MONTH}(?![a-z])",
        rf"(?<![a-z]){_MONTH}{_BETWEEN}(?P<year>\d{{4}})(?!\d)",
        r"(?<!\d)(?P<year>(?:19|20)\d\d)[-_./](?P<month>0\d|1[0-2])(?![\d])",
    )
)
_TIME = re.compile(
    r"(?P<year>\d{4})[-/.](?P<month>\d{1,2})[-/.](?P<day>\d{1,2})"
    r"(?:[T ]+(?P<hour>\d{1,2}):(?P<minute>\d{1,2})(?::(?P<second>\d{1,2})(?:[.,]\d+)?)?)?"
    r"\s*(?P<zone>Z|UTC|GMT|[+-]\d{1,2}:?\d{2})?",
    re.IGNORECASE,
)
_HAS_MONTH = re.compile(rf"(?<![a-z]){_MONTH}", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class FoundDate:
    """A day in a name or title, and the text without it. `has_day`: whether it is more than a month."""

    day: datetime.date
    rest: str
    has_day: bool = True


def head_time(text: str) -> datetime.datetime | None:
    """The time of a head, in UTC; None if the text is no date. A day without a time is noon, without a zone UTC."""
    text = " ".join(text.split()).strip("\"'")
    found = _TIME.fullmatch(text)
    if found is None:
        is_number = text.isdigit() and len(text) > 8
        return read_time(text) if is_number or _HAS_MONTH.search(text) else None
    year, month, day = (int(found[part]) for part in ("year", "month", "day"))
    hour, minute, second = (int(found[part]) if found[part] else None for part in ("hour", "minute", "second"))
    try:
        at = datetime.datetime(
            year,
            month,
            day,
            12 if hour is None else hour,
            minute or 0,
            second or 0,
            tzinfo=_zone(found["zone"] or ""),
        ).astimezone(datetime.UTC)
    except (ValueError, OverflowError):
        return None
    return at if EARLIEST <= at < LATEST else None


def date_in_name(path: PurePosixPath) -> FoundDate | None:
    """The date in the name of a file, or in the names of its folders: `2019/07/16/slug`."""
    stem = name_of(path)
    folders = "/".join(path.parts[:-1])
    return (
        _first(_DAYS, stem)
        or _in_folders(_DAYS, folders, stem)
        or _first(_MONTHS_ALONE, stem)
        or _in_folders(_MONTHS_ALONE, folders, stem)
    )


def date_in_text(text: str) -> FoundDate | None:
    """The last day in a title."""
    found = [one for pattern in _DAYS if (one := _first((pattern,), text))]
    return found[0] if found else None


def name_of(path: PurePosixPath) -> str:
    """The name of a file without its extension; of `index.md`, that of its folder."""
    stem = path.name.rpartition(".")[0] or path.name
    return path.parent.name if stem.lower() in {"index", "readme"} and path.parent.name else stem


def noon(day: datetime.date) -> datetime.datetime:
    """The time of a day without a time."""
    return datetime.datetime.combine(day, datetime.time(12), datetime.UTC)


def _in_folders(patterns: Iterable[re.Pattern[str]], folders: str, stem: str) -> FoundDate | None:
    found = _first(patterns, f"{folders}/{stem}") or _first(patterns, folders)
    return FoundDate(found.day, stem if found.rest.endswith(stem) else "", found.has_day) if found else None


def _first(patterns: Iterable[re.Pattern[str]], text: str) -> FoundDate | None:
    for pattern in patterns:
        for found in pattern.finditer(text[:500]):
            if day := _day(found):
                rest = f"{text[: found.start()]} {text[found.end() :]}".strip(" -_.#|,–—()[]/")
                return FoundDate(day, rest, "day" in found.groupdict())
    return None


def _day(found: re.Match[str]) -> datetime.date | None:
    parts = found.groupdict()
    month = _MONTHS[parts["word"].lower()] if parts.get("word") else int(parts["month"])
    try:
        day = datetime.date(int(parts["year"]), month, int(parts.get("day") or 1))
    except ValueError:
        return None
    return day if EARLIEST.date() <= day < LATEST.date() else None


def _zone(text: str) -> datetime.tzinfo:
    if not text or text[0] not in "+-":
        return datetime.UTC
    digits = text[1:].replace(":", "").zfill(4)
    minutes = int(digits[:2]) * 60 + int(digits[2:])
    return datetime.timezone(datetime.timedelta(minutes=minutes if text[0] == "+" else -minutes))
