"""Who has been sent an issue: asked before subscribers are removed."""

from __future__ import annotations

from collections.abc import Collection

from newsletter.models import Delivery, Issue


def mailed_subscribers(newsletter: int, subscribers: Collection[int]) -> set[int]:
    """Those of these subscribers that have a delivery of this newsletter (primary keys), in any state."""
    # By the unique index of issue and subscriber.
    issues = list(Issue.objects.filter(newsletter=newsletter).values_list("pk", flat=True))
    found = Delivery.objects.filter(issue__in=issues, subscriber__in=list(subscribers))
    return set(found.values_list("subscriber", flat=True))
