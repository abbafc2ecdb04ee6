"""Apply: record what stored events say about deliveries, in sets and in any order.

A delivery keeps the first time of each type of event, so late, repeated and reordered events end in the same row.
Events are claimed, applied and updated in one transaction: a crash leaves them new, and applying them again is
harmless.
"""

from __future__ import annotations

import datetime
import logging
from collections import defaultdict
from collections.abc import Collection, Mapping
from dataclasses import dataclass

from django.conf import settings
from django.db import transaction

from newsletter.config.failpoints import Point, failpoint
from newsletter.engagement.provider_hits import ENGAGEMENT_TYPES, ProviderEvent, judge_again, take_provider_events
from newsletter.engagement.rules import READING
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
    EventType,
    Reason,
)
from newsletter.models.bulk_sql import execute_with_rows
from newsletter.providers import erase_from_event
from newsletter.providers.base import BounceKind, EventRejected, ParsedEvent, Provider
from subscribers.addresses import AddressError, parse_address
from subscribers.directory.merge import had_address
from subscribers.models import Subscriber, SuppressionReason
from subscribers.suppression import SuppressionCause, find_erased, outranks, suppress_addresses

log = logging.getLogger(__name__)

EVENTS_PER_TRANSACTION = 1_000

# One statement per type of event for any number of rows: the earliest time wins.
RECORD_FIRST_TIME = """
    UPDATE newsletter_delivery
    SET {type}_at = CASE WHEN {type}_at IS NULL OR rows.at < {type}_at THEN rows.at ELSE {type}_at END,
        provider_id = CASE newsletter_delivery.provider_id
            WHEN '' THEN rows.provider_id ELSE newsletter_delivery.provider_id END
    FROM {{rows}} WHERE newsletter_delivery.id = rows.id
"""
UPDATE_EVENTS = f"""
    UPDATE newsletter_event SET state = rows.state, reason = rows.reason, bounce = rows.bounce, detail = rows.detail,
        delivery_id = CASE WHEN rows.delivery_id = 0 THEN NULL ELSE rows.delivery_id END
    FROM {{rows}} WHERE newsletter_event.id = rows.id
        AND newsletter_event.state IN ({EVENT_MACHINE.sql_sources(EventState.APPLIED)})
"""  # noqa: S608 - names of states are ours
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

    row: Event
    parsed: ParsedEvent | None
    state: EventState = EventState.APPLIED
    reason: str = ""
    detail: str = ""
    delivery_pk: int | None = None
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
        rows = list(new.select_for_update(skip_locked=True)[:limit])
        results = [_read(provider, row) for row in rows]
        _skip_delivered(_match_to_deliveries(results))
        _record_engagement(results)
        applied = [result for result in results if result.parsed and result.state is EventState.APPLIED]
        _record_first_times(applied)
        _suppress(results)
        _forget_erased(results)
        _forget_engagement(results)
        _save_results(results)
        failpoint(Point.EVENTS_UNCOMMITTED)
    failpoint(Point.EVENTS_COMMITTED)
    return len(rows) == limit


def _read(provider: Provider, row: Event) -> EventResult:
    try:
        return EventResult(row, provider.parse_webhook(row.body))
    except EventRejected as rejected:
        return EventResult(row, None, EventState.IGNORED, rejected.code, rejected.detail)
    except Exception as error:
        # One unreadable event must not block all others; it stays in the inbox with its reason.
        log.exception("Event cannot be read", extra={"webhook_event": row.pk, "provider": provider.name})
        return EventResult(row, None, EventState.IGNORED, "event_unreadable", type(error).__name__)


