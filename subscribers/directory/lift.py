"""Lifting a suppression: with a reason, which stays in the history."""

from __future__ import annotations

from django.db import transaction

from subscribers.models import ChangeKind, Subscriber, Suppression, fingerprint
from subscribers.profile.history import record_change
from subscribers.suppression import lift_suppressions


def lift_suppression(subscriber: Subscriber, *, words: str, by: str) -> bool:
    """Allow mail to this address again; False if it is not suppressed. Raises ValueError without a reason in words.

    Ended subscriptions stay ended: only the subscriber can subscribe again.
    """
    if not words.strip():
        raise ValueError("Lifting a suppression needs a reason.")
    with transaction.atomic():
        rows = Suppression.objects.filter(fingerprint=fingerprint(subscriber.canonical))
        suppression = rows.select_for_update().first()
        if suppression is None:
            return False
        lift_suppressions(rows, by=by, explanation=words)
        values = {"reason": suppression.reason, "words": words.strip()[:300]}
        record_change(subscriber, ChangeKind.LIFTED, values, by=by)
    return True
