"""Dates and times as export files write them."""

from __future__ import annotations

import datetime
import re

#: Years that a date of a subscriber can have. Others are typing errors, or stand for “never”.
FIRST_YEAR, LAST_YEAR = 1970, 2100

_MONTHS = {
    name: number
    for number, name in enumerate(
        ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"), 1
    )
}
_CLOCK = (
    r"(?:[T ,]+(?P<hour>\d{1,2}):(?P<minute>\d\d)(?::(?P<second>\d\d))?(?:\.(?P<fraction>\d+))?"
    r"(?: ?(?P<half>[AaPp])\.?[Mm]\.?)?)?"
)
#: An offset or UTC. Go writes the name of the zone behind it.
_ZONE = r"(?: ?(?:(?P<sign>[+-])(?P<hours>\d\d):?(?P<minutes>\d\d)|(?P<utc>UTC|GMT|Z)))?(?: [A-Z]{1,5}| [+-]\d{4})?"
_FORMS = tuple(
    re.compile(day + _CLOCK + _ZONE)
    for day in (
        r"(?P<year>\d{4})[-/.](?P<month>\d{1,2})[-/.](?P<day>\d{1,2})",
        r"(?P<first>\d{1,2})(?P<sep>[-/.])(?P<second_part>\d{1,2})(?P=sep)(?P<year>\d{4})",
        r"(?P<name>[A-Za-z]{3})[a-z]*\.? (?P<day>\d{1,2}),? (?P<year>\d{4})",
        r"(?:[A-Z][a-z]{2}, )?(?P<day>\d{1,2})\.? (?P<name>[A-Za-z]{3})[a-z]*\.? (?P<year>\d{4})",
    )
)
_EPOCH = re.compile(r"(\d{10})(\d{3})?(?:\.0*)?")
_NEVER = re.compile(r"0000-00-00(?: 00:00:00)?")


def parse_datetime(text: str, *, is_day_first: bool) -> datetime.datetime | None:
    """The date and time as written, without a zone if the text has none. None if the text is no date.

    Dates without a time are midnight. `is_day_first` decides about 03/04/2026.
    """
    try:
        # The form of most files, many times faster than the others.
        return datetime.datetime.fromisoformat(text) if text[4:5] == "-" else _parsed(text, is_day_first)
    except ValueError:
        return _parsed(text, is_day_first)


def parse_instant(text: str, zone: datetime.tzinfo, *, is_day_first: bool) -> datetime.datetime | None:
    """The instant in UTC; texts without a zone are in `zone`. None if it is no date, or one outside the years above."""
    instant = parse_datetime(text, is_day_first=is_day_first)
    if instant is None or not FIRST_YEAR <= instant.year <= LAST_YEAR:
        return None
    if instant.tzinfo is None:
        instant = instant.replace(tzinfo=zone)
    return instant if instant.tzinfo is datetime.UTC else instant.astimezone(datetime.UTC)


def is_never(text: str) -> bool:
    """Whether a database wrote this for no date."""
    return _NEVER.fullmatch(text) is not None


def _parsed(text: str, is_day_first: bool) -> datetime.datetime | None:
    if epoch := _EPOCH.fullmatch(text):
        return datetime.datetime.fromtimestamp(int(epoch[1]), datetime.UTC)
    found = next((match for form in _FORMS if (match := form.fullmatch(text))), None)
    if found is None:
        return None
    parts = found.groupdict()
    try:
        day = datetime.date(int(parts["year"]), *_month_and_day(parts, is_day_first))
        return datetime.datetime.combine(day, _time(parts), _zone(parts))
    # Month 13, hour 25, an offset of 99 hours, no such month's name.
    except (ValueError, KeyError):
        return None


def _month_and_day(parts: dict[str, str | None], is_day_first: bool) -> tuple[int, int]:
    if name := parts.get("name"):
        return _MONTHS[name.lower()], int(parts["day"] or 0)
    if (month := parts.get("month")) is not None:
        return int(month), int(parts["day"] or 0)
    first, second = int(parts["first"] or 0), int(parts["second_part"] or 0)
    is_day = first > 12 or (second <= 12 and (is_day_first or parts["sep"] == "."))
    return (second, first) if is_day else (first, second)


def _time(parts: dict[str, str | None]) -> datetime.time:
    hour = int(parts["hour"] or 0)
    if half := parts["half"]:
        hour = hour % 12 + (12 if half in "Pp" else 0)
    microsecond = int(((parts["fraction"] or "") + "000000")[:6])
    return datetime.time(hour, int(parts["minute"] or 0), int(parts["second"] or 0), microsecond)


def _zone(parts: dict[str, str | None]) -> datetime.tzinfo | None:
    if parts["sign"] is None:
        return datetime.UTC if parts["utc"] else None
    offset = datetime.timedelta(hours=int(parts["hours"] or 0), minutes=int(parts["minutes"] or 0))
    return datetime.timezone(offset if parts["sign"] == "+" else -offset)


def tells_order(text: str) -> bool | None:
    """Whether a date such as 31/12/2026 shows that the day comes first; None if it can be read both ways."""
    found = _FORMS[1].match(text)
    if found is None or found["sep"] == ".":
        return None
    first, second = int(found["first"]), int(found["second_part"])
    if (first > 12) == (second > 12):
        return None
    return first > 12
