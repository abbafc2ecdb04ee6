"""Apply: turn stored receipts into facts about deliveries, in sets and in any order.

A delivery keeps the first time of each fact, so late, repeated and reordered events end in the same row (R-88).
Receipts are claimed, applied and marked in one transaction: a crash leaves them new, and applying again is harmless.
"""

from __future__ import annotations

import datetime
import logging
from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass

from django.conf import settings
from django.db import transaction

from newsletter.config.failpoints import Point, reached
from newsletter.models import Delivery, DeliveryStatus, Event, EventState, Fact
from newsletter.models.bulk_sql import execute_with_rows
from newsletter.providers.base import BounceKind, EventRejected, ParsedEvent, Provider
from subscribers.addresses import AddressError, parse_address
from subscribers.models import Subscriber, SuppressionReason
from subscribers.suppression import suppress_addresses

log = logging.getLogger(__name__)

#: Receipts applied per transaction.
CHUNK = 1_000

#: Facts by which a reader has the mail.
REACHED = (Fact.DELIVERED, Fact.OPENED, Fact.CLICKED)

REPLACED = "Its mail failed, and another goes out in its place."
ARRIVED_AFTER_ALL = "The mail that was said to have failed arrived after all."

# One statement per kind of fact, whatever the number of rows: the earliest time wins.
KEEP_FIRST_TIME = """
    UPDATE newsletter_delivery
    SET {fact}_at = CASE WHEN {fact}_at IS NULL OR given.at < {fact}_at THEN given.at ELSE {fact}_at END,
        provider_id = CASE newsletter_delivery.provider_id
            WHEN '' THEN given.provider_id ELSE newsletter_delivery.provider_id END
    FROM {{given}} WHERE newsletter_delivery.id = given.id
"""
MARK = """
    UPDATE newsletter_event SET state = given.state, note = given.note,
        delivery_id = CASE WHEN given.delivery_id = 0 THEN NULL ELSE given.delivery_id END
    FROM {given} WHERE newsletter_event.id = given.id
"""


@dataclass(frozen=True, slots=True)
class Reading:
    """One receipt with what it says; `event` is None if it cannot be read."""

    receipt: Event
    event: ParsedEvent | None


def apply_events(provider: Provider, limit: int = CHUNK) -> bool:
    """Apply up to `limit` stored receipts of a provider; whether there may be more."""
    fresh = Event.objects.filter(provider=provider.name, state=EventState.NEW).order_by("pk")
    if not fresh.exists():
        # A look costs nothing; a transaction would take SQLite's only write lock at each turn of an idle worker.
        return False
    with transaction.atomic():
        receipts = list(fresh.select_for_update(skip_locked=True)[:limit])
        readings = [Reading(receipt, _read(provider, receipt)) for receipt in receipts]
        _leave_out(_judge(readings))
        facts = [reading for reading in readings if reading.receipt.state == EventState.APPLIED]
        _keep_facts(facts)
        _suppress(reading.event for reading in facts if reading.event)
        _mark(receipts)
        reached(Point.EVENTS_UNCOMMITTED)
    reached(Point.EVENTS_COMMITTED)
    return len(receipts) == limit


def _read(provider: Provider, receipt: Event) -> ParsedEvent | None:
    try:
        return provider.parse(receipt.body)
    except EventRejected as refusal:
        _note(receipt, EventState.IGNORED, str(refusal))
    except Exception as error:
        # A stranger's event must not keep all others waiting; it stays in the inbox with what went wrong.
        log.exception("receipt %s cannot be read", receipt.pk)
        _note(receipt, EventState.IGNORED, f"It cannot be read ({type(error).__name__}); the log says why.")
    return None


def _note(receipt: Event, state: EventState, note: str) -> None:
    receipt.state, receipt.note = state, note[:300]


