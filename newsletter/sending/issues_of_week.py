"""The issues of a week: which are in one weekly digest, and who got one of them by itself."""

from __future__ import annotations

import datetime
from collections.abc import Sequence

from django.db.models import Exists, OuterRef, Q

from newsletter.models import Delivery, Issue, Send
from subscribers.models import Frequency


def issues_of_week(issue: Issue, *, leaves_out_weekly: bool) -> tuple[int, ...]:
    """As `Audience.issues_of_week`; without a query for an issue that has nothing to do with a digest."""
    if issue.is_digest:
        sends = Send.objects.current().filter(weekly_digest=issue)
    elif leaves_out_weekly:
        sends = Send.objects.awaiting_weekly_digest(issue.newsletter_id).exclude(issue=issue)
    else:
        return ()
    return tuple(sends.order_by("issue").values_list("issue", flat=True))


def has_delivery(issue_pk: int) -> Exists:
    """Whether the subscriber of a subscription has a delivery of the issue."""
    return Exists(Delivery.objects.filter(issue=issue_pk, subscriber=OuterRef("subscriber")))


def has_delivery_of_any(issue_pks: Sequence[int]) -> Q:
    """Whether the subscriber of a subscription has a delivery of one of these issues, sent or not."""
    of_subscriber = Delivery.objects.filter(issue__in=issue_pks)
    # Not by equality: PostgreSQL would read all deliveries of these issues into a hash table, for each chunk.
    same = {"subscriber__gte": OuterRef("subscriber"), "subscriber__lte": OuterRef("subscriber")}
    return Q(Exists(of_subscriber.filter(**same)))


def weekly_until(end: datetime.datetime) -> Q:
    """Whether a subscription got the weekly digest until `end`, the end of a week, when changes took effect."""
    changed = Q(frequency_since__gte=end)
    return (Q(frequency=Frequency.WEEKLY) & ~changed) | (Q(frequency=Frequency.EACH) & changed)
