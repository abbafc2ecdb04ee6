"""The first 48 hours of a send: who had the mail, opened and clicked, hour by hour. Read from counters."""

from __future__ import annotations

import datetime
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from django.db.models import Sum

from newsletter.models import CountScope, EventType, Send, SendCount
from newsletter.models.send_count import hour_of

HOURS = 48
HOUR = datetime.timedelta(hours=1)

#: What the chart shows. Lines without any event are left out, except deliveries.
LINES = (EventType.DELIVERED, EventType.OPENED, EventType.CLICKED)


@dataclass(frozen=True, slots=True, kw_only=True)
class FirstHours:
    """Cumulative counts at the end of each hour; all lines are as long as `ends`, which ends now for a young send."""

    ends: tuple[datetime.datetime, ...]
    lines: Mapping[EventType, tuple[int, ...]]

    @property
    def highest(self) -> int:
        return max((counts[-1] for counts in self.lines.values() if counts), default=0)


def first_hours(send: Send, now: datetime.datetime) -> FirstHours:
    """The hours are those of the clock in UTC: the first is the one in which the send started."""
    if send.started_at is None:
        return FirstHours(ends=(), lines={})
    start = send.started_at.astimezone(datetime.UTC).replace(minute=0, second=0, microsecond=0)
    hours = min(HOURS, max(1, -((start - now) // HOUR)))
    starts = [start + number * HOUR for number in range(hours)]
    counts = _counts(send, start + hours * HOUR)
    lines = {}
    for event_type in LINES:
        by_hour = {hour: count for (name, hour), count in counts.items() if name == event_type.value}
        if by_hour or event_type is EventType.DELIVERED:
            lines[event_type] = _cumulative(by_hour, [hour_of(at) for at in starts])
    return FirstHours(ends=tuple(at + HOUR for at in starts), lines=lines)


def _counts(send: Send, end: datetime.datetime) -> dict[tuple[str, str], int]:
    names = [event_type.value for event_type in LINES]
    rows = SendCount.objects.filter(send=send, scope=CountScope.HOUR, key__lt=hour_of(end), name__in=names).order_by()
    return {(name, key): count for name, key, count in rows.values_list("name", "key").annotate(total=Sum("value"))}


def _cumulative(by_hour: Mapping[str, int], hours: Sequence[str]) -> tuple[int, ...]:
    """What clocks that differ put before the start counts in the first hour."""
    total = sum(count for hour, count in by_hour.items() if hour < hours[0])
    found = []
    for hour in hours:
        total += by_hour.get(hour, 0)
        found.append(total)
    return tuple(found)
