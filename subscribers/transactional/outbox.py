"""Sending transactional mails: the worker's step.

Mails are written in the transaction of what causes them; web requests send nothing. Every attempt sends the same bytes
under the same idempotency key. A mail that may have been sent is repeated only while the provider knows its key. After
that, or at once with a provider without keys such as SMTP, its state is unknown and it is not sent again.
"""

from __future__ import annotations

import datetime
import logging
import random
from dataclasses import dataclass
from typing import Any

from django.conf import settings
from django.core.mail import EmailMultiAlternatives, get_connection
from django.core.mail.backends.base import BaseEmailBackend
from django.db import connection, transaction
from django.db.models import F
from django.db.models.functions import Coalesce
from django.utils import timezone

from subscribers.models import (
    TRANSACTIONAL_MAIL_MACHINE,
    TransactionalMail,
)
from subscribers.models import TransactionalMailReason as Reason
from subscribers.models import TransactionalMailState as State
from subscribers.transactional.blocked import blocked_reason

log = logging.getLogger(__name__)

#: Longer than one call normally takes. A call that outlasts it is repeated by another worker under the same key.
LEASE = datetime.timedelta(minutes=2)
#: Replies of a mail server that one mail may wait for, from the greeting to the end of the mail.
SMTP_REPLIES = 12
#: How often a mail is tried that provably was not sent: for about 22 hours, as `retry_delay` spaces the attempts.
MAX_ATTEMPTS = 30
MIN_RETRY_DELAY, MAX_RETRY_DELAY = datetime.timedelta(seconds=15), datetime.timedelta(hours=1)
#: Values stored with every outcome: the body and the headers contain working links and are removed.
CLEARED_WHEN_FINISHED: dict[str, Any] = {"lease_until": None, "text": "", "html": "", "headers": {}}


class MailBackendError(Exception):
    """A mail backend could not hand over a mail. Code and detail must not contain the address.

    `permanent`: the same mail will be refused again. Otherwise it is retried with the same bytes and key.
    `may_have_been_sent`: the outcome is unknown. Otherwise the mail provably was not sent.
    """

    def __init__(self, code: str, detail: str = "", *, permanent: bool, may_have_been_sent: bool = False) -> None:
        super().__init__(f"{code}: {detail}" if detail else code)
        self.permanent = permanent
        self.may_have_been_sent = may_have_been_sent


def assume_attempts(*, since: datetime.datetime, until: datetime.datetime) -> int:
    """Treat mails that were due by `until` as if an attempt of `since` might have sent them; how many.

    For a database that was restored from a backup of `since`: a provider that still knows the key sends no second mail,
    and with any other they are not sent again.
    """
    due = TransactionalMail.objects.filter(state=State.PENDING, first_attempt_at__isnull=True, not_before__lte=until)
    return due.update(first_attempt_at=since)


@dataclass(frozen=True, slots=True)
class ClaimedMail:
    """A mail that no other worker sends before its lease ends."""

    mail: TransactionalMail
    may_have_been_sent: bool
    """By an earlier attempt: its outcome is unknown, or its worker died."""


def send_due_transactional_mails(limit: int = 50) -> bool:
    """Send up to `limit` pending mails, each under its own claim. Returns True if there may be more.

    May be killed anywhere and run by many workers at once: claims expire, and a repeat has the same key.
    """
    # The read keeps an idle worker from taking SQLite's one write lock at every turn.
    if not TransactionalMail.objects.due(timezone.now()).exists():
        return False
    backend = get_connection()
    for _ in range(limit):
        if is_stopped(backend):
            return False
        claimed = claim_mail(lease_for(backend))
        if claimed is None:
            return False
        send_mail(claimed, backend)
    return True


def is_stopped(backend: BaseEmailBackend) -> bool:
    """Whether the backend takes no mail at all until an operator lets it. Asked before each mail."""
    return bool(getattr(backend, "is_stopped", False))


def key_lifetime(backend: BaseEmailBackend) -> datetime.timedelta:
    """How long after the first attempt a repeat under the same key sends no second mail. Zero without keys."""
    lifetime: datetime.timedelta = getattr(backend, "key_lifetime", datetime.timedelta(0))
    return lifetime


def lease_for(backend: BaseEmailBackend) -> datetime.timedelta:
    """Longer than one call to this backend may take."""
    if key_lifetime(backend):
        return LEASE
    # Without keys the provider is a mail server, which may take the whole timeout for each of its replies.
    return max(LEASE, SMTP_REPLIES * datetime.timedelta(seconds=settings.EMAIL_TIMEOUT or 0))


