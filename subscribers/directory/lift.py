"""Lifting a suppression: with a reason, which stays in the history."""

from __future__ import annotations

from typing import Protocol

from django.db import transaction

from subscribers.models import ChangeKind, Subscriber, Suppression, SuppressionReason, fingerprint
from subscribers.profile.history import record_change


class LiftStep(Protocol):
    """Tells others of a lifted suppression, such as the provider, which keeps a list of its own."""

    def __call__(self, canonical: str, reason: SuppressionReason) -> None:
        """Runs in the transaction that lifts: store what is to be done, and do it later."""


_steps: list[LiftStep] = []


def register_lift(step: LiftStep) -> None:
    """Have this step run for each lifted suppression. A second registration changes nothing."""
    if step not in _steps:
        _steps.append(step)


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
        rows.delete()
        values = {"reason": suppression.reason, "words": words.strip()[:300]}
        record_change(subscriber, ChangeKind.LIFTED, values, by=by)
        for step in _steps:
            step(subscriber.canonical, SuppressionReason(suppression.reason))
    return True
