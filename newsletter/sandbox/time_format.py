"""Times in Resend's format."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta

_RELATIVE = re.compile(r"in (\d{1,6}) ?(min|minute|hour|day)s?", re.IGNORECASE)
_UNITS = {"min": "minutes", "minute": "minutes", "hour": "hours", "day": "days"}


def format_time(at: float) -> str:
    """Seconds since 1970 as `2026-11-21T10:17:00.123Z`: milliseconds, UTC."""
    return datetime.fromtimestamp(at, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def parse_time(value: str, now: float) -> float | None:
    """A time in ISO 8601 (UTC if it has no offset) or as "in 10 minutes"; None if it is neither."""
    relative = _RELATIVE.fullmatch(value.strip())
    if relative:
        unit = _UNITS[relative[2].lower()]
        return now + timedelta(**{unit: int(relative[1])}).total_seconds()
    try:
        time = datetime.fromisoformat(value)
    except ValueError:
        return None
    return (time if time.tzinfo else time.replace(tzinfo=UTC)).timestamp()


def day(at: float) -> str:
    """The UTC day of a time, such as `2026-11-21`."""
    return datetime.fromtimestamp(at, UTC).date().isoformat()


def next_day(at: float) -> str:
    """The end of the UTC day of a time, formatted."""
    midnight = datetime.fromtimestamp(at, UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    return format_time((midnight + timedelta(days=1)).timestamp())


def next_month(at: float) -> str:
    """The end of the UTC month of a time, formatted."""
    first = datetime.fromtimestamp(at, UTC).replace(day=1, hour=0, minute=0, second=0, microsecond=0)
    return format_time((first + timedelta(days=32)).replace(day=1).timestamp())
