"""Counters of a list: its subscriptions by state, and how many were won and lost on each day.

Database triggers on the table of subscriptions keep them, in the transaction of what they count.
"""

from __future__ import annotations

import datetime
import enum
from collections.abc import Iterable
from typing import ClassVar

from django.db import connection, models
from django.db.models import Sum

from subscribers.models.mailing_list import MailingList

#: Rows of connections that are added up in one transaction.
FOLDED_ROWS = 2_000


class Growth(enum.StrEnum):
    """What changes the number of active subscriptions on a day; names of counters."""

    REQUESTED = "requested"
    """Signed up, and waits for the confirmation. Changes nothing yet."""
    JOINED = "joined"
    IMPORTED = "imported"
    LEFT = "left"
    SUPPRESSED = "suppressed"
    """Ended by a bounce, a complaint or an editor."""
    REMOVED = "removed"
    """Erased, or undone with its import."""


#: Names of counters that make the number of active subscriptions larger; others, except requests, make it smaller.
WON = (Growth.JOINED, Growth.IMPORTED)
LOST = (Growth.LEFT, Growth.SUPPRESSED, Growth.REMOVED)


class SubscriptionCountQuerySet(models.QuerySet["SubscriptionCount"]):
    def by_state(self, lists: Iterable[int] | None = None) -> dict[int, dict[str, int]]:
        """How many subscriptions each list has in each state; of all lists, or of these."""
        rows = self.filter(day="") if lists is None else self.filter(day="", mailing_list__in=list(lists))
        found: dict[int, dict[str, int]] = {}
        counted = rows.order_by().values_list("mailing_list", "name").annotate(total=Sum("value"))
        for mailing_list, name, value in counted:
            found.setdefault(mailing_list, {})[name] = value
        return found

    def growth(self, lists: Iterable[int], since: datetime.date) -> dict[str, dict[str, int]]:
        """What happened on each day in UTC since then, as `2026-11-20`; days on which nothing did are missing."""
        rows = self.filter(mailing_list__in=list(lists), day__gte=since.isoformat()).order_by()
        found: dict[str, dict[str, int]] = {}
        for day, name, value in rows.values_list("day", "name").annotate(total=Sum("value")):
            found.setdefault(day, {})[name] = value
        return found


class SubscriptionCount(models.Model):
    """One counter, or the part of it that one connection has counted. Without a day: a state."""

    mailing_list = models.ForeignKey(
        MailingList, on_delete=models.CASCADE, db_constraint=False, db_index=False, related_name="+"
    )
    day = models.CharField(max_length=10, blank=True)
    name = models.CharField(max_length=16)
    writer = models.IntegerField(default=0)
    value = models.BigIntegerField(default=0)

    objects: ClassVar[SubscriptionCountQuerySet] = SubscriptionCountQuerySet.as_manager()  # type: ignore[assignment]

    class Meta:
        default_permissions = ()
        constraints = [
            models.UniqueConstraint(fields=["mailing_list", "day", "name", "writer"], name="subscription_count_once"),
        ]
        indexes = [
            models.Index(fields=["id"], condition=~models.Q(writer=0), name="subscription_count_connection"),
        ]

    def __str__(self) -> str:
        return f"{self.day} {self.name}: {self.value}"


FOLD = """
    WITH taken AS (
        DELETE FROM subscribers_subscriptioncount WHERE id IN (
            SELECT id FROM subscribers_subscriptioncount WHERE writer <> 0 ORDER BY id LIMIT %s FOR UPDATE SKIP LOCKED)
        RETURNING mailing_list_id, day, name, value)
    INSERT INTO subscribers_subscriptioncount (mailing_list_id, day, name, writer, value)
    SELECT mailing_list_id, day, name, 0, sum(value) FROM taken GROUP BY 1, 2, 3 ORDER BY 1, 2, 3
    ON CONFLICT (mailing_list_id, day, name, writer)
    DO UPDATE SET value = subscribers_subscriptioncount.value + excluded.value
"""


def fold_subscription_counts() -> bool:
    """Add up what connections have counted. Whether there is more. Rows that are being changed are left."""
    if connection.vendor != "postgresql" or not SubscriptionCount.objects.exclude(writer=0).exists():
        return False
    with connection.cursor() as cursor:
        cursor.execute(FOLD, [FOLDED_ROWS])
    return SubscriptionCount.objects.exclude(writer=0).count() > FOLDED_ROWS
