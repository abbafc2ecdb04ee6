"""Control: pause, resume, cancel and finish a send."""

from __future__ import annotations

import logging
import re
from typing import Any

from django.db import transaction
from django.db.models import Exists, OuterRef, QuerySet
from django.utils import timezone
from django.utils.translation import gettext as _

from newsletter.config.failpoints import Point, failpoint
from newsletter.models import (
    BATCH_MACHINE,
    DELIVERY_MACHINE,
    OPEN_BATCH_STATES,
    Batch,
    BatchState,
    Delivery,
    DeliveryState,
    InvalidTransition,
    Reason,
    Send,
    SendState,
)
from newsletter.providers.throttle import clear_suspensions
from newsletter.sending.audience import Audience
from newsletter.sending.auto_pause import rates_of

log = logging.getLogger(__name__)


class ReasonNeeded(Exception):
    """A send that was paused automatically is resumed only with a reason."""

    def __init__(self) -> None:
        super().__init__(_("Say why the send may be resumed: it was paused because too many mails failed."))


#: Characters of a text field or a command line that a history does not keep; PostgreSQL refuses the first and the last.
UNPRINTABLE = re.compile("[\x00-\x1f\x7f-\x9f\ud800-\udfff]+")


def one_line(text: str) -> str:
    """What was typed, in one line without control characters."""
    return " ".join(UNPRINTABLE.sub(" ", text).split())


def operator_values(text: str) -> dict[str, Any]:
    """What an operator wrote, as the history stores it; empty if that was nothing."""
    words = one_line(text)[:500]
    return {"text": words} if words else {}


def pause_send(send: Send, *, by: str, text: str = "") -> None:
    """Pause the send: no further batch is posted; posts in flight finish. Raises InvalidTransition."""
    send.pause(Reason.OPERATOR, by=by, values=operator_values(text))


def resume_send(send: Send, *, by: str, text: str = "") -> None:
    """Continue where it stopped; suspended providers are tried again, for every send.

    The present rates of bounces and complaints, and Gmail's spam rate, are acknowledged: only higher ones pause it
    again. Raises InvalidTransition, and ReasonNeeded if it was paused automatically and no text is given.
    """
    changes: dict[str, Any] = {}
    values = operator_values(text)
    send.refresh_from_db(fields=["state", "hold_reason"])
    if send.was_auto_paused:
        if not values:
            raise ReasonNeeded
        changes["acknowledged"] = rates_of(send)
    elif send.hold_reason == Reason.RESTORED_SEND:
        # Its held batches are known, and settled one by one.
        changes["acknowledged"] = rates_of(send)
    with transaction.atomic():
        send.resume(Reason.OPERATOR, by=by, values=values, **changes)
        clear_suspensions(by=by)


def cancel_send(send: Send, *, by: str, text: str = "") -> None:
    """Send it to no further recipient. Events of mails that were sent are still applied. Raises InvalidTransition."""
    values = operator_values(text)
    with transaction.atomic():
        send.move(
            SendState.CANCELLED,
            by=by,
            reason=Reason.OPERATOR,
            values=values,
            hold_reason=Reason.OPERATOR,
            hold_values=values,
            finished_at=timezone.now(),
        )
        # The move waited for the row: a worker may have expanded a further part of the audience meanwhile.
        send.refresh_from_db(fields=["expanded_lists", "expanded_through", "expanded_at", "excluded"])
        if remaining := _count_unexpanded(send):
            send.excluded = {**send.excluded, "cancelled_before_their_turn": remaining}
            Send.objects.filter(pk=send.pk).update(excluded=send.excluded)
        drop_cancelled()


def _count_unexpanded(send: Send) -> int:
    if send.expanded_at or send.started_at is None:
        return 0
    return sum(subscriptions.count() for subscriptions in Audience.of_send(send).unexpanded(send))


def drop_cancelled() -> bool:
    """Drop the batches of cancelled sends that were not sent, and skip their deliveries; whether there were any.

    Also a step of the worker: a batch that came back unsent after the cancellation is dropped in its next run.
    """
    batches = Batch.objects.filter(state=BatchState.READY, send__state=SendState.CANCELLED)
    if not batches.exists():
        return False
    cancelled = Send.objects.filter(state=SendState.CANCELLED)
    with transaction.atomic():
        # Locked before their deliveries, as a claim does: two orders would block each other. And all at once, so that
        # none is claimed while the deliveries of a large list are skipped, which takes seconds.
        pks = list(batches.order_by("pk").select_for_update(of=("self",)).values_list("pk", flat=True))
        waiting = Delivery.objects.filter(state=DeliveryState.PENDING, send__in=cancelled.values("pk"))
        DELIVERY_MACHINE.move(waiting, DeliveryState.SKIPPED, reason=Reason.SEND_CANCELLED)
        dropped = BATCH_MACHINE.move(
            Batch.objects.filter(pk__in=pks),
            BatchState.DROPPED,
            reason=Reason.SEND_CANCELLED,
            reason_values=None,
            finished_at=timezone.now(),
        )
    return dropped > 0


def finish_sends() -> bool:
    """Move to sent every send whose audience is expanded and whose batches all have a known outcome.

    Returns whether there was one.
    A held batch keeps its send open: a send is not finished while the outcome of a batch is unknown.
    """
    finished = 0
    for send in _finished():
        try:
            with transaction.atomic():
                # A retry of failed deliveries adds batches under this lock: asked again once they can be seen.
                Send.objects.select_for_update().only("pk").get(pk=send.pk)
                if not _finished().filter(pk=send.pk).exists():
                    continue
                send.move(SendState.SENT, by="worker", finished_at=timezone.now())
                failpoint(Point.FINISH_UNCOMMITTED)
        except InvalidTransition:
            # Paused or cancelled meanwhile; when it is resumed, it ends here.
            continue
        finished += 1
        log.info("Send finished", extra={"send": send.pk})
        failpoint(Point.FINISH_COMMITTED)
    return finished > 0


def _finished() -> QuerySet[Send]:
    unsettled = Batch.objects.filter(send=OuterRef("pk"), state__in=(*OPEN_BATCH_STATES, BatchState.HELD))
    expanded = Send.objects.filter(state=SendState.SENDING, expanded_at__isnull=False)
    return expanded.filter(~Exists(unsettled)).defer("manifest")
