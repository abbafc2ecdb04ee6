"""The outbox of mails to one person about their membership.

A notice is written whole, with its idempotency key, in the transaction of what caused it; nothing is sent inside a
web request (R-37). The worker's step sends it: the same bytes under the same key at every attempt, for as long as
providers keep keys. After that it is not sent again, and says that nobody knows (design.md, "Post").
"""

from __future__ import annotations

import datetime
import logging
import random
from collections.abc import Mapping
from typing import Any

from django.conf import settings
from django.core.mail import EmailMultiAlternatives, get_connection
from django.core.mail.backends.base import BaseEmailBackend
from django.db import connection, transaction
from django.db.models import F
from django.db.models.functions import Coalesce
from django.template.loader import render_to_string
from django.utils import timezone

from subscribers.addresses import sender_line
from subscribers.models import (
    LIFTED_BY_CONFIRMATION,
    Notice,
    NoticeKind,
    NoticeState,
    Subscription,
    SubscriptionState,
)
from subscribers.suppression import suppression_of
from subscribers.tokens import confirm_url, decline_url, preferences_url, unsubscribe_url

log = logging.getLogger(__name__)

#: How long after the first attempt the same key still makes a repeat harmless: providers keep keys for 24 h.
RETRY_WINDOW = datetime.timedelta(hours=23)
#: Longer than one call to a provider may take. A worker that dies leaves its notice to others after this.
LEASE = datetime.timedelta(minutes=2)
FIRST_PAUSE, LONGEST_PAUSE = datetime.timedelta(seconds=15), datetime.timedelta(hours=1)


class NoticeError(Exception):
    """A mail backend could not hand over one mail; the message is a sentence for a person, without the address.

    `permanent`: the same mail will be refused again. Otherwise it is tried again: same bytes, same key.
    """

    def __init__(self, message: str, *, permanent: bool) -> None:
        super().__init__(message)
        self.permanent = permanent


# --- Writing -------------------------------------------------------------------------------------------------------


def write_confirmation(membership: Subscription) -> Notice:
    """The mail that asks whether it was really them. Its one-click unsubscribe says no (R-12)."""
    decline = decline_url(membership.key)
    links = {"confirm_url": confirm_url(membership.key, membership.request_number), "decline_url": decline}
    return _write(NoticeKind.CONFIRMATION, membership, links, one_click=decline)


def write_already_subscribed(membership: Subscription) -> Notice:
    """The answer to a sign-up with the address of somebody who reads already; only they learn that they do."""
    unsubscribe = unsubscribe_url(membership.key)
    links = {"unsubscribe_url": unsubscribe, "preferences_url": preferences_url(membership.key)}
    return _write(NoticeKind.ALREADY_SUBSCRIBED, membership, links, one_click=unsubscribe)


def _write(kind: NoticeKind, membership: Subscription, links: Mapping[str, str], *, one_click: str) -> Notice:
    """Render and store one notice. Nothing that was typed into a form stands in it but the recipient (R-58)."""
    mailing_list = membership.mailing_list
    context = {"mailing_list": mailing_list, "site_url": settings.SITE_URL, **links}
    folder = f"subscribers/email/{kind.value}"
    return Notice.objects.create(
        kind=kind,
        subscription=membership,
        recipient=membership.subscriber.address,
        sender=sender_line(mailing_list.sender_name, mailing_list.sender_email),
        reply_to=mailing_list.reply_to,
        subject=" ".join(render_to_string(f"{folder}/subject.txt", context).split())[:200],
        text=render_to_string(f"{folder}/body.txt", context).strip() + "\n",
        html=render_to_string(f"{folder}/body.html", context).strip() + "\n",
        headers={
            "List-Unsubscribe": f"<{one_click}>",
            "List-Unsubscribe-Post": "List-Unsubscribe=One-Click",
            # Robots do not answer robots (RFC 3834, R-16).
            "Auto-Submitted": "auto-generated",
            "X-Auto-Response-Suppress": "All",
        },
    )


# --- Sending -------------------------------------------------------------------------------------------------------


def send_due_notices(limit: int = 50) -> bool:
    """Send up to `limit` waiting notices, each claimed on its own; whether there may be more. A step of the worker.

    May be killed anywhere and run by many workers at once: a claim ends by itself, and a repeat has the same key.
    """
    # Looking first keeps an idle worker from taking SQLite's one write lock at every look.
    if not Notice.objects.due(timezone.now()).exists():
        return False
    give_up_old_notices()
    mail = get_connection()
    for _ in range(limit):
        notice = claim_notice()
        if notice is None:
            return False
        send_notice(notice, mail)
    return True