def _match_to_deliveries(results: list[EventResult]) -> set[int]:
    """Decide for each event whether it is about a mail of ours, and about which delivery.

    Returns the deliveries whose superseded mail was delivered.
    """
    deliveries = _tagged_deliveries(results)
    addresses, superseded = _recipients(deliveries), _superseded(results, deliveries)
    issues = _tagged_issues(results)
    delivered_by_superseded: set[int] = set()
    for result in results:
        event = result.parsed
        if event is None:
            continue
        result.detail, result.delivery_pk = event.detail, _tagged_delivery_pk(event)
        result.is_erased = addresses.get(result.delivery_pk or 0) == ""
        if event.event_type is None:
            result.set_result(EventState.IGNORED, Reason.NOT_ABOUT_A_MAIL)
        elif event.tags.get("env") != settings.ENVIRONMENT:
            result.set_result(EventState.IGNORED, Reason.OTHER_INSTALLATION)
        elif result.delivery_pk is None:
            # Transactional and test mails: no delivery records their events, but a bounce still suppresses.
            result.set_result(EventState.APPLIED)
        elif result.delivery_pk not in addresses:
            result.set_result(EventState.ORPHAN, Reason.NO_SUCH_DELIVERY)
        elif not _edition_matches(event, deliveries[result.delivery_pk], issues):
            result.set_result(EventState.ORPHAN, Reason.OTHER_EDITION)
        elif not _find_recipient(result, event, addresses[result.delivery_pk], deliveries[result.delivery_pk]):
            result.set_result(EventState.ORPHAN, Reason.OTHER_RECIPIENT)
        elif event.provider_id in superseded:
            # Recorded on the delivery, it would prove that the mail in its place was sent, with the rest of its batch.
            delivered_by_superseded |= {result.delivery_pk} if event.event_type in DELIVERED_TYPES else set()
            result.set_result(EventState.APPLIED, Reason.SUPERSEDED_MAIL)
        else:
            result.set_result(EventState.APPLIED)
    return delivered_by_superseded


def _skip_delivered(deliveries: Collection[int]) -> None:
    """A recipient who got the superseded mail needs no other mail.

    If one is being sent already, the reason is noted: it is not posted again should this attempt not have sent it.
    """
    if deliveries:
        found = Delivery.objects.filter(pk__in=deliveries)
        pending = found.filter(state=DeliveryState.PENDING)
        DELIVERY_MACHINE.move(pending, DeliveryState.SKIPPED, reason=Reason.DELIVERED_AFTER_ALL)
        found.filter(state__in=IN_FLIGHT).update(reason=Reason.DELIVERED_AFTER_ALL)


def _tagged_deliveries(results: list[EventResult]) -> dict[int, Delivery]:
    """The deliveries in the events' tags, with `subscriber_id`, `issue_id` and `provider_id` only."""
    keys = {key for result in results if result.parsed and (key := _tagged_delivery_pk(result.parsed))}
    found = Delivery.objects.filter(pk__in=keys).only("subscriber_id", "issue_id", "provider_id")
    return {row.pk: row for row in found}


def _tagged_issues(results: list[EventResult]) -> dict[int, int]:
    """The issue of each edition in the events' tags."""
    keys = {key for result in results if result.parsed and (key := _tagged_pk(result.parsed, "edition"))}
    return dict(Edition.objects.filter(pk__in=keys).values_list("pk", "issue_id"))


def _edition_matches(event: ParsedEvent, delivery: Delivery, issues: Mapping[int, int]) -> bool:
    """Whether the event is about a mail of the delivery's issue; believed without a tag, as of an early version.

    A restored backup may have given the number of a delivery that it forgot to another one of the same subscriber.
    """
    edition = _tagged_pk(event, "edition")
    return edition is None or issues.get(edition) == delivery.issue_id


def _recipients(deliveries: Mapping[int, Delivery]) -> dict[int, str]:
    """The canonical address behind each delivery; empty for an erased subscriber."""
    owners = {row.subscriber_id for row in deliveries.values()}
    canonicals = dict(Subscriber.objects.filter(pk__in=owners).values_list("pk", "canonical"))
    return {key: canonicals.get(row.subscriber_id, "") for key, row in deliveries.items()}


def _superseded(results: list[EventResult], deliveries: Mapping[int, Delivery]) -> set[str]:
    """Mails that failed and were replaced by others; queried only where an event is not of a known mail."""
    events = [result.parsed for result in results if result.parsed]
    pairs = [(deliveries.get(_tagged_delivery_pk(event) or 0), event.provider_id) for event in events]
    others = {row.pk for row, mail_id in pairs if row and row.provider_id != mail_id}
    return Event.objects.superseded_mails(others) if others else set()


def _tagged_delivery_pk(event: ParsedEvent) -> int | None:
    return _tagged_pk(event, "delivery")


def _tagged_pk(event: ParsedEvent, name: str) -> int | None:
    tag = event.tags.get(name, "")
    return int(tag) if tag.isascii() and tag.isdigit() and len(tag) < 19 else None


def _find_recipient(result: EventResult, event: ParsedEvent, canonical: str, delivery: Delivery) -> bool:
    """Whether the mail went to the subscriber of the delivery, at the present address or at an earlier one."""
    if _recipient_matches(canonical, event.recipient):
        return True
    result.present_address = canonical
    return had_address(delivery.subscriber_id, _canonical(event.recipient))


