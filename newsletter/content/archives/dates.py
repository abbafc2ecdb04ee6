"""Dates as other tools write them: ISO with and without a zone, RFC 822, and numbers. Pure."""

from __future__ import annotations

import datetime
import email.utils
import re

#: Newsletters of before are not imported: such a date is a default of the tool.
EARLIEST = datetime.datetime(1980, 1, 1, tzinfo=datetime.UTC)
LATEST = datetime.datetime(2100, 1, 1, tzinfo=datetime.UTC)

#: The day of an issue without a date.
NO_DAY = datetime.date(1970, 1, 1)

_NUMBER = re.compile(r"\d{9,13}")
_DAY = re.compile(r"\d{4}-\d{2}-\d{2}")
_ZONE_NAME = re.compile(r"\s*(?:UTC|GMT|Z)$")
_WRITTEN = ("%b %d, %Y %I:%M %p", "%B %d, %Y %I:%M %p", "%b %d, %Y", "%B %d, %Y", "%Y/%m/%d %H:%M:%S", "%m/%d/%Y %H:%M")


def read_time(value: object) -> datetime.datetime | None:
    """The time of a value of an export, in UTC: text, or seconds or milliseconds since 1970; None if it is no time.

    Without a zone it is UTC, as tools export it; a day without a time is noon.
    """
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        return None
    text = " ".join(str(int(value) if isinstance(value, float) and abs(value) < 1e15 else value).split())
    found = _from_number(int(text)) if _NUMBER.fullmatch(text) else _from_text(text)
    if found is None:
        return None
    try:
        utc = (found if found.tzinfo else found.replace(tzinfo=datetime.UTC)).astimezone(datetime.UTC)
    except OverflowError:
        return None
    return utc if EARLIEST <= utc < LATEST else None


def day_of(at: datetime.datetime | None) -> datetime.date:
    """The day of an issue, as ArchiveItem wants it."""
    return at.date() if at else NO_DAY


def _from_number(number: int) -> datetime.datetime:
    seconds = number / 1000 if number > 99_999_999_999 else number
    return datetime.datetime.fromtimestamp(seconds, datetime.UTC)


def _from_text(text: str) -> datetime.datetime | None:
    if _DAY.fullmatch(text):
        text += " 12:00"
    for form in (text, _ZONE_NAME.sub("+00:00", text)):
        try:
            return datetime.datetime.fromisoformat(form)
        except ValueError:
            continue
    try:
        return email.utils.parsedate_to_datetime(text)
    except (ValueError, TypeError, IndexError, OverflowError):
        pass
    for pattern in _WRITTEN:
        try:
            found = datetime.datetime.strptime(re.sub(r"(?i)(\d)([ap]m)$", r"\1 \2", text), pattern)
        except ValueError:
            continue
        return found if "%H" in pattern or "%I" in pattern else found.replace(hour=12)
    return None