def _judge(readings: list[Reading]) -> set[int]:
    """Decide for each receipt whether it tells something about a mail of ours, and about which.

    Returns the deliveries whose mail was given up and has arrived.
    """
    named = _named_by(readings)
    addresses, given_up = _recipients(named), _given_up(readings, named)
    arrived: set[int] = set()
    for reading in readings:
        receipt, event = reading.receipt, reading.event
        if event is None:
            continue
        receipt.delivery_id = _delivery_pk(event)
        if event.fact is None:
            _note(receipt, EventState.IGNORED, "This kind of event says nothing about a mail.")
        elif event.tags.get("env") != settings.ENVIRONMENT:
            _note(receipt, EventState.IGNORED, "It belongs to another installation or to no mail of ours.")
        elif receipt.delivery_id is None:
            # Confirmations and tests: no delivery keeps their facts, but a bounce still suppresses.
            _note(receipt, EventState.APPLIED, _told(event))
        elif receipt.delivery_id not in addresses:
            _note(receipt, EventState.ORPHAN, "There is no such delivery.")
        elif not _is_same(addresses[receipt.delivery_id], event.recipient):
            _note(receipt, EventState.ORPHAN, "The recipient is not the one of this delivery.")
        elif event.provider_id in given_up:
            # As a fact it would prove that the mail in its place went out, and with it those of all neighbours.
            arrived |= {receipt.delivery_id} if event.fact in REACHED else set()
            receipt.delivery_id = None
            _note(receipt, EventState.APPLIED, f"{REPLACED} {_told(event)}".strip())
        else:
            _note(receipt, EventState.APPLIED, _told(event))
    return arrived


def _leave_out(arrived: Collection[int]) -> None:
    """Who has got it after all needs no other mail, unless that is on its way already."""
    if arrived:
        waiting = Delivery.objects.filter(pk__in=arrived, status=DeliveryStatus.PENDING)
        waiting.update(status=DeliveryStatus.SKIPPED, reason=ARRIVED_AFTER_ALL)


def _told(event: ParsedEvent) -> str:
    """What the event adds, as a note: of a bounce first its kind, by which the brake counts (R-124)."""
    return f"{bounce_note(event.bounce)} {event.detail}".strip() if event.bounce else event.detail


def bounce_note(kind: BounceKind) -> str:
    """How the note of a bounce begins, by which bounces of a kind are counted."""
    return f"{kind.value} bounce:"


def _named_by(readings: list[Reading]) -> dict[int, Delivery]:
    """The deliveries that the receipts name, with their subscriber's key and their mail's id only."""
    keys = {key for reading in readings if reading.event and (key := _delivery_pk(reading.event))}
    return {row.pk: row for row in Delivery.objects.filter(pk__in=keys).only("subscriber_id", "provider_id")}


def _recipients(named: Mapping[int, Delivery]) -> dict[int, str]:
    """The canonical address behind each delivery; empty for an erased reader."""
    owners = {row.subscriber_id for row in named.values()}
    canonicals = dict(Subscriber.objects.filter(pk__in=owners).values_list("pk", "canonical"))
    return {key: canonicals.get(row.subscriber_id, "") for key, row in named.items()}


def _given_up(readings: list[Reading], named: Mapping[int, Delivery]) -> set[str]:
    """The mails that failed and in whose place others go out; asked only where an event is not of a known mail."""
    events = [reading.event for reading in readings if reading.event]
    told = [(named.get(_delivery_pk(event) or 0), event.provider_id) for event in events]
    others = {row.pk for row, mail_id in told if row and row.provider_id != mail_id}
    return Event.objects.given_up_mails(others) if others else set()


def _delivery_pk(event: ParsedEvent) -> int | None:
    tag = event.tags.get("delivery", "")
    return int(tag) if tag.isascii() and tag.isdigit() and len(tag) < 19 else None


def _is_same(canonical: str, recipient: str) -> bool:
    """Whether the event is about the reader we wrote to (R-91). Erased readers are taken at the event's word."""
    return not canonical or _canonical(recipient) == canonical


def _canonical(address: str) -> str:
    try:
        return parse_address(address).canonical
    except AddressError:
        return ""


def _keep_facts(readings: list[Reading]) -> None:
    times: dict[Fact, dict[int, tuple[datetime.datetime, str]]] = defaultdict(dict)
    for reading in readings:
        event, key = reading.event, reading.receipt.delivery_id
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


def _mark(receipts: list[Event]) -> None:
    execute_with_rows(
        MARK,
        {"id": "bigint", "state": "text", "note": "text", "delivery_id": "bigint"},
        [(receipt.pk, receipt.state, receipt.note, receipt.delivery_id or 0) for receipt in receipts],
    )


def _suppress(events: Iterable[ParsedEvent]) -> None:
    """Hard bounces, complaints and the provider's own list end all mailing to an address, at once (R-92 to R-94)."""
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
