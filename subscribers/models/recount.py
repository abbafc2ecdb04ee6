"""Rebuilding: the counters of lists by state and by cohort, from their subscriptions."""

from __future__ import annotations

import datetime
from collections.abc import Sequence
from typing import Any

from django.db import connection, transaction
from django.db.models import Case, CharField, Count, F, OuterRef, Q, QuerySet, Subquery, Sum, Value, When
from django.db.models.functions import Coalesce, Greatest, TruncMonth

from subscribers.models.cohort import JOINED, LOST_NAMES, CohortCount, Key
from subscribers.models.imports import Import
from subscribers.models.subscription import IMPORTED, Subscription, SubscriptionQuerySet, SubscriptionState
from subscribers.models.subscription_count import SubscriptionCount

StateDifference = tuple[int, str, int, int]
"""Primary key of the list, state, and the counter before and after."""

Cohort = tuple[int, str, str]
"""Primary key of the list, month as `2026-11`, and source."""

CohortDifference = tuple[Cohort, int, int]
"""How many of it are active by its counters, and by the subscriptions."""

#: Nothing is counted, and no counters are added up, until the transaction ends.
LOCK_SUBSCRIPTIONS = "LOCK TABLE subscribers_subscription IN SHARE MODE"
LOCK_COUNTERS = "LOCK TABLE {} IN SHARE ROW EXCLUSIVE MODE"


def rebuild_subscription_counts() -> list[StateDifference]:
    """Recount the states of all lists; those that were wrong. What happened on a day is not known, and stays."""
    with transaction.atomic():
        _lock((LOCK_SUBSCRIPTIONS, LOCK_COUNTERS.format("subscribers_subscriptioncount")))
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


def _lock(statements: Sequence[str]) -> None:
    """SQLite needs no lock: it has one writer."""
    if connection.vendor == "postgresql":
        with connection.cursor() as cursor:
            for statement in statements:
                cursor.execute(statement)


def rebuild_cohort_counts() -> list[CohortDifference]:
    """Correct how many joined, where more or fewer are active than joined and were not lost; those cohorts.

    Whom a cohort has lost, and what was measured, is not known any more: that stays.
    """
    with transaction.atomic():
        _lock((LOCK_SUBSCRIPTIONS, LOCK_COUNTERS.format("subscribers_cohortcount")))
        before, after = _active_by_counters(), _active_by_subscriptions()
        wrong = [key for key in sorted(before.keys() | after.keys()) if before.get(key, 0) != after.get(key, 0)]
        changes: dict[Key, int] = {(*key, JOINED): after.get(key, 0) - before.get(key, 0) for key in wrong}
        CohortCount.objects.add(changes)
    return [(key, before.get(key, 0), after.get(key, 0)) for key in wrong]


def _active_by_counters() -> dict[Cohort, int]:
    rows = CohortCount.objects.filter(name__in=(JOINED, *LOST_NAMES)).order_by()
    groups = rows.values_list("mailing_list", "month", "source").annotate(
        total=Coalesce(Sum("value", filter=Q(name=JOINED)), 0) - Coalesce(Sum("value", filter=~Q(name=JOINED)), 0)
    )
    return {(mailing_list, month, source): total for mailing_list, month, source, total in groups}


def _active_by_subscriptions() -> dict[Cohort, int]:
    rows = with_cohort(Subscription.objects.filter(state=SubscriptionState.ACTIVE).order_by())
    groups = (
        rows.annotate(cohort=TruncMonth("joined_at", tzinfo=datetime.UTC))
        .values_list("mailing_list", "cohort", "cohort_source")
        .annotate(count=Count("pk"))
    )
    return {(mailing_list, f"{month:%Y-%m}", source): count for mailing_list, month, source, count in groups}


def with_cohort(rows: SubscriptionQuerySet) -> QuerySet[Any]:
    """Active subscriptions with `joined_at` and `cohort_source`, as the triggers count them.

    An import joins when it starts, and who asked again did not come by one.
    """
    started = Import.objects.filter(pk=OuterRef("import_pk")).values(at=Coalesce("started_at", "created_at"))[:1]
    return rows.annotate(imported_at=Subquery(started)).annotate(
        # SQLite knows no greatest time of one that is missing.
        joined_at=Coalesce(Greatest("confirmed_at", "imported_at"), "confirmed_at"),
        cohort_source=Case(
            When(import_pk__isnull=False, request_number=0, then=Value(IMPORTED)),
            When(source=IMPORTED, then=Value("")),
            default=F("source"),
            output_field=CharField(),
        ),
    )
