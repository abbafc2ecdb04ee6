"""The optional reason that a subscriber gives after unsubscribing."""

from __future__ import annotations

import uuid
from dataclasses import replace

from django.db import transaction

from subscribers.models import (
    Consent,
    ConsentForm,
    ConsentKind,
    Evidence,
    LeaveReason,
    MailLink,
    Subscription,
    SubscriptionState,
    record_consents,
)

#: Characters of the free text. With the code of the reason it fits into the column.
MAX_REASON_TEXT = 280


def reason_detail(reason: LeaveReason, text: str) -> str:
    """Code and free text, as a consent stores them."""
    return f"{reason.value}: {text}" if text else reason.value


def store_reason(key: uuid.UUID, reason: LeaveReason, text: str, evidence: Evidence) -> bool:
    """Append a consent with the reason. False if the subscription is not unsubscribed, or has given one since it ended.

    The consent that ended the subscription stays as it is: consents are append-only. If that names a mail, this one
    names the same.
    """
    with transaction.atomic():
        ended = Subscription.objects.with_key(key).filter(state=SubscriptionState.UNSUBSCRIBED)
        subscription = ended.select_for_update(of=("self",)).select_related("subscriber", "mailing_list").first()
        if subscription is None or not may_give_reason(subscription):
            return False
        record_consents(
            ConsentKind.UNSUBSCRIBED,
            [subscription],
            replace(
                evidence,
                form=ConsentForm.UNSUBSCRIBE_REASON,
                detail=reason_detail(reason, text),
                leave_reason=reason.value,
                mail_link=_link_that_ended(subscription),
            ),
        )
    return True


def _link_that_ended(subscription: Subscription) -> MailLink | None:
    """The link in a mail by which the subscription was ended last, if it was by one."""
    ends = Consent.objects.filter(subscription=subscription, kind=ConsentKind.UNSUBSCRIBED)
    last = ends.exclude(form=ConsentForm.UNSUBSCRIBE_REASON).order_by("-pk")
    reference = last.values_list("mail_reference", flat=True).first()
    return None if reference is None else MailLink(subscription.key, reference)


def may_give_reason(subscription: Subscription) -> bool:
    """Whether the subscriber has unsubscribed, and given no reason since."""
    if subscription.state != SubscriptionState.UNSUBSCRIBED:
        return False
    reasons = Consent.objects.filter(subscription=subscription, form=ConsentForm.UNSUBSCRIBE_REASON)
    return not reasons.filter(created_at__gte=subscription.ended_at or subscription.created_at).exists()
