"""Recording: deliveries keep the first time of each type of event, and the counters of their send follow."""

from __future__ import annotations

import datetime
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from django.db import connection

from newsletter.events.bounce_counts import counted_class, counted_classes
from newsletter.models import CountScope, EventType, SendCount
from newsletter.models.bulk_sql import as_json, execute_with_rows
from newsletter.models.send_count import BOUNCED_DELIVERIES, Change, changes_by_key

TIMES = tuple(f"{event_type.value}_at" for event_type in EventType)

#: Locked in the order of their keys, as the step that records outcomes does: two orders would block each other.
FIND_DELIVERIES = f"""
    SELECT id, subscriber_id, issue_id, send_id, provider_id, {", ".join(TIMES)}
    FROM newsletter_delivery WHERE id {{keys}} ORDER BY id {{lock}}
"""  # noqa: S608 - names of columns are ours
FIND_ADDRESSES = "SELECT id, canonical FROM subscribers_subscriber WHERE id {keys}"

#: All types of events in one statement: each write of a row costs, however many columns it changes.
RECORD_TIMES = f"""
    UPDATE newsletter_delivery
    SET provider_id = rows.provider_id, {", ".join(f"{name} = rows.{name}" for name in TIMES)}
    FROM {{rows}} WHERE newsletter_delivery.id = rows.id
"""  # noqa: S608 - names of columns are ours
RECORD_COLUMNS = {"id": "bigint", "provider_id": "text", **dict.fromkeys(TIMES, "timestamptz")}

_TYPES = tuple(EventType)


class RecordedEvent(NamedTuple):
    """What a delivery keeps of one event. `bounce` is the code of its class, empty for other events."""

    delivery_pk: int
    event_type: EventType
    at: datetime.datetime
    provider_id: str
    bounce: str


@dataclass(slots=True)
class FoundDelivery:
    """A locked delivery. `canonical` is empty for an erased subscriber."""

    pk: int
    subscriber_id: int
    issue_id: int
    send_id: int
    provider_id: str
    times: dict[EventType, datetime.datetime]
    """The first time of each type of event that is known."""
    canonical: str = ""
    found_times: dict[EventType, datetime.datetime] = field(default_factory=dict)
    """What these events add or make earlier."""


def find_deliveries(keys: Collection[int]) -> dict[int, FoundDelivery]:
    """Lock these deliveries, and find the addresses behind them. Unknown keys are left out."""
    found = {row[0]: _found(row) for row in _rows_of(FIND_DELIVERIES, keys)}
    owners = {delivery.subscriber_id for delivery in found.values()}
    addresses = dict(_rows_of(FIND_ADDRESSES, owners))
    for delivery in found.values():
        delivery.canonical = addresses.get(delivery.subscriber_id, "")
    return found


def _rows_of(query: str, keys: Collection[int]) -> list[tuple[Any, ...]]:
    if not keys:
        return []
    is_postgresql = connection.vendor == "postgresql"
    condition, lock = ("= ANY(%s)", "FOR UPDATE") if is_postgresql else ("IN (SELECT value FROM json_each(%s))", "")
    with connection.cursor() as cursor:
        cursor.execute(
            query.format(keys=condition, lock=lock), [sorted(keys) if is_postgresql else as_json(sorted(keys))]
        )
        return list(cursor.fetchall())


def _found(row: tuple[Any, ...]) -> FoundDelivery:
    pk, subscriber, issue, send, provider_id, *times = row
    known = {event_type: _time(at) for event_type, at in zip(_TYPES, times, strict=True) if at is not None}
    return FoundDelivery(pk, subscriber, issue, send, provider_id, known)


def _time(value: object) -> datetime.datetime:
    """SQLite has times in UTC without their zone."""
    at = value if isinstance(value, datetime.datetime) else datetime.datetime.fromisoformat(str(value))
    return at if at.tzinfo else at.replace(tzinfo=datetime.UTC)


def record_events(events: Iterable[RecordedEvent], deliveries: Mapping[int, FoundDelivery]) -> None:
    """Record the first times, and count what is new by hour, by mail domain and by class of bounce.

    The totals of a send are counted by the database. Repeats and later times change nothing.
    """
    changed: dict[int, FoundDelivery] = {}
    bounces: dict[int, set[str]] = {}
    for event in events:
        delivery = deliveries[event.delivery_pk]
        known = delivery.found_times.get(event.event_type) or delivery.times.get(event.event_type)
        if event.bounce and event.event_type is EventType.BOUNCED:
            bounces.setdefault(event.delivery_pk, set()).add(event.bounce)
        if known is None or event.at < known:
            delivery.found_times[event.event_type] = event.at
            changed[event.delivery_pk] = delivery
        if not delivery.provider_id and event.provider_id:
            delivery.provider_id = event.provider_id
            changed[event.delivery_pk] = delivery
    rows = [_row(changed[key]) for key in sorted(changed)]
    execute_with_rows(RECORD_TIMES, RECORD_COLUMNS, rows)
    counts: Counter[Change] = Counter()
    for delivery in changed.values():
        for change, amount in _changes(delivery):
            counts[change] += amount
    for change, amount in _bounce_changes(bounces, deliveries):
        counts[change] += amount
    SendCount.objects.add(counts)


def _row(delivery: FoundDelivery) -> tuple[int | str | datetime.datetime | None, ...]:
    times = delivery.times | delivery.found_times
    return (delivery.pk, delivery.provider_id, *(times.get(event_type) for event_type in _TYPES))


def _changes(delivery: FoundDelivery) -> Iterator[tuple[Change, int]]:
    """An earlier time moves the event to another hour; the domain counts each delivery once."""
    domain = delivery.canonical.rpartition("@")[2]
    for event_type, at in delivery.found_times.items():
        yield from changes_by_key(delivery.send_id, domain, event_type, delivery.times.get(event_type), at)


def _bounce_changes(
    bounces: Mapping[int, set[str]], deliveries: Mapping[int, FoundDelivery]
) -> Iterator[tuple[Change, int]]:
    """Each delivery counts under one class, which a further bounce may change."""
    if not bounces:
        return
    known = counted_classes(list(bounces))
    for key, codes in bounces.items():
        before, after = known.get(key), counted_class(codes | ({known[key]} if key in known else set()))
        if before == after:
            continue
        send = deliveries[key].send_id
        if before is not None:
            yield (send, CountScope.BOUNCE.value, before, BOUNCED_DELIVERIES), -1
        yield (send, CountScope.BOUNCE.value, after, BOUNCED_DELIVERIES), 1
