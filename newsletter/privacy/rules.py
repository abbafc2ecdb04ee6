"""The rules for deliveries, batches, events and outgoing webhooks, which `subscribers.privacy` applies with its own."""

from __future__ import annotations

from collections.abc import Iterator

from django.db.models import Q, QuerySet
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from newsletter.models import (
    ARCHIVE_IMPORT_MACHINE,
    DELIVERY_MACHINE,
    FIRST_LINK,
    IN_FLIGHT,
    ArchiveImport,
    ArchiveImportPart,
    ArchiveImportState,
    ArchiveProblem,
    Batch,
    BatchState,
    Delivery,
    DeliveryState,
    Event,
    EventState,
    EventType,
    Hit,
    Issue,
    MailAfterLeaving,
    Reason,
    SoftBounce,
    WebhookAttempt,
    WebhookMessage,
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


def _soft_bounces(subject: DataSubject) -> Iterator[Row]:
    for row in SoftBounce.objects.filter(pk__in=_locate_soft_bounces(subject)).order_by("pk"):
        yield plain_row(row, "bounce", "at")


def _locate_soft_bounces(subject: DataSubject) -> list[int]:
    return list(SoftBounce.objects.filter(subscriber=subject.subscriber_pk).values_list("pk", flat=True))


def _erase_soft_bounces(subject: DataSubject, located: list[int]) -> int:
    return SoftBounce.objects.filter(pk__in=located).delete()[0]


def _messages(subject: DataSubject) -> Iterator[Row]:
    """What other systems were told. The address was part of it only where the endpoint asks for addresses."""
    found = WebhookMessage.objects.filter(subscriber_id=subject.subscriber_pk).select_related("endpoint")
    for row in found.order_by("pk"):
        with_address = row.endpoint.includes_addresses
        yield plain_row(row, "type", "at", "state", to=row.endpoint.url, with_address=with_address, **row.data)


def _locate_answers(subject: DataSubject) -> list[int]:
    """Attempts whose answer names the address."""
    named = Q()
    for address in subject.addresses:
        named |= Q(answer__icontains=address)
    found = WebhookAttempt.objects.filter(named).values_list("pk", "answer")
    return [pk for pk, answer in found.iterator(chunk_size=CHUNK) if subject.is_named_in(answer)]


def _erase_messages(subject: DataSubject, located: list[int]) -> int:
    """Those about the subscriber go, sent or not. Answers to others lose their text."""
    count = WebhookMessage.objects.filter(subscriber_id=subject.subscriber_pk).delete_with_attempts()
    for start in range(0, len(located), CHUNK):
        count += WebhookAttempt.objects.filter(pk__in=located[start : start + CHUNK]).update(answer="")
    return count


def _mails_after_leaving(subject: DataSubject) -> Iterator[Row]:
    for row in MailAfterLeaving.objects.filter(delivery__in=deliveries_to(subject)).order_by("pk"):
        yield plain_row(row, "left_by", "left_at", "mailed_at")


def _erase_mails_after_leaving(subject: DataSubject, located: list[int]) -> int:
    """That it happened stays, as the delivery does."""
    return MailAfterLeaving.objects.filter(delivery__in=located).update(left_at=None)


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


def _erase_uploads(subject: DataSubject, located: list[int]) -> int:
    """Delete every uploaded archive: an export of another tool may list its subscribers, compressed with the rest.

    What was not read to the end fails, and the editor uploads the file again. Imports that run go on without pictures.
    """
    ARCHIVE_IMPORT_MACHINE.move(
        ArchiveImport.objects.filter(state=ArchiveImportState.CHECKING, is_local=False),
        ArchiveImportState.FAILED,
        problem=ArchiveProblem.FILE_DELETED,
        worker="",
        ended_at=timezone.now(),
    )
    return ArchiveImportPart.objects.all().delete()[0]


RULES: tuple[DataRule, ...] = (
    DataRule(
        name="archive_uploads",
        title=_("Uploaded archives of issues"),
        models=(ArchiveImportPart,),
        export=None,
        erase=_erase_uploads,
    ),
    DataRule(
        name="mails_after_leaving",
        title=_("Mails that were sent to you after you had left"),
        models=(MailAfterLeaving,),
        export=_mails_after_leaving,
        erase=_erase_mails_after_leaving,
        locate=deliveries_to,
    ),
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
        name="soft_bounces",
        title=_("Mails to you that bounced, as far as they may end mail to you"),
        models=(SoftBounce,),
        export=_soft_bounces,
        erase=_erase_soft_bounces,
        locate=_locate_soft_bounces,
    ),
    DataRule(
        name="webhook_messages",
        title=_("What other systems were told about you"),
        models=(WebhookMessage, WebhookAttempt),
        export=_messages,
        erase=_erase_messages,
        locate=_locate_answers,
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
