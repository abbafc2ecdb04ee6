"""Apply: record what stored events say about deliveries, in sets and in any order.

A delivery keeps the first time of each type of event, so late, repeated and reordered events end in the same row.
Events are claimed, applied and updated in one transaction: a crash leaves them new, and applying them again is
harmless.
"""

from __future__ import annotations

import logging
from collections import Counter, defaultdict
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass

from django.conf import settings
from django.db import connection, transaction

from newsletter.config.failpoints import Point, failpoint
from newsletter.engagement.provider_hits import ENGAGEMENT_TYPES, ProviderEvent, judge_again, take_provider_events
from newsletter.engagement.rules import READING
from newsletter.events.bounces import BouncedMail, record_bounces
from newsletter.events.recording import FoundDelivery, RecordedEvent, find_deliveries, record_events
from newsletter.events.report_mails import note_report_mails
from newsletter.models import (
    DELIVERED_TYPES,
    DELIVERY_MACHINE,
    EVENT_MACHINE,
    IN_FLIGHT,
    Delivery,
    DeliveryState,
    Edition,
    Event,
    EventState,
    EventTally,
    EventType,
    Reason,
)
from newsletter.models.bulk_sql import execute_with_rows
from newsletter.providers import erase_from_event
from newsletter.providers.base import EventRejected, ParsedEvent, Provider
from subscribers.addresses import AddressError, parse_address
from subscribers.directory.merge import SubscriberAddress, had_addresses
from subscribers.models import SuppressionReason
from subscribers.suppression import find_erased, outranks, suppress_addresses

log = logging.getLogger(__name__)

EVENTS_PER_TRANSACTION = 2_000

#: Stands for a recipient that is no address, and so of no subscriber.
UNREADABLE = "?"

#: A transaction touches a few thousand rows of tables with millions. Without statistics, as on a table that has just
#: been filled, PostgreSQL would read all of them.
ONLY_BY_INDEX = "SET LOCAL enable_seqscan = off; SET LOCAL enable_hashjoin = off; SET LOCAL enable_mergejoin = off"

UPDATE_EVENTS = f"""
    UPDATE newsletter_event SET state = rows.state, reason = rows.reason, bounce = rows.bounce, detail = rows.detail,
        delivery_id = CASE WHEN rows.delivery_id = 0 THEN NULL ELSE rows.delivery_id END
    FROM {{rows}} WHERE newsletter_event.id = rows.id
        AND newsletter_event.state IN ({EVENT_MACHINE.sql_sources(EventState.APPLIED)})
"""  # noqa: S608 - names of states are ours
EMPTY_BODIES = "UPDATE newsletter_event SET body = rows.body FROM {rows} WHERE newsletter_event.id = rows.id"
UPDATE_EVENTS_COLUMNS = {
    "id": "bigint",
    "state": "text",
    "reason": "text",
    "bounce": "text",
    "detail": "text",
    "delivery_id": "bigint",
}


@dataclass(slots=True)
class EventResult:
    """One stored event with what it says; `parsed` is None if it cannot be read.

    `state`, `reason`, `detail` and `delivery_pk` are recorded.
    """

    pk: int
    parsed: ParsedEvent | None
    state: EventState = EventState.APPLIED
    reason: str = ""
    detail: str = ""
    delivery_pk: int | None = None
    tagged_delivery: int | None = None
    """What the tags of the mail say; `delivery_pk` is what was found to be true."""
    tagged_edition: int | None = None
    is_erased: bool = False
    """Whether the subscriber of its delivery was erased."""
    is_kept: bool = False
    """Whether an open or a click became a hit."""
    present_address: str = ""
    """The canonical address of that subscriber, if it is no longer the one that the mail went to."""

    @property
    def is_engagement(self) -> bool:
        """Whether it says what a recipient does, which takes their consent."""
        return self.parsed is not None and self.parsed.event_type in ENGAGEMENT_TYPES

    def set_result(self, state: EventState, reason: Reason | None = None) -> None:
        """Record what becomes of the event. Only one that is applied without a reason against it keeps its delivery."""
        self.state, self.reason = state, reason.value if reason else ""
        if state is not EventState.APPLIED or reason is not None:
            self.delivery_pk = None


