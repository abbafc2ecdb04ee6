"""Apply: turn stored events into facts about deliveries, in sets and in any order.

A delivery keeps the first time of each fact, so late, repeated and reordered events end in the same row. Events are
claimed, applied and marked in one transaction: a crash leaves them new, and applying them again is harmless.
"""

from __future__ import annotations

import datetime
import logging
from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass

from django.conf import settings
from django.db import transaction

from newsletter.config.failpoints import Point, failpoint
from newsletter.models import DELIVERY_MACHINE, EVENT, Delivery, DeliveryState, Event, EventState, Fact, Reason
from newsletter.models.bulk_sql import execute_with_rows
from newsletter.providers.base import BounceKind, EventRejected, ParsedEvent, Provider
from subscribers.addresses import AddressError, parse_address
from subscribers.models import Subscriber, SuppressionReason
from subscribers.suppression import suppress_addresses

log = logging.getLogger(__name__)

#: Events applied per transaction.
CHUNK = 1_000

#: Facts by which a recipient has the mail.
REACHED = (Fact.DELIVERED, Fact.OPENED, Fact.CLICKED)

# One statement per kind of fact for any number of rows: the earliest time wins.
KEEP_FIRST_TIME = """
    UPDATE newsletter_delivery
    SET {fact}_at = CASE WHEN {fact}_at IS NULL OR rows.at < {fact}_at THEN rows.at ELSE {fact}_at END,
        provider_id = CASE newsletter_delivery.provider_id
            WHEN '' THEN rows.provider_id ELSE newsletter_delivery.provider_id END
    FROM {{rows}} WHERE newsletter_delivery.id = rows.id
"""
MARK = f"""
    UPDATE newsletter_event SET state = rows.state, reason = rows.reason, bounce = rows.bounce, detail = rows.detail,
        delivery_id = CASE WHEN rows.delivery_id = 0 THEN NULL ELSE rows.delivery_id END
    FROM {{rows}} WHERE newsletter_event.id = rows.id
        AND newsletter_event.state IN ({EVENT.sql_sources(EventState.APPLIED)})
"""  # noqa: S608 - names of states are ours
MARK_COLUMNS = {
    "id": "bigint",
    "state": "text",
    "reason": "text",
    "bounce": "text",
    "detail": "text",
    "delivery_id": "bigint",
}


@dataclass(slots=True)
class Reading:
    """One stored event with what it says; `parsed` is None if it cannot be read.

    `state`, `reason` and `delivery_pk` are what is to be recorded.
    """

    row: Event
    parsed: ParsedEvent | None
    state: EventState = EventState.APPLIED
    reason: str = ""
    detail: str = ""
    delivery_pk: int | None = None

    def conclude(self, state: EventState, reason: Reason | None = None) -> None:
        """Decide what becomes of the event."""
        self.state, self.reason = state, reason.value if reason else ""


def apply_events(provider: Provider, limit: int = CHUNK) -> bool:
    """Apply up to `limit` stored events of a provider; whether there may be more."""
    new = Event.objects.filter(provider=provider.name, state=EventState.NEW).order_by("pk")
    if not new.exists():
        # A query costs nothing; a transaction would take SQLite's only write lock in each round of an idle worker.
        return False
    with transaction.atomic():
        rows = list(new.select_for_update(skip_locked=True)[:limit])
        readings = [_read(provider, row) for row in rows]
        _skip_delivered(_judge(readings))
        facts = [reading for reading in readings if reading.parsed and reading.state is EventState.APPLIED]
        _keep_facts(facts)
        _suppress(reading.parsed for reading in facts if reading.parsed)
        _mark(readings)
        failpoint(Point.EVENTS_UNCOMMITTED)
    failpoint(Point.EVENTS_COMMITTED)
    return len(rows) == limit


def _read(provider: Provider, row: Event) -> Reading:
    try:
        return Reading(row, provider.parse(row.body))
    except EventRejected as rejected:
        return Reading(row, None, EventState.IGNORED, rejected.code, rejected.detail)
    except Exception as error:
        # One unreadable event must not block all others; it stays in the inbox with its reason.
        log.exception("event %s cannot be read", row.pk)
        return Reading(row, None, EventState.IGNORED, Reason.UNREADABLE, type(error).__name__)


def _judge(readings: list[Reading]) -> set[int]:
    """Decide for each event whether it tells something about a mail of ours, and about which delivery.

    Returns the deliveries whose superseded mail has arrived.
    """
    named = _named_by(readings)
    addresses, superseded = _recipients(named), _superseded(readings, named)
    arrived: set[int] = set()
    for reading in readings:
        event = reading.parsed
        if event is None:
            continue
        reading.detail, reading.delivery_pk = event.detail, _delivery_pk(event)
        if event.fact is None:
            reading.conclude(EventState.IGNORED, Reason.NOT_ABOUT_A_MAIL)
        elif event.tags.get("env") != settings.ENVIRONMENT:
            reading.conclude(EventState.IGNORED, Reason.OTHER_INSTALLATION)
        elif reading.delivery_pk is None:
            # Transactional and test mails: no delivery keeps their facts, but a bounce still suppresses.
            reading.conclude(EventState.APPLIED)
        elif reading.delivery_pk not in addresses:
            reading.conclude(EventState.ORPHAN, Reason.NO_SUCH_DELIVERY)
        elif not _is_same(addresses[reading.delivery_pk], event.recipient):
            reading.conclude(EventState.ORPHAN, Reason.OTHER_RECIPIENT)
        elif event.provider_id in superseded:
            # As a fact it would prove that the mail in its place was sent, and with it the rest of its batch.
            arrived |= {reading.delivery_pk} if event.fact in REACHED else set()
            reading.delivery_pk = None
            reading.conclude(EventState.APPLIED, Reason.SUPERSEDED_MAIL)
        else:
            reading.conclude(EventState.APPLIED)
    return arrived


