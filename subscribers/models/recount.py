"""Rebuilding: the counters of lists by state, from their subscriptions."""

from __future__ import annotations

from django.db import connection, transaction
from django.db.models import Count

from subscribers.models.subscription import Subscription
from subscribers.models.subscription_count import SubscriptionCount

StateDifference = tuple[int, str, int, int]
"""Primary key of the list, state, and the counter before and after."""

#: Nothing is counted, and no counters are added up, until the transaction ends.
LOCKS = (
    "LOCK TABLE subscribers_subscription IN SHARE MODE",
    "LOCK TABLE subscribers_subscriptioncount IN SHARE ROW EXCLUSIVE MODE",
)


def rebuild_subscription_counts() -> list[StateDifference]:
    """Recount the states of all lists; those that were wrong. What happened on a day is not known, and stays."""
    with transaction.atomic():
        if connection.vendor == "postgresql":
            with connection.cursor() as cursor:
                for lock in LOCKS:
                    cursor.execute(lock)
        before = _flat(SubscriptionCount.objects.by_state())
        SubscriptionCount.objects.filter(day="").delete()
        groups = Subscription.objects.order_by().values_list("mailing_list", "state").annotate(count=Count("pk"))
        after = {(mailing_list, state): count for mailing_list, state, count in groups}
        SubscriptionCount.objects.bulk_create(
            SubscriptionCount(mailing_list_id=mailing_list, day="", name=state, value=count)
            for (mailing_list, state), count in sorted(after.items())
        )
    return [
        (*key, before.get(key, 0), after.get(key, 0))
        for key in sorted(before.keys() | after.keys())
        if before.get(key, 0) != after.get(key, 0)
    ]


def _flat(by_state: dict[int, dict[str, int]]) -> dict[tuple[int, str], int]:
    return {(mailing_list, state): value for mailing_list, found in by_state.items() for state, value in found.items()}
