"""Reconcile: batches in doubt, settled by what receipts prove, held where nothing may be tried, decided by a person."""

from __future__ import annotations

from collections.abc import Sequence

from django.db import transaction
from django.db.models import Exists, OuterRef, Q, QuerySet
from django.utils import timezone

from newsletter.models import Batch, BatchState, Delivery, DeliveryStatus, Edition, Fact, IssueStatus
from newsletter.models.delivery import HAS_BEEN_TRIED, UNINDEXED_EDITION
from newsletter.providers.base import Provider, provider_account
from newsletter.sending.recipients import UNDER_WAY, deliveries_of

#: Batches looked at in one turn of a step.
CHUNK = 100

KEY_EXPIRED = "No answer came before the provider forgets the key; posting again could reach readers twice."
NOT_REPEATABLE = "It was being sent when the worker ended, and this provider would not notice that it is sent twice."
CANCELLED_IN_DOUBT = "The send was cancelled while it was not known whether this batch went out."
PROVEN = "A receipt proves that it went out."

#: Deliveries whose batch may have gone out: those in its bytes, and those that a person chose to send again.
UNSETTLED = (*UNDER_WAY, DeliveryStatus.PENDING)

HAS_A_FACT = Q()
for _fact in Fact:
    HAS_A_FACT |= Q(**{f"{_fact.value}_at__isnull": False})


class NotInDoubt(Exception):
    """There is nothing to decide about this batch, or this cannot be decided any more; the sentence says which."""

    permanent = True


def settle_proven() -> bool:
    """Accept batches in doubt of which any mail has a receipt: a strict post goes out whole or not at all (R-109)."""
    owned = Delivery.objects.filter(pk__gte=OuterRef("first_delivery"), pk__lte=OuterRef("last_delivery"))
    proof = owned.alias(of=UNINDEXED_EDITION).filter(HAS_A_FACT, of=OuterRef("edition"))
    open_again = Q(state=BatchState.READY, attempts__gt=0)
    stale = Q(state__in=(BatchState.UNKNOWN, BatchState.HELD)) | Q(
        state=BatchState.CLAIMED, lease_until__lt=timezone.now()
    )
    tried = Batch.objects.filter(HAS_BEEN_TRIED, stale | open_again)
    found = list(tried.filter(Exists(proof))[:CHUNK])
    return sum(settle(batch, PROVEN) for batch in found) == CHUNK


def settle_if_proven(batch: Batch) -> bool:
    """Accept this batch if any of its mails has a receipt; whether it has."""
    return deliveries_of(batch).filter(HAS_A_FACT).exists() and settle(batch, PROVEN)


def hold_expired(route: Sequence[Provider]) -> bool:
    """Hold batches in doubt that nobody will post again.

    Their key has expired, their send was cancelled, or the provider that may have them is not in the route any more,
    or not with the same account: another one would not know their keys.
    """
    now = timezone.now()
    hopeless = Q(edition__sent_as__status=IssueStatus.CANCELLED)
    hopeless |= ~Q(provider__in=["", *map(provider_account, route)])
    for provider in route:
        # Without keys no clock is asked: one that was set back would make the doubtful fit again.
        expired = Q(first_attempt_at__lt=now - provider.key_lifetime) if provider.key_lifetime else ~Q(pk=None)
        hopeless |= expired & Q(provider__in=(provider_account(provider), *([""] if provider is route[0] else [])))
    doubtful = Batch.objects.free(now).filter(HAS_BEEN_TRIED).exclude(state=BatchState.READY)
    found = list(doubtful.filter(hopeless).select_related("edition__sent_as")[:CHUNK])
    for batch in found:
        hold(batch, _why_expired(batch, route))
    return len(found) == CHUNK


def _why_expired(batch: Batch, route: Sequence[Provider]) -> str:
    if batch.edition.sent_as.status == IssueStatus.CANCELLED:
        return CANCELLED_IN_DOUBT
    for provider in route:
        if batch.provider in (provider_account(provider), ""):
            return too_late(provider)
    name, _, account = batch.provider.partition(":")
    if name in [provider.name for provider in route]:
        # Versions that did not note the account yet may have left some behind.
        under = "another key or login" if account else "a key or login that was not noted"
        return f"It may be out by {name} under {under}, and this one may be another team's."
    return f"It may be out by {name}, which is not in PROVIDER any more, and nobody else can tell."


def too_late(provider: Provider) -> str:
    """Why this provider must not be given a doubtful batch again."""
    return KEY_EXPIRED if provider.key_lifetime else NOT_REPEATABLE


def hold(batch: Batch, reason: str) -> None:
    """Nothing may be done about this batch until a receipt or a person tells whether it went out."""
    with transaction.atomic():
        held = Batch.objects.filter(pk=batch.pk, state=batch.state, attempts=batch.attempts).update(
            state=BatchState.HELD, reason=reason[:500], lease_until=None
        )
        if held:
            under_way = deliveries_of(batch).filter(status__in=UNDER_WAY)
            under_way.update(status=DeliveryStatus.UNKNOWN, reason=reason[:200])


def count_as_sent(batch: Batch, *, by: str) -> None:
    """A person decides that a held batch went out. Raises NotInDoubt."""
    if batch.state != BatchState.HELD or not settle(batch, f"Counted as sent by {by}."):
        raise NotInDoubt("This batch is not held any more; look at its outcome.")


def send_again(batch: Batch, *, by: str) -> None:
    """A person decides to post a held batch anew, to those who may still be mailed; it may reach readers twice.

    Raises NotInDoubt.
    """
    on_its_way = (IssueStatus.SENDING, IssueStatus.PAUSED)
    with transaction.atomic():
        changed = Batch.objects.filter(pk=batch.pk, state=BatchState.HELD, edition__in=_editions_of(on_its_way)).update(
            state=BatchState.READY,
            payload=None,
            may_be_out=True,
            not_before=timezone.now(),
            reason=f"Sent again by {by}, who accepted that readers may get it twice.",
        )
        if not changed:
            raise NotInDoubt("This batch cannot be sent again: it is not held any more, or its issue is over.")
        deliveries_of(batch).filter(status__in=UNDER_WAY).update(status=DeliveryStatus.PENDING, reason="")


def _editions_of(statuses: tuple[str, ...]) -> QuerySet[Edition]:
    return Edition.objects.filter(sent_as__status__in=statuses)


def settle(batch: Batch, reason: str) -> bool:
    """Write down that it went out, unless somebody has touched it since; whether that was so."""
    with transaction.atomic():
        changed = Batch.objects.filter(pk=batch.pk, state=batch.state, attempts=batch.attempts).update(
            state=BatchState.ACCEPTED, payload=None, lease_until=None, reason=reason, finished_at=timezone.now()
        )
        if changed:
            deliveries_of(batch).filter(status__in=UNSETTLED).update(status=DeliveryStatus.ACCEPTED, reason="")
    return bool(changed)
