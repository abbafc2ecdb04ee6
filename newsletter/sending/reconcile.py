"""Reconcile: settle batches whose outcome is not known, from what receipts prove or a person decides.

Imports models only.
"""

from __future__ import annotations

from django.db import transaction
from django.db.models import Exists, OuterRef, Q
from django.utils import timezone

from newsletter.models import Batch, BatchState, Delivery, DeliveryStatus, Fact
from newsletter.sending.readers import UNDER_WAY, deliveries_of

IN_DOUBT = (BatchState.UNKNOWN, BatchState.HELD)

_ANY_FACT = Q()
for _fact in Fact:
    _ANY_FACT |= Q(**{f"{_fact.value}_at__isnull": False})


class NotInDoubt(Exception):
    """The batch's outcome is known already; there is nothing to decide."""

    permanent = True


def settle_proven(limit: int = 100) -> bool:
    """Accept batches in doubt of which any mail has a receipt: a strict post goes out whole or not at all (R-109)."""
    proven = Delivery.objects.filter(
        _ANY_FACT, edition=OuterRef("edition"), pk__gte=OuterRef("first_delivery"), pk__lte=OuterRef("last_delivery")
    ).filter(status__in=UNDER_WAY)
    stale = Q(state__in=IN_DOUBT) | Q(state=BatchState.CLAIMED, lease_until__lt=timezone.now())
    found = Batch.objects.filter(stale, Exists(proven))[:limit]
    for batch in found:
        _settle(batch, "A receipt proves that it went out.")
    return False


def count_as_sent(batch: Batch, *, by: str) -> None:
    """A person decides that a held batch went out. Raises NotInDoubt."""
    if batch.state != BatchState.HELD or not _settle(batch, f"Counted as sent by {by}."):
        raise NotInDoubt("This batch is not held any more; look at its outcome.")


def send_again(batch: Batch, *, by: str) -> None:
    """A person decides to post a held batch anew, to those who may still be mailed; it may reach readers twice.

    Raises NotInDoubt.
    """
    with transaction.atomic():
        changed = Batch.objects.filter(pk=batch.pk, state=BatchState.HELD).update(
            state=BatchState.READY,
            payload=None,
            not_before=timezone.now(),
            reason=f"Sent again by {by}, who accepted that readers may get it twice.",
        )
        if not changed:
            raise NotInDoubt("This batch is not held any more; look at its outcome.")
        deliveries_of(batch).filter(status__in=UNDER_WAY).update(status=DeliveryStatus.PENDING, reason="")


def _settle(batch: Batch, reason: str) -> bool:
    with transaction.atomic():
        changed = Batch.objects.filter(pk=batch.pk, state=batch.state, attempts=batch.attempts).update(
            state=BatchState.ACCEPTED, payload=None, lease_until=None, reason=reason, finished_at=timezone.now()
        )
        if changed:
            deliveries_of(batch).filter(status__in=UNDER_WAY).update(status=DeliveryStatus.ACCEPTED, reason="")
    return bool(changed)
