"""Undo: withdraw a send that was started, while provably nothing of it was sent."""

from __future__ import annotations

from django.db import transaction
from django.db.models import Exists, OuterRef, Q
from django.utils.translation import gettext as _

from newsletter.models import (
    IN_PROGRESS,
    Batch,
    BatchState,
    Delivery,
    DeliveryState,
    InvalidTransition,
    ProviderSearch,
    Reason,
    Send,
    SendState,
)
from newsletter.sending.control import operator_values
from newsletter.sending.reconcile import HAS_EVENT

#: Batches of which nothing was sent, attempted or not; the parts of a split one have states of their own. A batch that
#: was searched for had an unknown outcome once, and its search is the only proof that it was not sent: it is kept.
NOT_SENT = Q(
    state__in=(BatchState.READY, BatchState.REFUSED, BatchState.SPLIT, BatchState.DROPPED),
    may_be_duplicate=False,
) & ~Exists(ProviderSearch.objects.filter(batch=OuterRef("pk")))
NOT_SENT_DELIVERY = Q(state__in=(DeliveryState.PENDING, DeliveryState.FAILED, DeliveryState.SKIPPED)) & ~HAS_EVENT


def can_undo(send: Send) -> bool:
    """Whether the send is running and no batch is known to be sent, so that an undo may succeed. One query."""
    return send.state in IN_PROGRESS and not Batch.objects.filter(~NOT_SENT, send=send).exists()


def undo_send(send: Send, *, by: str, text: str = "") -> None:
    """Withdraw a running or paused send, so that its issue can be edited and sent again. Its history is kept.

    Every batch is locked before its state is read. A worker that claims one at the same time either has claimed it
    already, which refuses the undo, or finds no batch. Refused batches do not prevent the undo: otherwise an issue with
    a wrong sender could only be cancelled. Raises InvalidTransition, and then changes nothing.
    """
    with transaction.atomic():
        locked = Send.objects.select_for_update().defer("manifest").get(pk=send.pk)
        if locked.state not in IN_PROGRESS:
            raise InvalidTransition(_("This send is not running any more, so there is nothing to undo."))
        batches, deliveries = Batch.objects.filter(send=send), Delivery.objects.filter(send=send)
        list(batches.order_by("pk").select_for_update().values_list("pk"))
        if batches.filter(~NOT_SENT).exists() or deliveries.filter(~NOT_SENT_DELIVERY).exists():
            raise InvalidTransition(
                _(
                    "The first mails were sent, or had to be searched for at the provider, so the start cannot be "
                    "undone any more. You can pause the send, or cancel the rest."
                )
            )
        send.move(SendState.WITHDRAWN, only_from=IN_PROGRESS, by=by, reason=Reason.UNDONE, values=operator_values(text))
        batches.delete()
        deliveries.delete()
        send.issue.revoke_approval(by=by, reason=Reason.UNDONE)