def apply_events(provider: Provider, limit: int = EVENTS_PER_TRANSACTION) -> bool:
    """Apply up to `limit` stored events of a provider; whether there may be more."""
    new = Event.objects.filter(provider=provider.name, state=EventState.NEW).order_by("pk")
    if not new.exists():
        # A query costs nothing; a transaction would take SQLite's only write lock in each round of an idle worker.
        return False
    with transaction.atomic():
        if connection.vendor == "postgresql":
            with connection.cursor() as cursor:
                cursor.execute(ONLY_BY_INDEX)
        rows = list(new.select_for_update(skip_locked=True).values_list("pk", "body")[:limit])
        results = [_read(provider, pk, body) for pk, body in rows]
        deliveries = find_deliveries({key for result in results if (key := result.tagged_delivery)})
        _skip_delivered(_match_to_deliveries(results, deliveries))
        _take_reports(provider, results, dict(rows))
        _record_engagement(results, dict(rows), provider.name)
        record_events(_recorded(results), deliveries)
        _suppress(results)
        _forget_erased(results, dict(rows), provider.name)
        _forget_engagement(results, dict(rows), provider.name)
        _save_results(results)
        EventTally.objects.add(Counter((result.state.value, result.reason) for result in results))
        failpoint(Point.EVENTS_UNCOMMITTED)
    failpoint(Point.EVENTS_COMMITTED)
    return len(rows) == limit


def _read(provider: Provider, pk: int, body: str) -> EventResult:
    try:
        event = provider.parse_webhook(body)
        return EventResult(
            pk, event, tagged_delivery=_tagged_pk(event, "delivery"), tagged_edition=_tagged_pk(event, "edition")
        )
    except EventRejected as rejected:
        return EventResult(pk, None, EventState.IGNORED, rejected.code, rejected.detail)
    except Exception as error:
        # One unreadable event must not block all others; it stays in the inbox with its reason.
        log.exception("Event cannot be read", extra={"webhook_event": pk, "provider": provider.name})
        return EventResult(pk, None, EventState.IGNORED, "event_unreadable", type(error).__name__)


def _recorded(results: list[EventResult]) -> Iterator[RecordedEvent]:
    """What deliveries keep of the events that are applied. By the mail's id the provider would tell an erased one."""
    for result in results:
        event, key = result.parsed, result.delivery_pk
        if event is None or event.event_type is None or key is None or result.state is not EventState.APPLIED:
            continue
        event_type, at = event.event_type, event.at
        if result.is_engagement:
            # Opened or clicked by whomever: it was delivered before. Who it was, the hits are judged for.
            event_type, at = EventType.DELIVERED, at - READING
        bounce = event.bounce.value if event.bounce else ""
        yield RecordedEvent(key, event_type, at, "" if result.is_erased else event.provider_id, bounce)


def _match_to_deliveries(results: list[EventResult], deliveries: Mapping[int, FoundDelivery]) -> set[int]:
    """Decide for each event whether it is about a mail of ours, and about which delivery.

    Returns the deliveries whose superseded mail was delivered.
    """
    superseded, issues = _superseded(results, deliveries), _tagged_issues(results)
    theirs = had_addresses(_other_addresses(results, deliveries))
    delivered_by_superseded: set[int] = set()
    for result in results:
        event = result.parsed
        if event is None:
            continue
        key = result.tagged_delivery
        delivery = deliveries.get(key or 0)
        result.detail, result.delivery_pk = event.detail, key
        result.is_erased = delivery is not None and delivery.canonical == ""
        if event.event_type is None:
            result.set_result(EventState.IGNORED, Reason.NOT_ABOUT_A_MAIL)
        elif event.tags.get("env") != settings.ENVIRONMENT:
            result.set_result(EventState.IGNORED, Reason.OTHER_INSTALLATION)
        elif key is None:
            # Transactional and test mails: no delivery records their events, but a bounce still suppresses.
            result.set_result(EventState.APPLIED)
        elif delivery is None:
            result.set_result(EventState.ORPHAN, Reason.NO_SUCH_DELIVERY)
        elif not _edition_matches(result, delivery, issues):
            result.set_result(EventState.ORPHAN, Reason.OTHER_EDITION)
        elif not _find_recipient(result, event, delivery, theirs):
            result.set_result(EventState.ORPHAN, Reason.OTHER_RECIPIENT)
        elif event.provider_id in superseded:
            # Recorded on the delivery, it would prove that the mail in its place was sent, with the rest of its batch.
            delivered_by_superseded |= {key} if event.event_type in DELIVERED_TYPES else set()
            result.set_result(EventState.APPLIED, Reason.SUPERSEDED_MAIL)
        else:
            result.set_result(EventState.APPLIED)
    return delivered_by_superseded