def _recipient_matches(canonical: str, recipient: str) -> bool:
    """Whether the event is about the recipient of the delivery; for an erased subscriber the event is believed."""
    return not canonical or _canonical(recipient) == canonical


def _canonical(address: str) -> str:
    try:
        return parse_address(address).canonical
    except AddressError:
        return ""


def _record_engagement(results: list[EventResult]) -> None:
    """Opens and clicks become hits, with consent; see `_forget_engagement` for what stays without it."""
    engaged = {
        result.row.pk: ProviderEvent(
            provider=result.row.provider,
            body=result.row.body,
            at=result.parsed.at,
            event_type=result.parsed.event_type,
            delivery=result.delivery_pk,
            edition=_tagged_pk(result.parsed, "edition"),
        )
        for result in results
        if result.is_engagement and result.parsed and result.parsed.event_type and result.delivery_pk
    }
    kept = take_provider_events(engaged)
    for result in results:
        result.is_kept = result.row.pk in kept
    timed = (EventType.SENT, EventType.DELIVERED)
    judge_again({r.delivery_pk for r in results if r.delivery_pk and r.parsed and r.parsed.event_type in timed})


def _forget_engagement(results: list[EventResult]) -> None:
    """Remove from events what their hits have now: link, address and agent. Without a hit, also whose event it was."""
    engaged = [result for result in results if result.is_engagement]
    for result in engaged:
        result.detail = ""
        if result.is_kept:
            result.row.body = erase_from_event(result.row.provider, result.row.body, is_applied=True)
            continue
        result.row.body, result.delivery_pk = "", None
        if result.state is EventState.APPLIED and not result.reason:
            result.state, result.reason = EventState.IGNORED, "tracking_not_agreed"
    Event.objects.bulk_update([result.row for result in engaged], ["body"], batch_size=EVENTS_PER_TRANSACTION // 2)


def _record_first_times(results: list[EventResult]) -> None:
    times: dict[EventType, dict[int, tuple[datetime.datetime, str]]] = defaultdict(dict)
    for result in results:
        event, key = result.parsed, result.delivery_pk
        if event is None or event.event_type is None or key is None:
            continue
        event_type, at = event.event_type, event.at
        if result.is_engagement:
            # Opened or clicked by whomever: it was delivered before. Who it was, the hits are judged for.
            event_type, at = EventType.DELIVERED, at - READING
        known = times[event_type].get(key)
        if known is None or at < known[0]:
            # By the mail's id the provider would tell whose delivery it was.
            times[event_type][key] = (at, "" if result.is_erased else event.provider_id)
    keys = {key for rows in times.values() for key in rows}
    # Locked in the order of their keys, as the step that records outcomes does: two orders would block each other.
    list(Delivery.objects.filter(pk__in=keys).order_by("pk").select_for_update().values_list("pk"))
    for event_type, rows in times.items():
        execute_with_rows(
            RECORD_FIRST_TIME.format(type=event_type.value),
            {"id": "bigint", "at": "timestamptz", "provider_id": "text"},
            [(key, at, provider_id) for key, (at, provider_id) in rows.items()],
        )


def _save_results(results: list[EventResult]) -> None:
    execute_with_rows(UPDATE_EVENTS, UPDATE_EVENTS_COLUMNS, [_result_row(result) for result in results])


def _result_row(result: EventResult) -> tuple[int | str, ...]:
    bounce = result.parsed.bounce if result.parsed else None
    return (
        result.row.pk,
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
    causes: dict[str, SuppressionCause] = {}
    for result in results:
        if not (reason := _suppression_reason(result)):
            continue
        for canonical in _suppressed_by(result, reason):
            if canonical not in causes or outranks(reason, causes[canonical][0]):
                causes[canonical] = (reason, "" if result.is_erased else result.detail)
    if causes:
        suppress_addresses(causes)


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
    if event.event_type is EventType.BOUNCED and event.bounce is BounceKind.HARD:
        return SuppressionReason.HARD_BOUNCE
    if event.event_type is EventType.SUPPRESSED and result.state is EventState.APPLIED:
        return SuppressionReason.PROVIDER
    return None


def _forget_erased(results: list[EventResult]) -> None:
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
        result.row.body = erase_from_event(result.row.provider, result.row.body, is_applied=True)
    if erased:
        Event.objects.bulk_update([result.row for result in erased], ["body"], batch_size=EVENTS_PER_TRANSACTION // 2)
