"""Cohorts: how many joined a list in a month from a source, and how many of them it has lost by which age.

Database triggers on the table of subscriptions keep the counters, in the transaction of what they count. A subscription
is in the cohort of the month, in UTC, in which it became active the last time: who comes back begins anew there. The
end of the third month after it is the age of 3 months. What happens later changes nothing about an age that is over,
erasures included.
"""

from __future__ import annotations

import enum
from collections.abc import Collection, Iterable, Mapping
from typing import ClassVar

from django.db import connection, models, transaction
from django.db.models import Sum

from subscribers.models.counter_rows import fold_counters
from subscribers.models.mailing_list import MailingList

#: Ages in months at which a cohort is looked at.
AGES = (3, 6, 12)

#: Names of counters. LOST and an age: lost by the end of that month, and not by that of the age before it.
JOINED, LOST_BY, LOST_LATER = "joined", "lost_", "lost_later"
LOST_NAMES = (*(f"{LOST_BY}{age}" for age in AGES), LOST_LATER)


class Measured(enum.StrEnum):
    """What is measured once of those who are still subscribed at an age; prefixes of names."""

    AGREED = "measured_"
    """Those who agree that it is stored what they click."""
    READING = "reading_"
    """Those of them who clicked lately."""


Key = tuple[int, str, str, str]
"""Primary key of the list, month, source and name."""


class CohortCountQuerySet(models.QuerySet["CohortCount"]):
    def since(self, lists: Collection[int], month: str) -> dict[tuple[str, str], dict[str, int]]:
        """The counters by month and source, from this month on, of these lists together. One query."""
        rows = self.filter(mailing_list__in=list(lists), month__gte=month).order_by()
        found: dict[tuple[str, str], dict[str, int]] = {}
        counted = rows.values_list("month", "source", "name").annotate(total=Sum("value"))
        for of_month, source, name, value in counted:
            found.setdefault((of_month, source), {})[name] = value
        return found

    def add(self, counts: Mapping[Key, int]) -> None:
        """Add to counters, in the transaction of what is counted."""
        for (mailing_list, month, source, name), value in sorted(counts.items()):
            with connection.cursor() as cursor:
                cursor.execute(ADD, [mailing_list, month, source, name, value])


class CohortCount(models.Model):
    """One counter, or the part of it that one connection has counted."""

    mailing_list = models.ForeignKey(
        MailingList, on_delete=models.CASCADE, db_constraint=False, db_index=False, related_name="+"
    )
    month = models.CharField(max_length=7)
    source = models.CharField(max_length=60, blank=True)
    name = models.CharField(max_length=12)
    writer = models.IntegerField(default=0)
    value = models.BigIntegerField(default=0)

    objects: ClassVar[CohortCountQuerySet] = CohortCountQuerySet.as_manager()  # type: ignore[assignment]

    class Meta:
        default_permissions = ()
        constraints = [
            models.UniqueConstraint(
                fields=["mailing_list", "month", "source", "name", "writer"], name="cohort_count_once"
            ),
        ]
        indexes = [
            models.Index(fields=["id"], condition=~models.Q(writer=0), name="cohort_count_connection"),
        ]

    def __str__(self) -> str:
        return f"{self.month} {self.source} {self.name}: {self.value}"


TABLE = "subscribers_cohortcount"
_COLUMNS = "mailing_list_id, month, source, name, writer, value"
_ON_CONFLICT = f"""
    ON CONFLICT (mailing_list_id, month, source, name, writer)
    DO UPDATE SET value = {TABLE}.value + excluded.value
"""
#: The names in these statements are constants of this module.
ADD = f"INSERT INTO {TABLE} ({_COLUMNS}) VALUES (%s, %s, %s, %s, 0, %s) {_ON_CONFLICT}"  # noqa: S608


def fold_cohort_counts() -> bool:
    """Add up what connections have counted. Whether there is more."""
    return fold_counters(CohortCount, ("mailing_list_id", "month", "source", "name"))


def forget_sources(sources: Iterable[str]) -> None:
    """Count what came from these sources as from none: visitors may write anything into the address of a form.

    The sums of the months stay as they are.
    """
    with transaction.atomic():
        for source in sorted(set(sources) - {""}):
            rows = CohortCount.objects.filter(source=source).order_by("pk")
            taken = list(rows.select_for_update().values_list("pk", "mailing_list", "month", "name", "value"))
            counts: dict[Key, int] = {}
            for _pk, mailing_list, month, name, value in taken:
                key = (mailing_list, month, "", name)
                counts[key] = counts.get(key, 0) + value
            CohortCount.objects.filter(pk__in=[row[0] for row in taken]).delete()
            CohortCount.objects.add(counts)
