"""Retry: another attempt for failed deliveries, because an operator asked for it.

Failed is known: the mail was not sent. So is a mail that the provider accepted and could not send after all, as for a
quota. Deliveries with an unknown outcome are never retried here.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from itertools import groupby

from django.db import transaction
from django.db.models import Max, Q
from django.utils import timezone
from django.utils.translation import gettext as _

from newsletter.models import (
    DELIVERY_MACHINE,
    Batch,
    BatchState,
    Delivery,
    DeliveryState,
    Event,
    EventType,
    InvalidTransition,
    Reason,
    Send,
    SendState,
    lock_week,
)
from newsletter.models.edition import LARGE_COLUMNS
from newsletter.sending.control import operator_values
from newsletter.sending.message import batch_key
from newsletter.sending.recipients import deliveries_of
from newsletter.sending.reconcile import HAS_EVENT

#: States of a send whose failed deliveries can be retried. A paused one stays paused; they are sent once it is resumed.
RETRIABLE = (SendState.SENDING, SendState.PAUSED, SendState.SENT)

#: States of batches that may have failed deliveries. Of a dropped one, the failed messages could not be built.
OVER = (BatchState.REFUSED, BatchState.ACCEPTED, BatchState.DROPPED)

#: Deliveries that are reset in one statement.
DELIVERIES_PER_UPDATE = 1_000

#: Facts after which a failed mail may have reached its recipient, or must not be sent again.
REACHED_OR_BARRED = Q()
for _event_type in set(EventType) - {EventType.SENT, EventType.DELAYED, EventType.FAILED}:
    REACHED_OR_BARRED |= Q(**{f"{_event_type.value}_at__isnull": False})

#: Deliveries that certainly failed: refused, or accepted and failed at the provider. Not those of subscribers who have
#: another one at a merged address.
CERTAINLY_FAILED = (
    (Q(state=DeliveryState.FAILED) & ~HAS_EVENT)
    | (Q(state=DeliveryState.ACCEPTED, failed_at__isnull=False) & ~REACHED_OR_BARRED)
) & ~Q(reason=Reason.OTHER_ADDRESS)


def count_failed(send: Send) -> int:
    """How many deliveries a retry would attempt again, as far as their recipients may still be mailed then."""
    return Delivery.objects.filter(CERTAINLY_FAILED, send=send).count()


def retry_failed(send: Send, *, by: str, text: str = "") -> None:
    """Put all failed deliveries into batches with new pks; recipients who left since are skipped when these are built.

    A send that was sent is sending again until they are done. Raises InvalidTransition if there is nothing to retry.
    """
    with transaction.atomic():
        lock_week(send.issue)
        large = (f"edition__{name}" for name in LARGE_COLUMNS)
        locked = Send.objects.select_for_update(of=("self",)).select_related("edition")
        row = locked.defer("manifest", *large).get(pk=send.pk)
        if row.state not in RETRIABLE:
            raise InvalidTransition(_("This send cannot retry deliveries: it is not started, or it was cancelled."))
        runs = _runs_again(row)
        if not runs:
            raise InvalidTransition(_("No failed delivery is left. Reload the page and try again."))
        Batch.objects.bulk_create(batch for batch, _run in runs)
        pks = [key for _again, run in runs for key in run]
        count = sum(
            _reset(pks[start : start + DELIVERIES_PER_UPDATE]) for start in range(0, len(pks), DELIVERIES_PER_UPDATE)
        )
        values = {"count": count, **operator_values(text)}
        if row.state == SendState.SENT:
            row.move(SendState.SENDING, by=by, reason=Reason.RETRIED, values=values, finished_at=None)
        else:
            row.note(Reason.RETRIED, by=by, values=values)
    send.refresh_from_db(fields=["state", "finished_at"])


def _reset(pks: list[int]) -> int:
    """Reset failed deliveries to pending and mark the events of their mails superseded. Returns how many."""
    failed = Delivery.objects.filter(CERTAINLY_FAILED, pk__in=pks)
    Event.objects.all().supersede_mails(failed.filter(state=DeliveryState.ACCEPTED))
    return DELIVERY_MACHINE.move(
        failed,
        DeliveryState.PENDING,
        reason="",
        detail="",
        provider_id="",
        sent_at=None,
        delayed_at=None,
        failed_at=None,
    )


def _runs_again(send: Send) -> list[tuple[Batch, list[int]]]:
    """Batches for all failed deliveries, with these: neighbours that failed together, and no others.

    No others, because an event of any of its recipients settles a batch.
    """
    failed = Delivery.objects.filter(CERTAINLY_FAILED, send=send).order_by("pk")
    waiting = list(failed.values_list("pk", flat=True))
    epochs = _latest_epochs(send)
    over = Batch.objects.filter(send=send, state__in=OVER).order_by("-pk")
    again = []
    # The innermost first: a delivery that failed again is in a part of the batch that was retried.
    for batch in sorted(over.defer("payload"), key=lambda batch: batch.last_delivery - batch.first_delivery):
        start, end = bisect_left(waiting, batch.first_delivery), bisect_right(waiting, batch.last_delivery)
        runs = _runs(batch, waiting[start:end])
        del waiting[start:end]
        again += [(_batch_of(run, batch, send, epochs.get((run[0], run[-1]), 0) + 1), run) for run in runs]
    return again


def _latest_epochs(send: Send) -> dict[tuple[int, int], int]:
    """The highest epoch of each range of deliveries that ever was a batch: a key is never used twice."""
    ranges = Batch.objects.filter(send=send).order_by().values_list("first_delivery", "last_delivery")
    return {(first, last): epoch for first, last, epoch in ranges.annotate(latest=Max("epoch"))}


def _runs(batch: Batch, failed: list[int]) -> list[list[int]]:
    """The failed deliveries of a batch, cut where one that did not fail stands between them."""
    if len(failed) < 2:
        return [failed] if failed else []
    chosen = set(failed)
    owned = deliveries_of(batch).values_list("pk", flat=True)
    return [list(run) for is_failed, run in groupby(owned, key=chosen.__contains__) if is_failed]


def _batch_of(run: list[int], before: Batch, send: Send, epoch: int) -> Batch:
    first, last = run[0], run[-1]
    return Batch(
        send=send,
        edition=send.edition,
        first_delivery=first,
        last_delivery=last,
        epoch=epoch,
        key=batch_key(send.edition, first, last, epoch=epoch),
        may_be_duplicate=before.may_be_duplicate,
        may_be_partly_sent=before.may_be_partly_sent,
        may_be_at_other_provider=before.may_be_at_other_provider,
        mailbox_provider=before.mailbox_provider,
        not_before=timezone.now(),
    )
