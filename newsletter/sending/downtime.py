"""Downtime: after a long downtime, sends that were running are paused until an operator resumes them.

A restored backup looks the same as a database whose workers were stopped: its last heartbeat is old. Its sends may have
ended long ago, and the provider may no longer keep the idempotency keys by which it detects repeated posts.
"""

from __future__ import annotations

import datetime
import logging
from typing import Any

from django.conf import settings
from django.db import transaction
from django.db.models import Max, Q
from django.utils import timezone

from newsletter.models import Reason, Send, SendState, WorkerHeartbeat
from newsletter.models.reasons import iso

#: Sends that resume automatically as soon as a provider accepts mail.
RESUMES_AUTOMATICALLY = Q(state=SendState.PAUSED, hold_reason=Reason.PROVIDER_OUTAGE)

log = logging.getLogger(__name__)


def pause_after_downtime() -> int:
    """Pause every running send if the last worker was seen more than OVERDUE_MINUTES ago; how many.

    To be called when a worker starts, before its first heartbeat. Workers that were shut down properly leave no
    heartbeat; then nothing is known and nothing is paused.
    """
    last = WorkerHeartbeat.objects.aggregate(last=Max("seen_at"))["last"]
    now = timezone.now()
    if last is None or now - last <= datetime.timedelta(minutes=settings.OVERDUE_MINUTES):
        return 0
    values = {"from_at": iso(last), "until_at": iso(now)}
    sending = Send.objects.filter(state=SendState.SENDING).defer("manifest")
    paused = sum(send.pause_if_sending(Reason.DOWNTIME, values=values) for send in sending)
    waiting = Send.objects.filter(RESUMES_AUTOMATICALLY).defer("manifest")
    paused += sum(_keep_paused(send, values) for send in waiting)
    if paused:
        log.warning("Sends paused after a downtime", extra={"sends": paused, "last_heartbeat": iso(last)})
    return paused


def _keep_paused(send: Send, values: dict[str, Any]) -> bool:
    """A send that was only waiting for a provider must not resume automatically either."""
    with transaction.atomic():
        waiting = Send.objects.filter(RESUMES_AUTOMATICALLY, pk=send.pk)
        kept = waiting.update(hold_reason=Reason.DOWNTIME, hold_values=values)
        if kept:
            send.note(Reason.DOWNTIME, by="worker", values=values)
    return bool(kept)
