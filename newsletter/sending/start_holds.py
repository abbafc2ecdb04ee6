"""Due sends that do not start: what holds them for an operator, and what is tried again."""

from __future__ import annotations

import datetime
import logging
from typing import Any

from django.conf import settings
from django.db import transaction
from django.db.models.functions import Now
from django.utils import timezone

from newsletter.config.translatable import to_data
from newsletter.models import Reason, Send, SendState
from newsletter.models.reasons import iso
from newsletter.sending.spam_rate import refusal_of_start

log = logging.getLogger(__name__)

#: How long a start that failed waits until it is retried.
RETRY_AFTER = datetime.timedelta(minutes=1)


def hold_if_overdue(send: Send) -> bool:
    """Let a locked send that is found too late wait for an operator; whether it was too late."""
    latest = Now() - datetime.timedelta(minutes=settings.OVERDUE_MINUTES)
    if send.scheduled_at is None or not Send.objects.filter(pk=send.pk, scheduled_at__lt=latest).exists():
        return False
    values = {"due_at": iso(send.scheduled_at), "found_at": iso(timezone.now())}
    log.warning("Send overdue; it waits for an operator", extra={"send": send.pk})
    Send.objects.filter(pk=send.pk).update(hold_reason=Reason.OVERDUE, hold_values=values, retry_start_at=None)
    send.note(Reason.OVERDUE, by="schedule", values=values)
    return True


def hold_for_spam_rate(send: Send) -> bool:
    """Hold a locked send while Gmail's spam rate of its sender is too high; whether it is.

    It is asked again every minute until it is overdue, so that it starts once the rate is acknowledged.
    """
    refusal = refusal_of_start(send.issue.newsletter.sender_email, timezone.now())
    if refusal:
        _retry_later(send, Reason.SPAM_RATE, {"sentences": [to_data(sentence) for sentence in refusal]})
    return bool(refusal)


def hold_after_error(send_pk: int, error: Exception) -> None:
    """Try a start that failed again, until it is overdue."""
    with transaction.atomic():
        send = Send.objects.select_for_update().defer("manifest").get(pk=send_pk)
        if send.state == SendState.SCHEDULED:
            _retry_later(send, Reason.START_FAILED, {"error": type(error).__name__})


def _retry_later(send: Send, reason: Reason, values: dict[str, Any]) -> None:
    """The history has one line, however often it is tried."""
    if (send.hold_reason, send.hold_values) != (reason, values):
        log.warning("Send held before its start", extra={"send": send.pk, "reason": reason.value})
        send.note(reason, by="schedule", values=values)
    Send.objects.filter(pk=send.pk).update(hold_reason=reason, hold_values=values, retry_start_at=Now() + RETRY_AFTER)
