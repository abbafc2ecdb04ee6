"""The columns of our CSV: what an export writes, and what our import recognises as its own preset.

    address,first_name,state,tags,joined_at,confirmed_at,ended_at,source,language,time_zone   in this order,
    field:KEY                                                                                one per custom field,
    frequency,paused_until,topics_off,suppression_reason,proof                                in this order.

Times are in UTC, as ISO 8601 with seconds and `Z`. Several values of one cell (tags, options, topics) are separated by
`, `. Custom fields are written as `subscribers.profile.fields.value_text` does, and `parse_value` reads them. Empty
cells mean: no value.
"""

from __future__ import annotations

from collections.abc import Iterable

#: The first columns of every file, by which the import recognises it.
FIRST_COLUMNS = (
    "address",
    "first_name",
    "state",
    "tags",
    "joined_at",
    "confirmed_at",
    "ended_at",
    "source",
    "language",
    "time_zone",
)

#: Before the key of a custom field.
FIELD_PREFIX = "field:"

#: The columns after the custom fields. The suppression reason tells a bounce from a complaint.
LAST_COLUMNS = ("frequency", "paused_until", "topics_off", "suppression_reason", "proof")

#: A spreadsheet takes a cell that begins with one of these for a formula (OWASP, "CSV Injection"). Such a cell gets an
#: apostrophe in front, which our import takes off exactly once. A cell that begins with an apostrophe and one of these
#: gets another one, so that a round trip changes nothing.
FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r")


def header(keys: Iterable[str]) -> list[str]:
    """The first line of a CSV of a list that has custom fields with these keys."""
    return [*FIRST_COLUMNS, *(FIELD_PREFIX + key for key in keys), *LAST_COLUMNS]


def field_key(column: str) -> str:
    """The key of the custom field in a column; empty if it is another column."""
    return column.removeprefix(FIELD_PREFIX) if column.startswith(FIELD_PREFIX) else ""


def guarded(text: str) -> str:
    """The cell as it is safe in a spreadsheet."""
    return f"'{text}" if text.lstrip("'")[:1] in FORMULA_STARTS and text else text


def unguarded(text: str) -> str:
    """The cell as it was before `guarded`."""
    return text[1:] if text[:1] == "'" and text.lstrip("'")[:1] in FORMULA_STARTS else text
