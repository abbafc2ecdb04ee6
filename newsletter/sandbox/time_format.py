"""Moments as Resend writes them."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta

_IN_A_WHILE = re.compile(r"in (\d{1,6}) ?(min|minute|hour|day)s?", re.IGNORECASE)
_UNITS = {"min": "minutes", "minute": "minutes", "hour": "hours", "day": "days"}


def written(at: float) -> str:
    """Seconds since 1970 as `2026-11-21T10:17:00.123Z`: milliseconds, UTC."""
    return datetime.fromtimestamp(at, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def read_moment(value: str, now: float) -> float | None:
    """A moment in ISO 8601 (without an offset: UTC) or as "in 10 minutes"; None if it is neither."""
    relative = _IN_A_WHILE.fullmatch(value.strip())
    if relative:
        unit = _UNITS[relative[2].lower()]
        return now + timedelta(**{unit: int(relative[1])}).total_seconds()
    try:
        moment = datetime.fromisoformat(value)
    except ValueError:
        return None
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()


def day(at: float) -> str:
    """The UTC day of a moment, `2026-11-21`."""
    return datetime.fromtimestamp(at, UTC).date().isoformat()


def next_day(at: float) -> str:
    """When the UTC day of a moment ends, written."""
    midnight = datetime.fromtimestamp(at, UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    return written((midnight + timedelta(days=1)).timestamp())


def next_month(at: float) -> str:
    """When the UTC month of a moment ends, written."""
    first = datetime.fromtimestamp(at, UTC).replace(day=1, hour=0, minute=0, second=0, microsecond=0)
    return written((first + timedelta(days=32)).replace(day=1).timestamp())
