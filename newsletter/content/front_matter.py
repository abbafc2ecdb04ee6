"""The front matter of an issue's file: its keys as details with line numbers, and written as YAML. Pure.

What is known is read, in any case of its letters and under the names that site generators use; other keys are noted.
"""

from __future__ import annotations

import datetime
import re
from collections.abc import Mapping, Sequence
from typing import Any

import yaml

from newsletter.config.translatable import translatable
from newsletter.content.details import KEYS, IssueDetails, unique_categories
from newsletter.content.document import IssueContent
from newsletter.content.heads import HeadEntry, read_head
from newsletter.content.problems import ProblemList

#: Keys of the audience whose value is a list of names.
NAME_LISTS = ("lists", "segments", "exclude")

#: The names that site generators use, for keys of an issue. A key of its own name comes first.
OTHER_NAMES: Mapping[str, str] = {
    "description": "preheader",
    "summary": "preheader",
    "excerpt": "preheader",
    "tags": "categories",
    "category": "categories",
    "pubdate": "date",
    "pubdatetime": "date",
    "publish_date": "date",
    "published": "date",
}
_DAY = re.compile(r"(\d{4}-\d{2}-\d{2})(?:[T ]\d{1,2}:\d{2}.*)?")


def read_front_matter(lines: Sequence[str], problems: ProblemList) -> tuple[IssueDetails, int]:
    """Read the head at the top of a file; also returns the index of the first line after it.

    A file without front matter gives empty details and 0.
    """
    head, details = read_head(lines), IssueDetails()
    for line, sentence in head.faults:
        problems.error(line, sentence)
        details.readable = False
    for line, sentence in head.notes:
        problems.warn(line, sentence)
    own = {_key(entry) for entry in head.entries}
    for entry in head.entries:
        known = OTHER_NAMES.get(_key(entry), "")
        name = known if known and known not in own else _key(entry)
        if known and name == known:
            own.add(known)  # the first of several other names counts
        _read_entry(details, name, entry, problems)
    return details, head.end


def write_front_matter(content: IssueContent) -> str:
    """The canonical block: keys in the order of KEYS, without values that equal their default."""
    entries: dict[str, str | list[str]] = {"title": content.title, "date": content.date.isoformat()}
    if content.subject != content.title:
        entries["subject"] = content.subject
    if content.preheader:
        entries["preheader"] = content.preheader
    entries["slug"] = content.slug
    if content.categories:
        entries["categories"] = list(content.categories)
    if content.audience.topic:
        entries["topic"] = content.audience.topic
    for key in NAME_LISTS:
        if names := getattr(content.audience, key):
            entries[key] = list(names)
    return "---\n" + "".join(_entry(key, value) for key, value in entries.items()) + "---\n"


def _entry(key: str, value: str | list[str]) -> str:
    if key == "date":
        return f"date: {value}\n"
    style = None if isinstance(value, list) else False  # lists in brackets on one line
    text = yaml.safe_dump({key: value}, allow_unicode=True, width=float("inf"), default_flow_style=style)
    return str(text)


def _key(entry: HeadEntry) -> str:
    return entry.key.strip().lower()


def _read_entry(details: IssueDetails, name: str, entry: HeadEntry, problems: ProblemList) -> None:
    value, line = entry.value, entry.line
    if name not in KEYS:
        sentence = translatable(
            "“{key}” is not a field of an issue and is left out. The fields are: {keys}.",
            key=entry.key,
            keys=", ".join(KEYS),
        )
        problems.warn(line, sentence)
        return
    if name in details.lines:
        problems.error(line, translatable("“{key}” appears twice. Remove one of the two lines.", key=entry.key))
        return
    details.lines[name] = line
    if value is None:
        return
    if name == "categories":
        details.categories = _categories(value, line, problems)
    elif name in NAME_LISTS:
        details.audience[name] = _names(name, value, line, problems)
    elif isinstance(value, dict | list):
        sentence = translatable(
            "“{key}” must be one line of text. Put quotes around the value if it contains brackets or braces.",
            key=entry.key,
        )
        problems.error(line, sentence)
    elif name == "date":
        details.date = _date(str(value), line, problems)
    else:
        details.values[name] = str(value)


def _date(text: str, line: int, problems: ProblemList) -> datetime.date | None:
    try:
        day = _DAY.fullmatch(text.strip())
        return datetime.datetime.strptime(day[1] if day else text, "%Y-%m-%d").date()
    except ValueError:
        sentence = translatable("“{date}” is not a date. Write year, month and day, such as 2026-03-31.", date=text)
        problems.error(line, sentence)
        return None


def _categories(value: Any, line: int, problems: ProblemList) -> tuple[str, ...]:
    if not isinstance(value, dict | list):
        return unique_categories((part.strip() for part in str(value).split(",")), line, problems)
    if isinstance(value, list) and not any(isinstance(item, dict | list) for item in value):
        return unique_categories(("" if item is None else str(item) for item in value), line, problems)
    problems.error(line, translatable("“categories” must be a list of names, such as [News, Tech]."))
    return ()


def _names(key: str, value: Any, line: int, problems: ProblemList) -> tuple[str, ...]:
    """One name, or a list of names: unlike categories, names of segments may contain commas."""
    if not isinstance(value, dict | list):
        return (str(value).strip(),)
    if isinstance(value, list) and not any(isinstance(item, dict | list) for item in value):
        return tuple("" if item is None else str(item).strip() for item in value)
    problems.error(line, translatable("“{key}” must be a list of names, such as [Locals, Sailors].", key=key))
    return ()
