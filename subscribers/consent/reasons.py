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
    Subscription,
    SubscriptionState,
    record_consents,
)

#: Characters of the free text. With the code of the reason it fits into the column.
MAX_REASON_TEXT = 280


def reason_detail(reason: LeaveReason, text: str) -> str:
    """Code and free text, as a consent stores them."""
    return f"{reason.value}: {text}" if text else reason.value


def store_reason(key: uuid.UUID, detail: str, evidence: Evidence) -> bool:
    """Append a consent with the reason. False if the subscription is not unsubscribed, or has given one since it ended.

    The consent that ended the subscription stays as it is: consents are append-only.
    """
    with transaction.atomic():
        ended = Subscription.objects.with_key(key).filter(state=SubscriptionState.UNSUBSCRIBED)
        subscription = ended.select_for_update(of=("self",)).select_related("subscriber", "mailing_list").first()
        if subscription is None or not may_give_reason(subscription):
            return False
        record_consents(
            ConsentKind.UNSUBSCRIBED,
            [subscription],
            replace(evidence, form=ConsentForm.UNSUBSCRIBE_REASON, detail=detail),
        )
    return True


def may_give_reason(subscription: Subscription) -> bool:
    """Whether the subscriber has unsubscribed, and given no reason since."""
    if subscription.state != SubscriptionState.UNSUBSCRIBED:
        return False
    reasons = Consent.objects.filter(subscription=subscription, form=ConsentForm.UNSUBSCRIBE_REASON)
    return not reasons.filter(created_at__gte=subscription.ended_at or subscription.created_at).exists()
