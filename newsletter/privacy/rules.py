"""The rules for deliveries, batches and events, which `subscribers.privacy` applies with its own."""

from __future__ import annotations

from collections.abc import Iterator

from django.db.models import Q, QuerySet
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from newsletter.models import (
    DELIVERY_MACHINE,
    FIRST_LINK,
    IN_FLIGHT,
    Batch,
    BatchState,
    Delivery,
    DeliveryState,
    Event,
    EventState,
    EventType,
    Hit,
    Issue,
    Reason,
    numbered_links,
)
from newsletter.models.reasons import reason_sentence
from newsletter.providers import erase_from_event
from newsletter.sending.erased import HAS_BYTES, erase_deliveries
from newsletter.sending.reconcile import hold
from subscribers.privacy.registry import DataRule, DataSubject, Row, add_rule, plain_row

#: Rows per statement: far below SQLite's limit of parameters.
CHUNK = 500

TIMES = tuple(f"{event_type.value}_at" for event_type in EventType)


def add_rules() -> None:
    """Make `subscribers.privacy` apply these rules. Called when the app starts."""
    for rule in RULES:
        add_rule(rule)


def deliveries_to(subject: DataSubject) -> list[int]:
    """The keys of the subscriber's deliveries, found issue by issue: the index begins with the issue."""
    issues = list(Issue.objects.values_list("pk", flat=True))
    return list(
        Delivery.objects.filter(issue__in=issues, subscriber=subject.subscriber_pk).values_list("pk", flat=True)
    )


def _deliveries(subject: DataSubject) -> Iterator[Row]:
    found = Delivery.objects.filter(pk__in=deliveries_to(subject)).select_related("issue__newsletter")
    for row in found.order_by("pk"):
        reason = reason_sentence(row.reason, {"text": row.detail}) if row.reason else ""
        about = {"newsletter": row.issue.newsletter.name, "issue": row.issue.title, "reason": reason}
        yield plain_row(row, "state", "provider_id", *TIMES, **about)


def _erase_deliveries(subject: DataSubject, located: list[int]) -> int:
    """Skip those that were not sent, and keep the others as counts: their subscriber is gone."""
    pks = located
    # Batches first, then deliveries: workers lock them in this order.
    _forget_in_batches(pks)
    found = Delivery.objects.filter(pk__in=pks)
    DELIVERY_MACHINE.move(found.filter(state=DeliveryState.PENDING), DeliveryState.SKIPPED, reason=Reason.ERASED)
    return found.exclude(state__in=IN_FLIGHT).update(provider_id="", detail="")


def _forget_in_batches(pks: list[int]) -> None:
    """Forbid that bytes with the subscriber are posted again, and remove the subscriber from them."""
    for delivery in Delivery.objects.filter(pk__in=pks, state__in=IN_FLIGHT).only("pk", "send_id"):
        around = Q(first_delivery__lte=delivery.pk, last_delivery__gte=delivery.pk, send=delivery.send_id)
        for batch in (
            Batch.objects.filter(around, state__in=HAS_BYTES).defer("payload").select_related("edition__issue")
        ):
            if batch.state == BatchState.UNKNOWN or (batch.lease_until and batch.lease_until <= timezone.now()):
                hold(batch, Reason.RECIPIENT_LEFT_UNKNOWN)
            erase_deliveries(batch.pk, [delivery.pk])


def _events(subject: DataSubject) -> Iterator[Row]:
    for row in Event.objects.filter(pk__in=_locate_events(subject)).order_by("pk"):
        yield plain_row(row, "provider", "kind", "received_at", "bounce", "detail", "body")


def _locate_events(subject: DataSubject) -> list[int]:
    """Those about the subscriber's deliveries, and those without one that name the address.

    Orphans, events of transactional mails and events that are not applied yet have no delivery.
    """
    pks = deliveries_to(subject)
    found: set[int] = set()
    for start in range(0, len(pks), CHUNK):
        about = Event.objects.filter(delivery_id__in=pks[start : start + CHUNK])
        found.update(about.values_list("pk", flat=True))
    named = Q()
    for address in subject.addresses:
        named |= Q(body__icontains=address)
    without = Event.objects.filter(named, delivery_id__isnull=True).values_list("pk", "body")
    found.update(pk for pk, body in without.iterator(chunk_size=CHUNK) if subject.is_named_in(body))
    return sorted(found)


def _erase_events(subject: DataSubject, located: list[int]) -> int:
    """The provider's id of an event stays, so that a repeat is still recognised."""
    emptied = []
    for start in range(0, len(located), CHUNK):
        for event in Event.objects.filter(pk__in=located[start : start + CHUNK]).only("provider", "body", "state"):
            is_applied = event.state != EventState.NEW
            event.body, event.detail = erase_from_event(event.provider, event.body, is_applied=is_applied), ""
            emptied.append(event)
    Event.objects.bulk_update(emptied, ["body", "detail"], batch_size=CHUNK)
    return len(emptied)


def _hits(subject: DataSubject) -> Iterator[Row]:
    for hit in Hit.objects.filter(pk__in=_locate_hits(subject)).select_related("edition").order_by("pk"):
        links, place = numbered_links(hit.edition), hit.number - FIRST_LINK
        link = links[place]["url"] if 0 <= place < len(links) else ""
        yield plain_row(hit, "at", "network_class", "agent", "verdict", "rule", issue=hit.edition.subject, link=link)


def _locate_hits(subject: DataSubject) -> list[int]:
    return [pk for chunk in _chunks(deliveries_to(subject)) for pk in _hits_of(chunk).values_list("pk", flat=True)]


def _hits_of(deliveries: list[int]) -> QuerySet[Hit]:
    return Hit.objects.filter(delivery_id__in=deliveries)


def _chunks(pks: list[int]) -> Iterator[list[int]]:
    return (pks[start : start + CHUNK] for start in range(0, len(pks), CHUNK))


def _erase_hits(subject: DataSubject, located: list[int]) -> int:
    """They stay as counts. Sealed: without the delivery they cannot be judged again."""
    return sum(
        Hit.objects.filter(pk__in=chunk).update(delivery_id=None, network="", agent="", is_sealed=True)
        for chunk in _chunks(located)
    )


RULES: tuple[DataRule, ...] = (
    DataRule(
        name="deliveries",
        title=_("Issues that were sent to you"),
        models=(Delivery, Batch),
        export=_deliveries,
        erase=_erase_deliveries,
        locate=deliveries_to,
    ),
    DataRule(
        name="events",
        title=_("What the mail provider reported about these mails"),
        models=(Event,),
        export=_events,
        erase=_erase_events,
        locate=_locate_events,
    ),
    DataRule(
        name="opens_and_clicks",
        title=_("What you opened and clicked"),
        models=(Hit,),
        export=_hits,
        erase=_erase_hits,
        locate=_locate_hits,
    ),
)