def claim_notice() -> Notice | None:
    """Take the notice that waits longest, for this worker alone until its lease ends."""
    now = timezone.now()
    with transaction.atomic():
        due = Notice.objects.due(now).select_for_update(
            skip_locked=connection.features.has_select_for_update_skip_locked
        )
        notice = due.first()
        if notice is None:
            return None
        Notice.objects.filter(pk=notice.pk).update(
            lease_until=now + LEASE,
            attempts=F("attempts") + 1,
            first_attempt_at=Coalesce("first_attempt_at", now),
        )
    return Notice.objects.select_related("subscription__subscriber").get(pk=notice.pk)


def send_notice(notice: Notice, mail: BaseEmailBackend) -> None:
    """One attempt with a claimed notice, and its outcome on the row."""
    if notice.attempts == 1 and (obstacle := obstacle_to(notice)):
        settle(notice, NoticeState.WITHDRAWN, reason=obstacle)
        return
    message = message_of(notice)
    message.connection = mail
    try:
        message.send()
    except NoticeError as error:
        if error.permanent:
            settle(notice, NoticeState.FAILED, reason=str(error))
        else:
            try_later(notice, str(error))
    except OSError as error:  # also every SMTPException
        try_later(notice, f"The connection to the mail server failed ({type(error).__name__}).")
    except Exception as error:
        # Whether it went out cannot be told, and one odd mail must not hold up the others.
        log.exception("notice %s: the mail backend failed in an unexpected way", notice.pk)
        try_later(notice, f"The mail backend failed in an unexpected way ({type(error).__name__}).")
    else:
        provider_id = getattr(message, "provider_id", "")
        settle(notice, NoticeState.SENT, sent_at=timezone.now(), provider_id=provider_id)


def message_of(notice: Notice) -> EmailMultiAlternatives:
    """The mail of a notice: text first, HTML beside it (R-25), one recipient (R-22)."""
    message = EmailMultiAlternatives(
        subject=notice.subject,
        body=notice.text,
        from_email=notice.sender,
        to=[notice.recipient],
        reply_to=[notice.reply_to] if notice.reply_to else None,
        headers=notice.headers,
    )
    message.attach_alternative(notice.html, "text/html")
    message.idempotency_key = notice.idempotency_key  # type: ignore[attr-defined]
    message.tags = {"notice": str(notice.pk), "env": settings.ENVIRONMENT}  # type: ignore[attr-defined]
    return message


def obstacle_to(notice: Notice) -> str:
    """Why this notice should not go out any more, as a sentence; empty if nothing stands against it."""
    membership = notice.subscription
    suppression = suppression_of(membership.subscriber.canonical)
    if suppression and suppression.reason not in LIFTED_BY_CONFIRMATION:
        return "The address must not be mailed."
    if notice.kind == NoticeKind.CONFIRMATION:
        if membership.subscriber.declined_at:
            return "The person said that it was not them."
        if membership.state != SubscriptionState.PENDING:
            return "There is nothing left to confirm."
        if membership.requested_at and notice.created_at < membership.requested_at:
            return "A newer mail asks the same."
        if membership.request_has_expired(timezone.now()):
            return "Its link would have expired."
    elif membership.state != SubscriptionState.ACTIVE:
        return "The person has left since."
    return ""


def try_later(notice: Notice, reason: str) -> None:
    """Let a notice rest for a time that grows with its attempts, or give it up when its key may be forgotten."""
    now = timezone.now()
    again = now + pause_after(notice.attempts)
    if notice.first_attempt_at and again - notice.first_attempt_at > RETRY_WINDOW:
        settle(notice, NoticeState.UNKNOWN, reason=f"{reason} Tried for 23 hours; it may have arrived or not.")
        return
    Notice.objects.filter(pk=notice.pk, state=NoticeState.PENDING).update(
        not_before=again, lease_until=None, reason=reason[:500]
    )


def pause_after(attempts: int) -> datetime.timedelta:
    """15 s, doubled at each attempt up to an hour, and a random part of it, so that not all come back at once."""
    pause: datetime.timedelta = min(FIRST_PAUSE * 2 ** min(attempts - 1, 12), LONGEST_PAUSE)
    return pause * random.uniform(0.75, 1.25)  # noqa: S311


def settle(notice: Notice, state: NoticeState, *, reason: str = "", **changes: Any) -> None:
    """Write the outcome of a notice and remove its body and headers: they hold links that still work."""
    Notice.objects.filter(pk=notice.pk, state=NoticeState.PENDING).update(
        state=state, reason=reason[:500], lease_until=None, text="", html="", headers={}, **changes
    )


def give_up_old_notices() -> int:
    """Give up notices whose first attempt is too long ago: workers died over them, or none ran. Answers how many."""
    now = timezone.now()
    return (
        Notice.objects.due(now)
        .filter(first_attempt_at__lte=now - RETRY_WINDOW)
        .order_by()
        .update(
            state=NoticeState.UNKNOWN,
            reason="No attempt was finished within 23 hours; it may have arrived or not.",
            lease_until=None,
            text="",
            html="",
            headers={},
        )
    )
