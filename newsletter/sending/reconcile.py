"""Reconcile: batches whose outcome is unknown, settled by events, held for review, or decided by an operator."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from django.db import transaction
from django.db.models import Exists, OuterRef, Q
from django.utils import timezone
from django.utils.translation import gettext as _

from newsletter.models import (
    BATCH_MACHINE,
    DELIVERY_MACHINE,
    IN_FLIGHT,
    IN_PROGRESS,
    Batch,
    BatchState,
    Delivery,
    DeliveryState,
    EventType,
    Reason,
    SendState,
    reason_unless_delivered,
)
from newsletter.models.batch import ATTEMPTED, RECORDS_PROGRESS, UNINDEXED_SEND
from newsletter.providers.base import Provider, provider_account
from newsletter.sending.erased import erase_missing
from newsletter.sending.recipients import deliveries_of

#: Batches handled in one run of a step.
BATCHES_PER_RUN = 100

#: Deliveries of a batch that may have been sent: those in its bytes, and those that an operator chose to send again.
UNSETTLED = (*IN_FLIGHT, DeliveryState.PENDING)

#: States in which mails of a batch are accepted one by one: its bytes are not posted again as they are.
ONE_BY_ONE = (BatchState.HELD, BatchState.READY)

HAS_EVENT = Q()
for _event_type in EventType:
    HAS_EVENT |= Q(**{f"{_event_type.value}_at__isnull": False})


class NotHeld(Exception):
    """There is nothing to decide about this batch any more; the message says why."""


def settle_proven() -> bool:
    """Accept attempted batches of which any mail has an event: a strict post is sent completely or not at all.

    Of those that a restored copy holds, only the mails that have an event are accepted. Returns whether there was one.
    """
    owned = Delivery.objects.filter(pk__gte=OuterRef("first_delivery"), pk__lte=OuterRef("last_delivery"))
    owned = owned.alias(of=UNINDEXED_SEND).filter(of=OuterRef("send"))
    ready_again = Q(state=BatchState.READY, attempts__gt=0)
    waiting = Q(state__in=(BatchState.UNKNOWN, BatchState.HELD)) | Q(
        state=BatchState.CLAIMED, lease_until__lt=timezone.now()
    )
    attempted = Batch.objects.filter(ATTEMPTED, waiting | ready_again).exclude(RECORDS_PROGRESS)
    in_question = owned.filter(state__in=UNSETTLED)
    some = Exists(in_question.filter(HAS_EVENT)) & (Q(state__in=ONE_BY_ONE) | ~Exists(in_question.filter(~HAS_EVENT)))
    whole = Q(Exists(owned.filter(HAS_EVENT)), may_be_partly_sent=False)
    found = list(attempted.filter(whole | Q(some, may_be_partly_sent=True))[:BATCHES_PER_RUN])
    return (
        sum(
            settle(batch, Reason.PROVEN_BY_EVENT) if _is_proven(batch) else _accept_one_by_one(batch) for batch in found
        )
        > 0
    )


def settle_if_proven(batch: Batch) -> bool:
    """Accept this batch if any of its mails has an event; whether it is settled.

    One that may have been sent in parts is settled if all of its mails have one. Until then, only these are accepted.
    """
    if _is_proven(batch):
        return settle(batch, Reason.PROVEN_BY_EVENT)
    _accept_one_by_one(batch)
    return False


def _is_proven(batch: Batch) -> bool:
    """Whether events prove that all of it was sent."""
    owned = deliveries_of(batch)
    if batch.may_be_partly_sent and owned.filter(~HAS_EVENT, state__in=UNSETTLED).exists():
        return False
    return owned.filter(HAS_EVENT).exists()


def _accept_one_by_one(batch: Batch) -> bool:
    """Accept the mails with an event of a batch that may have been sent in parts; whether there were any.

    None while its bytes may be posted again: the answer names the mails by their places.
    """
    if not batch.may_be_partly_sent or batch.state not in ONE_BY_ONE:
        return False
    untouched = Batch.objects.filter(pk=batch.pk, state=batch.state, attempts=batch.attempts)
    with transaction.atomic():
        if untouched.select_for_update(of=("self",)).only("pk").first() is None:
            return False
        proven = deliveries_of(batch).filter(HAS_EVENT, state__in=UNSETTLED)
        return DELIVERY_MACHINE.move(proven, DeliveryState.ACCEPTED, reason="", detail="") > 0


def hold_expired(route: Sequence[Provider]) -> bool:
    """Hold batches with an unknown outcome that must not be posted again; whether there were any.

    Their key has expired, their send was cancelled, or the provider that may have them is no longer in the route, or
    not with the same account: another account would not know their keys.
    """
    now = timezone.now()
    expired = Q(send__state=SendState.CANCELLED)
    expired |= ~Q(provider__in=["", *map(provider_account, route)])
    for provider in route:
        # Without keys no clock is asked: one that was set back would make the batch postable again.
        too_old = Q(first_attempt_at__lt=now - provider.key_lifetime) if provider.key_lifetime else ~Q(pk=None)
        expired |= too_old & Q(provider__in=(provider_account(provider), *([""] if provider is route[0] else [])))
    unknown = Batch.objects.unleased(now).filter(ATTEMPTED).exclude(RECORDS_PROGRESS).exclude(state=BatchState.READY)
    found = list(unknown.filter(expired).select_related("send").defer("send__manifest")[:BATCHES_PER_RUN])
    return sum(hold(batch, *_why_expired(batch, route)) for batch in found) > 0


def _why_expired(batch: Batch, route: Sequence[Provider]) -> tuple[Reason, dict[str, Any]]:
    if batch.send.state == SendState.CANCELLED:
        return Reason.CANCELLED_WHILE_UNKNOWN, {}
    for provider in route:
        if batch.provider in (provider_account(provider), ""):
            return expiry_reason(provider), {}
    name = batch.provider.partition(":")[0]
    in_route = name in [provider.name for provider in route]
    return (Reason.OTHER_ACCOUNT if in_route else Reason.PROVIDER_NOT_IN_ROUTE), {"provider": name}


def expiry_reason(provider: Provider) -> Reason:
    """Why this provider must not get a batch with an unknown outcome again."""
    return Reason.KEY_EXPIRED if provider.key_lifetime else Reason.NOT_REPEATABLE


def hold(batch: Batch, reason: str, values: Mapping[str, Any] | None = None) -> bool:
    """Nothing may be done about this batch until an event or an operator tells whether it was sent.

    Returns whether it is held now: not if it was touched since it was read.
    """
    untouched = Batch.objects.filter(pk=batch.pk, state=batch.state, attempts=batch.attempts)
    with transaction.atomic():
        held = BATCH_MACHINE.move(
            untouched, BatchState.HELD, reason=reason, reason_values=dict(values or {}), lease_until=None
        )
        if held:
            in_flight = deliveries_of(batch).filter(state__in=IN_FLIGHT)
            DELIVERY_MACHINE.move(in_flight, DeliveryState.UNKNOWN, reason=reason_unless_delivered(reason), detail="")
            # Its bytes stay until its outcome is known. They are not posted again, so erased recipients can go now.
            erase_missing(batch)
    return bool(held)


def mark_as_sent(batch: Batch, *, by: str) -> None:
    """An operator decides that a held batch was sent. Raises NotHeld."""
    if batch.state != BatchState.HELD or not settle(batch, Reason.MARKED_AS_SENT, {"by": by}):
        raise NotHeld(_("This batch is not held any more. Look at its outcome."))


def send_again(batch: Batch, *, by: str) -> None:
    """An operator decides to post a held batch again, to recipients who may still be mailed; some may get it twice.

    Raises NotHeld.
    """
    held = Batch.objects.filter(pk=batch.pk, send__state__in=IN_PROGRESS)
    with transaction.atomic():
        changed = BATCH_MACHINE.move(
            Batch.objects.filter(pk__in=held.values("pk")),
            BatchState.READY,
            only_from=(BatchState.HELD,),
            payload=None,
            may_be_duplicate=True,
            not_before=timezone.now(),
            reason=Reason.SENT_AGAIN,
            reason_values={"by": by},
        )
        if not changed:
            raise NotHeld(_("This batch cannot be sent again: it is not held any more, or its send is over."))
        in_flight = deliveries_of(batch).filter(state__in=IN_FLIGHT)
        DELIVERY_MACHINE.move(in_flight, DeliveryState.PENDING, reason=reason_unless_delivered(), detail="")


def settle(batch: Batch, reason: str, values: Mapping[str, Any] | None = None) -> bool:
    """Record that it was sent, unless it was touched since it was read; whether that was so."""
    untouched = Batch.objects.filter(pk=batch.pk, state=batch.state, attempts=batch.attempts)
    with transaction.atomic():
        changed = BATCH_MACHINE.move(
            untouched,
            BatchState.ACCEPTED,
            payload=None,
            lease_until=None,
            reason=reason,
            reason_values=dict(values or {}),
            finished_at=timezone.now(),
        )
        if changed:
            unsettled = deliveries_of(batch).filter(state__in=UNSETTLED)
            DELIVERY_MACHINE.move(unsettled, DeliveryState.ACCEPTED, reason="", detail="")
    return bool(changed)
