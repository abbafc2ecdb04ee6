"""How subscriptions change: each step moves or changes rows and stores its proof in the same transaction."""

from __future__ import annotations

import datetime
import hashlib
import uuid
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from django.db import transaction
from django.db.models import Q
from django.utils import timezone

from subscribers.models.consent import Consent, ConsentForm, ConsentKind, ConsentText
from subscribers.models.subscription import (
    SUBSCRIPTION_MACHINE,
    Subscription,
    SubscriptionQuerySet,
    SubscriptionState,
)
from subscribers.models.transactional_mail import TransactionalMail

#: Rows per statement: far below SQLite's limit of parameters, however many subscriptions an editor selects.
CHUNK = 500

#: The state that each step leads to, and the only states it may be taken from, if the machine allows more.
MOVES: dict[ConsentKind, tuple[SubscriptionState, tuple[SubscriptionState, ...]]] = {
    ConsentKind.REQUESTED: (SubscriptionState.PENDING, ()),
    ConsentKind.CONFIRMED: (SubscriptionState.ACTIVE, ()),
    ConsentKind.UNSUBSCRIBED: (SubscriptionState.UNSUBSCRIBED, ()),
    ConsentKind.DECLINED: (SubscriptionState.UNSUBSCRIBED, (SubscriptionState.PENDING,)),
    # An unsubscribed subscription stays unsubscribed; the suppression alone keeps mail away.
    ConsentKind.SUPPRESSED: (SubscriptionState.SUPPRESSED, ()),
}


@dataclass(frozen=True, slots=True)
class MailLink:
    """The link in a mail by which a step was taken: for which subscription it was, and the number of the mail."""

    subscription_key: uuid.UUID
    reference: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """Where and how a step was taken. Only the form is required."""

    form: str
    """A ConsentForm."""
    text: str = ""
    """The text that the subscriber saw and agreed to."""
    version: str = ""
    language: str = ""
    source: str = ""
    ip: str | None = None
    user_agent: str = ""
    by: str = ""
    """The editor who did it."""
    reason: str = ""
    """A SuppressionReason, for a suppression."""
    detail: str = ""
    mail_link: MailLink | None = None
    """The link in a mail by which a subscription was ended."""
    leave_reason: str | None = None
    """A LeaveReason, for the answer to the question why."""
    at: datetime.datetime | None = None
    """When the step was taken, if not now."""


def move_subscriptions(
    rows: SubscriptionQuerySet,
    kind: ConsentKind,
    evidence: Evidence,
    *,
    mail: TransactionalMail | None = None,
    **changes: Any,
) -> int:
    """Take the step `kind` with all of `rows` that may take it, with `changes`, and store a consent for each.

    Returns how many moved. Of two callers at once, the second moves nothing.
    """
    target, only_from = MOVES[kind]
    sources = SUBSCRIPTION_MACHINE.sources(target, only_from=only_from)
    count = 0
    with transaction.atomic():
        for moving in _locked_chunks(rows.filter(state__in=sources)):
            SUBSCRIPTION_MACHINE.move(_rows(moving), target, only_from=only_from, **changes)
            record_consents(kind, moving, evidence, mail=mail)
            count += len(moving)
    return count


def update_subscriptions(
    rows: SubscriptionQuerySet,
    kind: ConsentKind,
    evidence: Evidence,
    *,
    mail: TransactionalMail | None = None,
    **changes: Any,
) -> int:
    """The same for a step that leaves the state as it is: `rows` are those that may take it."""
    count = 0
    with transaction.atomic():
        for changing in _locked_chunks(rows):
            _rows(changing).update(**changes)
            record_consents(kind, changing, evidence, mail=mail)
            count += len(changing)
    return count


def _locked_chunks(rows: SubscriptionQuerySet) -> Iterator[list[Subscription]]:
    """The rows in order of their keys, locked chunk by chunk until the transaction ends."""
    locked = rows.select_related("subscriber", "mailing_list").select_for_update(of=("self",)).order_by("pk")
    last = 0
    while chunk := list(locked.filter(pk__gt=last)[:CHUNK]):
        yield chunk
        last = chunk[-1].pk


def _rows(subscriptions: list[Subscription]) -> SubscriptionQuerySet:
    return Subscription.objects.filter(pk__in=[subscription.pk for subscription in subscriptions])


def record_consents(
    kind: ConsentKind,
    subscriptions: Iterable[Subscription],
    evidence: Evidence,
    *,
    mail: TransactionalMail | None = None,
) -> None:
    """Append one consent for each subscription. Subscriber and mailing list must be loaded."""
    text = stored_text(evidence)
    Consent.objects.bulk_create(
        [
            Consent(
                subscription=subscription,
                kind=kind,
                created_at=evidence.at or timezone.now(),
                address=subscription.subscriber.address,
                canonical=subscription.subscriber.canonical,
                list_name=subscription.mailing_list.name,
                form=evidence.form,
                text=text,
                language=evidence.language,
                source=evidence.source,
                ip=evidence.ip,
                user_agent=evidence.user_agent,
                transactional_mail=mail,
                by=evidence.by,
                reason=evidence.reason,
                detail=evidence.detail,
                mail_reference=_mail_reference(subscription, evidence),
                leave_reason=evidence.leave_reason,
            )
            for subscription in subscriptions
        ],
        batch_size=1000,
    )


def _mail_reference(subscription: Subscription, evidence: Evidence) -> int | None:
    """The number of the mail by whose link this subscription was ended, once for each mail.

    Its other subscriptions may end with it, but the mail was not for them; and who comes back and leaves by the same
    old mail again left because of it once. The answer why belongs to the mail of the unsubscribe.
    """
    link = evidence.mail_link
    if link is None or link.subscription_key != subscription.key:
        return None
    earlier = Consent.objects.filter(subscription=subscription, mail_reference=link.reference)
    is_answer = evidence.form == ConsentForm.UNSUBSCRIBE_REASON
    answers = Q(form=ConsentForm.UNSUBSCRIBE_REASON)
    is_known = earlier.filter(answers if is_answer else ~answers).exists()
    return None if is_known else link.reference


def stored_text(evidence: Evidence) -> ConsentText | None:
    """The row of the text, which all consents to it share; None without a text."""
    if not evidence.text:
        return None
    parts = (evidence.form, evidence.version, evidence.text)
    sha256 = hashlib.sha256("\n".join(parts).encode()).hexdigest()
    text, _ = ConsentText.objects.get_or_create(
        sha256=sha256,
        defaults={"form": evidence.form, "version": evidence.version, "text": evidence.text},
    )
    return text
