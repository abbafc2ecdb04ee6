"""Counters of a list: its subscriptions by state, and how many were won and lost on each day.

Database triggers on the table of subscriptions keep them, in the transaction of what they count.
"""

from __future__ import annotations

import datetime
import enum
from collections.abc import Iterable
from typing import ClassVar

from django.db import models
from django.db.models import Sum

from subscribers.models.counter_rows import fold_counters
from subscribers.models.mailing_list import MailingList


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


def fold_subscription_counts() -> bool:
    """Add up what connections have counted; see `fold_counters`."""
    return fold_counters(SubscriptionCount, ("mailing_list_id", "day", "name"))