def _take_reports(provider: Provider, results: list[EventResult], bodies: Mapping[int, str]) -> None:
    """Mails with reports are noted, and then their events say no more than that there was one."""
    other = {r.pk: bodies[r.pk] for r in results if r.parsed and r.reason == Reason.NOT_ABOUT_A_MAIL}
    noted = note_report_mails(provider, other) if other else set()
    for result in results:
        if result.pk in noted:
            result.set_result(EventState.APPLIED)
    rows = [(pk, erase_from_event(provider.name, bodies[pk], is_applied=True)) for pk in noted]
    execute_with_rows(EMPTY_BODIES, {"id": "bigint", "body": "text"}, rows)


def _skip_delivered(deliveries: Collection[int]) -> None:
    """A recipient who got the superseded mail needs no other mail.

    If one is being sent already, the reason is noted: it is not posted again should this attempt not have sent it.
    """
    if deliveries:
        found = Delivery.objects.filter(pk__in=deliveries)
        pending = found.filter(state=DeliveryState.PENDING)
        DELIVERY_MACHINE.move(pending, DeliveryState.SKIPPED, reason=Reason.DELIVERED_AFTER_ALL)
        found.filter(state__in=IN_FLIGHT).update(reason=Reason.DELIVERED_AFTER_ALL)


def _tagged_issues(results: list[EventResult]) -> dict[int, int]:
    """The issue of each edition in the events' tags."""
    keys = {key for result in results if (key := result.tagged_edition)}
    return dict(Edition.objects.filter(pk__in=keys).values_list("pk", "issue_id"))


def _edition_matches(result: EventResult, delivery: FoundDelivery, issues: Mapping[int, int]) -> bool:
    """Whether the event is about a mail of the delivery's issue; believed without a tag, as of an early version.

    A restored backup may have given the number of a delivery that it forgot to another one of the same subscriber.
    """
    edition = result.tagged_edition
    return edition is None or issues.get(edition) == delivery.issue_id


def _superseded(results: list[EventResult], deliveries: Mapping[int, FoundDelivery]) -> set[str]:
    """Mails that failed and were replaced by others; queried only where an event is not of a known mail."""
    pairs = [
        (deliveries.get(result.tagged_delivery or 0), result.parsed.provider_id) for result in results if result.parsed
    ]
    others = {row.pk for row, mail_id in pairs if row and row.provider_id != mail_id}
    return Event.objects.superseded_mails(others) if others else set()


def _tagged_pk(event: ParsedEvent, name: str) -> int | None:
    tag = event.tags.get(name, "")
    return int(tag) if tag.isascii() and tag.isdigit() and len(tag) < 19 else None


def _find_recipient(
    result: EventResult, event: ParsedEvent, delivery: FoundDelivery, theirs: Collection[SubscriberAddress]
) -> bool:
    """Whether the mail went to the subscriber of the delivery, at the present address or at an earlier one.

    For an erased subscriber the event is believed.
    """
    if not (address := _other_address(event, delivery)):
        return True
    result.present_address = delivery.canonical
    return (delivery.subscriber_id, address) in theirs


def _other_addresses(
    results: list[EventResult], deliveries: Mapping[int, FoundDelivery]
) -> Iterator[SubscriberAddress]:
    """The recipients in events that are not at the present address of their subscriber."""
    for result in results:
        delivery = deliveries.get(result.tagged_delivery or 0)
        if result.parsed and delivery and (address := _other_address(result.parsed, delivery)):
            yield delivery.subscriber_id, address


def _other_address(event: ParsedEvent, delivery: FoundDelivery) -> str:
    """The canonical recipient, or a sign for an unreadable one; empty if it is at its present address, or erased."""
    present = delivery.canonical
    # Nearly all are written as we wrote them; reading an address costs more than all else here.
    if not present or event.recipient == present:
        return ""
    address = _canonical(event.recipient) or UNREADABLE
    return "" if address == present else address


def _canonical(address: str) -> str:
    try:
        return parse_address(address).canonical
    except AddressError:
        return ""


def _record_engagement(results: list[EventResult], bodies: Mapping[int, str], provider: str) -> None:
    """Opens and clicks become hits, with consent; see `_forget_engagement` for what stays without it."""
    engaged = {
        result.pk: ProviderEvent(
            provider=provider,
            body=bodies[result.pk],
            at=result.parsed.at,
            event_type=result.parsed.event_type,
            delivery=result.delivery_pk,
            edition=result.tagged_edition,
        )
        for result in results
        if result.is_engagement and result.parsed and result.parsed.event_type and result.delivery_pk
    }
    kept = take_provider_events(engaged)
    for result in results:
        result.is_kept = result.pk in kept
    timed = (EventType.SENT, EventType.DELIVERED)
    judge_again({r.delivery_pk for r in results if r.delivery_pk and r.parsed and r.parsed.event_type in timed})


