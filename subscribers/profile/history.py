"""The history of a subscriber: one row for each change of what is known."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from subscribers.models import Change, ChangeKind, Subscriber, Subscription


def record_changes(
    subscriptions: Iterable[Subscription], kind: ChangeKind, values: Mapping[str, Any], *, by: str
) -> None:
    """Append the same change for each of these subscriptions. `by` is an editor; empty: the subscriber."""
    Change.objects.bulk_create(
        [
            Change(
                subscriber_id=subscription.subscriber_id,
                subscription=subscription,
                kind=kind,
                values=dict(values),
                by=by[:150],
            )
            for subscription in subscriptions
        ],
        batch_size=500,
    )


def record_change(subscriber: Subscriber, kind: ChangeKind, values: Mapping[str, Any], *, by: str) -> None:
    """Append a change of the subscriber, and not of one subscription."""
    Change.objects.create(subscriber=subscriber, kind=kind, values=dict(values), by=by[:150])
