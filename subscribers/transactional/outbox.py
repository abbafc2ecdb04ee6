"""Sending transactional mails: the worker's step.

Mails are written in the transaction of what causes them; web requests send nothing. Every attempt sends the same bytes
under the same idempotency key, for as long as providers keep keys. After that, the mail is not sent again and its state
is unknown.
"""

from __future__ import annotations

import datetime
import logging
import random
from typing import Any

from django.conf import settings
from django.core.mail import EmailMultiAlternatives, get_connection
from django.core.mail.backends.base import BaseEmailBackend
from django.db import connection, transaction
from django.db.models import F
from django.db.models.functions import Coalesce
from django.utils import timezone

from subscribers.models import (
    LIFTED_BY_CONFIRMATION,
    TRANSACTIONAL_MAIL_MACHINE,
    SubscriptionState,
    TransactionalMail,
    TransactionalMailKind,
)
from subscribers.models import TransactionalMailReason as Reason
from subscribers.models import TransactionalMailState as State
from subscribers.suppression import get_suppression

log = logging.getLogger(__name__)

#: How long after the first attempt a repeat under the same key is harmless: providers keep keys for 24 hours.
RETRY_WINDOW = datetime.timedelta(hours=23)
#: Longer than one call to a provider may take. Another worker may claim the mail of a dead worker after this.
LEASE = datetime.timedelta(minutes=2)
SHORTEST_DELAY, LONGEST_DELAY = datetime.timedelta(seconds=15), datetime.timedelta(hours=1)
#: Values stored with every outcome: the body and the headers contain working links and are removed.
FINISHED: dict[str, Any] = {"lease_until": None, "text": "", "html": "", "headers": {}}


class MailBackendError(Exception):
    """A mail backend could not hand over a mail. The message must not contain the address.

    `permanent`: the same mail will be refused again. Otherwise it is retried with the same bytes and key.
    """

    def __init__(self, message: str, *, permanent: bool) -> None:
        super().__init__(message)
        self.permanent = permanent


def send_due_transactional_mails(limit: int = 50) -> bool:
    """Send up to `limit` pending mails, each under its own claim; whether there may be more. A step of the worker.

    May be killed anywhere and run by many workers at once: claims expire, and a repeat has the same key.
    """
    # The read keeps an idle worker from taking SQLite's one write lock at every turn.
    if not TransactionalMail.objects.due(timezone.now()).exists():
        return False
    give_up_old_mails()
    backend = get_connection()
    for _ in range(limit):
        mail = claim_mail()
        if mail is None:
            return False
        send_mail(mail, backend)
    return True


def claim_mail() -> TransactionalMail | None:
    """Claim the mail that has waited longest, until its lease ends."""
    now = timezone.now()
    with transaction.atomic():
        due = TransactionalMail.objects.due(now).select_for_update(
            skip_locked=connection.features.has_select_for_update_skip_locked
        )
        mail = due.first()
        if mail is None:
            return None
        TransactionalMail.objects.filter(pk=mail.pk).update(
            lease_until=now + LEASE,
            attempts=F("attempts") + 1,
            first_attempt_at=Coalesce("first_attempt_at", now),
        )
    return TransactionalMail.objects.select_related("subscription__subscriber").get(pk=mail.pk)


def send_mail(mail: TransactionalMail, backend: BaseEmailBackend) -> None:
    """Make one attempt with a claimed mail and store its outcome."""
    if mail.attempts == 1 and (blocked := blocked_reason(mail)):
        _finish(mail, State.WITHDRAWN, reason=blocked)
        return
    message = message_of(mail)
    message.connection = backend
    try:
        message.send()
    except MailBackendError as error:
        if error.permanent:
            _finish(mail, State.FAILED, reason=Reason.REFUSED, detail=str(error)[:500])
        else:
            retry_later(mail, Reason.UNAVAILABLE, str(error))
    except OSError as error:  # includes every SMTPException
        retry_later(mail, Reason.CONNECTION_FAILED, type(error).__name__)
    except Exception as error:
        # The mail may have been sent or not, and one mail must not hold up the others.
        log.exception("transactional mail %s: the mail backend failed with an unexpected error", mail.pk)
        retry_later(mail, Reason.BACKEND_ERROR, type(error).__name__)
    else:
        provider_id = getattr(message, "provider_id", "")
        _finish(mail, State.SENT, reason="", detail="", sent_at=timezone.now(), provider_id=provider_id)


def message_of(mail: TransactionalMail) -> EmailMultiAlternatives:
    """The message of a mail: text and HTML, one recipient."""
    message = EmailMultiAlternatives(
        subject=mail.subject,
        body=mail.text,
        from_email=mail.sender,
        to=[mail.recipient],
        reply_to=[mail.reply_to] if mail.reply_to else None,
        headers=mail.headers,
    )
    message.attach_alternative(mail.html, "text/html")
    message.idempotency_key = mail.idempotency_key  # type: ignore[attr-defined]
    message.tags = {"transactional_mail": str(mail.pk), "env": settings.ENVIRONMENT}  # type: ignore[attr-defined]
    return message


def blocked_reason(mail: TransactionalMail) -> Reason | None:
    """Why this mail should not be sent any more."""
    subscription = mail.subscription
    suppression = get_suppression(subscription.subscriber.canonical)
    if suppression and suppression.reason not in LIFTED_BY_CONFIRMATION:
        return Reason.SUPPRESSED
    if mail.kind != TransactionalMailKind.CONFIRMATION:
        return None if subscription.state == SubscriptionState.ACTIVE else Reason.NOT_SUBSCRIBED
    if subscription.subscriber.declined_at:
        return Reason.DECLINED
    if subscription.state != SubscriptionState.PENDING:
        return Reason.NOTHING_TO_CONFIRM
    if subscription.requested_at and mail.created_at < subscription.requested_at:
        return Reason.SUPERSEDED
    return Reason.LINK_EXPIRED if subscription.request_has_expired(timezone.now()) else None


def retry_later(mail: TransactionalMail, reason: Reason, detail: str) -> None:
    """Schedule the next attempt, or give up if the provider may have forgotten the key by then."""
    now = timezone.now()
    again = now + retry_delay(mail.attempts)
    if mail.first_attempt_at and again - mail.first_attempt_at > RETRY_WINDOW:
        _finish(mail, State.UNKNOWN, reason=reason, detail=detail[:500])
        return
    TransactionalMail.objects.filter(pk=mail.pk, state=State.PENDING).update(
        not_before=again, lease_until=None, reason=reason, detail=detail[:500]
    )


def retry_delay(attempts: int) -> datetime.timedelta:
    """15 s, doubled with each attempt up to an hour, ± 25 % at random so that retries spread out."""
    delay: datetime.timedelta = min(SHORTEST_DELAY * 2 ** min(attempts - 1, 12), LONGEST_DELAY)
    return delay * random.uniform(0.75, 1.25)  # noqa: S311


def _finish(mail: TransactionalMail, state: State, **changes: Any) -> None:
    """Write the outcome. A mail that another worker has finished keeps its first outcome."""
    TRANSACTIONAL_MAIL_MACHINE.move(TransactionalMail.objects.filter(pk=mail.pk), state, **FINISHED, **changes)


def give_up_old_mails() -> int:
    """Give up mails whose first attempt is too long ago, because workers died or none ran; how many."""
    now = timezone.now()
    old = TransactionalMail.objects.due(now).filter(first_attempt_at__lte=now - RETRY_WINDOW).order_by()
    return TRANSACTIONAL_MAIL_MACHINE.move(old, State.UNKNOWN, reason=Reason.NOT_FINISHED, **FINISHED)