def _forget_engagement(results: list[EventResult], bodies: Mapping[int, str], provider: str) -> None:
    """Remove from events what their hits have now: link, address and agent. Without a hit, also whose event it was."""
    rows: list[tuple[int, str]] = []
    for result in results:
        if not result.is_engagement:
            continue
        result.detail = ""
        if result.is_kept:
            rows.append((result.pk, erase_from_event(provider, bodies[result.pk], is_applied=True)))
            continue
        rows.append((result.pk, ""))
        result.delivery_pk = None
        if result.state is EventState.APPLIED and not result.reason:
            result.state, result.reason = EventState.IGNORED, "tracking_not_agreed"
    execute_with_rows(EMPTY_BODIES, {"id": "bigint", "body": "text"}, rows)


def _save_results(results: list[EventResult]) -> None:
    execute_with_rows(UPDATE_EVENTS, UPDATE_EVENTS_COLUMNS, [_result_row(result) for result in results])


def _result_row(result: EventResult) -> tuple[int | str, ...]:
    bounce = result.parsed.bounce if result.parsed else None
    return (
        result.pk,
        result.state.value,
        result.reason,
        bounce.value if bounce else "",
        result.detail[:300],
        result.delivery_pk or 0,
    )


def _suppress(results: list[EventResult]) -> None:
    """Hard bounces, complaints and the provider's own suppression list end all mail to an address at once.

    So does an event of this installation that fits no delivery, as after a restored backup: it is as true.
    """
    causes = record_bounces(_bounced_mails(results))
    for result in results:
        if not (reason := _suppression_reason(result)):
            continue
        for canonical in _suppressed_by(result, reason):
            if canonical not in causes or outranks(reason, causes[canonical][0]):
                causes[canonical] = (reason, "" if result.is_erased else result.detail)
    if causes:
        suppress_addresses(causes)


def _bounced_mails(results: list[EventResult]) -> Iterator[BouncedMail]:
    """Bounces of this installation's mails, also those that fit no delivery. One of a superseded mail has none."""
    for result in results:
        event = result.parsed
        if event is None or result.state is EventState.IGNORED or event.event_type is not EventType.BOUNCED:
            continue
        if event.bounce is not None:
            yield BouncedMail(
                kind=event.bounce,
                at=event.at,
                canonical=_canonical(event.recipient),
                words="" if result.is_erased else result.detail,
                delivery_pk=None if result.is_erased else result.delivery_pk,
            )


def _suppressed_by(result: EventResult, reason: SuppressionReason) -> set[str]:
    """The address that the mail went to. A complaint is of its subscriber, whose address may be another one by now."""
    found = {_canonical(result.parsed.recipient)} if result.parsed else set()
    if reason is SuppressionReason.COMPLAINT and result.state is EventState.APPLIED:
        found.add(result.present_address)
    return found - {""}


def _suppression_reason(result: EventResult) -> SuppressionReason | None:
    event = result.parsed
    if event is None or result.state is EventState.IGNORED:
        return None
    if event.event_type is EventType.COMPLAINED:
        return SuppressionReason.COMPLAINT
    if event.event_type is EventType.SUPPRESSED and result.state is EventState.APPLIED:
        return SuppressionReason.PROVIDER
    return None


def _forget_erased(results: list[EventResult], bodies: Mapping[int, str], provider: str) -> None:
    """Empty the bodies of events about subscribers who were erased meanwhile; their ids stay.

    Of events without a subscriber, the keyed hash of an erased address tells. Most events need no query.
    """
    unknown: dict[str, list[EventResult]] = defaultdict(list)
    for result in results:
        has_subscriber = result.is_erased or result.delivery_pk is not None or result.state is EventState.IGNORED
        if result.parsed and not has_subscriber and (canonical := _canonical(result.parsed.recipient)):
            unknown[canonical].append(result)
    for canonical in find_erased(unknown) if unknown else ():
        for result in unknown[canonical]:
            result.is_erased = True
    erased = [result for result in results if result.is_erased]
    for result in erased:
        result.detail = ""
    rows = ((result.pk, erase_from_event(provider, bodies[result.pk], is_applied=True)) for result in erased)
    execute_with_rows(EMPTY_BODIES, {"id": "bigint", "body": "text"}, rows)