def claim_mail(lease: datetime.timedelta = LEASE) -> ClaimedMail | None:
    """Claim the mail that has waited longest, until its lease ends.

    The claim sets `first_attempt_at`; an attempt that provably sent nothing empties it. So if it was set before this
    claim, an earlier attempt may have sent the mail.
    """
    now = timezone.now()
    with transaction.atomic():
        due = TransactionalMail.objects.due(now).select_for_update(
            skip_locked=connection.features.has_select_for_update_skip_locked
        )
        mail = due.first()
        if mail is None:
            return None
        TransactionalMail.objects.filter(pk=mail.pk).update(
            lease_until=now + lease,
            attempts=F("attempts") + 1,
            first_attempt_at=Coalesce("first_attempt_at", now),
        )
    claimed = TransactionalMail.objects.select_related("subscription__subscriber").filter(pk=mail.pk).first()
    if claimed is None:
        # The subscriber was erased at this moment, and the mail with them.
        return None
    return ClaimedMail(claimed, may_have_been_sent=mail.first_attempt_at is not None)


def send_mail(claimed: ClaimedMail, backend: BaseEmailBackend) -> None:
    """Make one attempt with a claimed mail and store its outcome."""
    mail = claimed.mail
    blocked = blocked_reason(mail)
    if claimed.may_have_been_sent and (blocked or _key_has_expired(mail, timezone.now(), backend)):
        # Not withdrawn, which would say that nothing was sent. Only the same bytes may be sent again, or nothing.
        _finish(mail, State.UNKNOWN, reason=blocked or mail.reason or Reason.NOT_FINISHED)
        return
    if blocked:
        _finish(mail, State.WITHDRAWN, reason=blocked, detail="", first_attempt_at=None)
        return
    message = message_of(mail)
    message.connection = backend
    try:
        message.send()
    except MailBackendError as error:
        _store_failure(claimed, backend, error)
    except OSError as error:  # includes every SMTPException
        _retry_or_give_up(claimed, backend, Reason.CONNECTION_FAILED, type(error).__name__)
    except Exception as error:
        # One mail must not hold up the others.
        log.exception("transactional mail %s: the mail backend failed with an unexpected error", mail.pk)
        _retry_or_give_up(claimed, backend, Reason.BACKEND_ERROR, type(error).__name__)
    else:
        accepted = {"provider_id": "provider_id", "provider": "provider_account"}
        known = {column: getattr(message, attribute, "") for column, attribute in accepted.items()}
        _finish(mail, State.SENT, reason="", detail="", sent_at=timezone.now(), **known)


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
    message.written_at = mail.created_at  # type: ignore[attr-defined]
    message.tags = {"transactional_mail": str(mail.pk), "env": settings.ENVIRONMENT}  # type: ignore[attr-defined]
    return message


def _store_failure(claimed: ClaimedMail, backend: BaseEmailBackend, error: MailBackendError) -> None:
    may_have_been_sent = claimed.may_have_been_sent or error.may_have_been_sent
    if not error.permanent:
        _retry_or_give_up(claimed, backend, Reason.UNAVAILABLE, str(error), may_have_been_sent=error.may_have_been_sent)
    elif may_have_been_sent:
        reason = Reason.UNAVAILABLE if error.may_have_been_sent else Reason.REFUSED
        _finish(claimed.mail, State.UNKNOWN, reason=reason, detail=str(error)[:500])
    else:
        _finish(claimed.mail, State.FAILED, reason=Reason.REFUSED, detail=str(error)[:500], first_attempt_at=None)


def _retry_or_give_up(
    claimed: ClaimedMail, backend: BaseEmailBackend, reason: Reason, detail: str, *, may_have_been_sent: bool = True
) -> None:
    """Schedule the next attempt, unless it could send a second mail or there have been enough attempts."""
    mail = claimed.mail
    again = timezone.now() + retry_delay(mail.attempts)
    changes: dict[str, Any] = {"reason": reason, "detail": detail[:500]}
    if claimed.may_have_been_sent or may_have_been_sent:
        if _key_has_expired(mail, again, backend):
            _finish(mail, State.UNKNOWN, **changes)
            return
    elif mail.attempts >= MAX_ATTEMPTS:
        _finish(mail, State.FAILED, first_attempt_at=None, **changes)
        return
    else:
        changes["first_attempt_at"] = None
    # Each claim raises the attempts: a worker whose lease has ended must not overwrite what the next one does.
    latest = TransactionalMail.objects.filter(pk=mail.pk, state=State.PENDING, attempts=mail.attempts)
    latest.update(not_before=again, lease_until=None, **changes)


def _key_has_expired(mail: TransactionalMail, at: datetime.datetime, backend: BaseEmailBackend) -> bool:
    """Whether a repeat at this time could send a second mail."""
    return mail.first_attempt_at is not None and at - mail.first_attempt_at >= key_lifetime(backend)


def retry_delay(attempts: int) -> datetime.timedelta:
    """15 s, doubled with each attempt up to an hour, ± 25 % at random so that retries spread out."""
    delay: datetime.timedelta = min(MIN_RETRY_DELAY * 2 ** min(attempts - 1, 12), MAX_RETRY_DELAY)
    return delay * random.uniform(0.75, 1.25)  # noqa: S311


def _finish(mail: TransactionalMail, state: State, **changes: Any) -> None:
    """Store the outcome. A mail that another worker has finished keeps its first outcome."""
    TRANSACTIONAL_MAIL_MACHINE.move(
        TransactionalMail.objects.filter(pk=mail.pk), state, **CLEARED_WHEN_FINISHED, **changes
    )