def _skip_delivered(arrived: Collection[int]) -> None:
    """A recipient whose superseded mail has arrived needs no other mail, unless that is being sent already."""
    if arrived:
        waiting = Delivery.objects.filter(pk__in=arrived, state=DeliveryState.PENDING)
        DELIVERY_MACHINE.move(waiting, DeliveryState.SKIPPED, reason=Reason.DELIVERED_AFTER_ALL)


def _named_by(readings: list[Reading]) -> dict[int, Delivery]:
    """The deliveries that the events name, with their subscriber's key and their mail's id only."""
    keys = {key for reading in readings if reading.parsed and (key := _delivery_pk(reading.parsed))}
    return {row.pk: row for row in Delivery.objects.filter(pk__in=keys).only("subscriber_id", "provider_id")}


def _recipients(named: Mapping[int, Delivery]) -> dict[int, str]:
    """The canonical address behind each delivery; empty for an erased subscriber."""
    owners = {row.subscriber_id for row in named.values()}
    canonicals = dict(Subscriber.objects.filter(pk__in=owners).values_list("pk", "canonical"))
    return {key: canonicals.get(row.subscriber_id, "") for key, row in named.items()}


def _superseded(readings: list[Reading], named: Mapping[int, Delivery]) -> set[str]:
    """Mails that failed and were replaced by others; queried only where an event is not of a known mail."""
    events = [reading.parsed for reading in readings if reading.parsed]
    pairs = [(named.get(_delivery_pk(event) or 0), event.provider_id) for event in events]
    others = {row.pk for row, mail_id in pairs if row and row.provider_id != mail_id}
    return Event.objects.superseded_mails(others) if others else set()


def _delivery_pk(event: ParsedEvent) -> int | None:
    tag = event.tags.get("delivery", "")
    return int(tag) if tag.isascii() and tag.isdigit() and len(tag) < 19 else None


def _is_same(canonical: str, recipient: str) -> bool:
    """Whether the event is about the recipient of the delivery; for an erased subscriber the event is believed."""
    return not canonical or _canonical(recipient) == canonical


def _canonical(address: str) -> str:
    try:
        return parse_address(address).canonical
    except AddressError:
        return ""


def _keep_facts(readings: list[Reading]) -> None:
    times: dict[Fact, dict[int, tuple[datetime.datetime, str]]] = defaultdict(dict)
    for reading in readings:
        event, key = reading.parsed, reading.delivery_pk
        if event is None or event.fact is None or key is None:
            continue
        known = times[event.fact].get(key)
        if known is None or event.at < known[0]:
            times[event.fact][key] = (event.at, event.provider_id)
    keys = {key for rows in times.values() for key in rows}
    # Locked in the order of their keys, as the step that records outcomes does: two orders would block each other.
    list(Delivery.objects.filter(pk__in=keys).order_by("pk").select_for_update().values_list("pk"))
    for fact, rows in times.items():
        execute_with_rows(
            KEEP_FIRST_TIME.format(fact=fact.value),
            {"id": "bigint", "at": "timestamptz", "provider_id": "text"},
            [(key, at, provider_id) for key, (at, provider_id) in rows.items()],
        )


def _mark(readings: list[Reading]) -> None:
    execute_with_rows(MARK, MARK_COLUMNS, [_marks(reading) for reading in readings])


def _marks(reading: Reading) -> tuple[int | str, ...]:
    bounce = reading.parsed.bounce if reading.parsed else None
    return (
        reading.row.pk,
        reading.state.value,
        reading.reason,
        bounce.value if bounce else "",
        reading.detail[:300],
        reading.delivery_pk or 0,
    )


def _suppress(events: Iterable[ParsedEvent]) -> None:
    """Hard bounces, complaints and the provider's own suppression list end all mail to an address at once."""
    reasons: dict[str, tuple[SuppressionReason, str]] = {}
    for event in events:
        reason = _suppression_reason(event)
        canonical = _canonical(event.recipient) if reason else ""
        if reason and canonical and reasons.get(canonical, (None,))[0] != SuppressionReason.COMPLAINT:
            reasons[canonical] = (reason, event.detail)
    if reasons:
        suppress_addresses(reasons)


def _suppression_reason(event: ParsedEvent) -> SuppressionReason | None:
    if event.fact is Fact.COMPLAINED:
        return SuppressionReason.COMPLAINT
    if event.fact is Fact.SUPPRESSED:
        return SuppressionReason.PROVIDER
    if event.fact is Fact.BOUNCED and event.bounce is BounceKind.HARD:
        return SuppressionReason.HARD_BOUNCE
    return None
