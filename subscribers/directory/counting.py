"""Counts for pages: exact while they are small, then an estimate, and named so.

Counting a million rows costs more than the page around the number.
"""

from __future__ import annotations

import enum
import json
from dataclasses import dataclass
from typing import Any

from django.db import connection
from django.db.models import QuerySet
from django.utils.formats import number_format
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

#: Rows that a page counts.
PAGE_CAP = 1000

#: So many times as many rows as a page counts are estimated without counting them.
CERTAINLY = 20

#: Rows that a confirmation counts.
CONFIRMATION_CAP = 100_000


class Precision(enum.Enum):
    """How well a number is known."""

    EXACT = "exact"
    ABOUT = "about"
    MORE_THAN = "more than"


@dataclass(frozen=True, slots=True)
class Count:
    """A number of rows."""

    number: int
    precision: Precision = Precision.EXACT

    @property
    def words(self) -> str:
        """The number as it is shown: `340`, `about 340,000` or `more than 1,000`."""
        number = number_format(self.number, use_l10n=True, force_grouping=True)
        if self.precision is Precision.ABOUT:
            return _("about %(number)s") % {"number": number}
        if self.precision is Precision.MORE_THAN:
            return _("more than %(number)s") % {"number": number}
        return number

    @property
    def subscribers(self) -> str:
        """The number of subscribers in words."""
        return ngettext("%(number)s subscriber", "%(number)s subscribers", self.number) % {"number": self.words}


def count_rows(rows: QuerySet[Any], cap: int = PAGE_CAP) -> Count:
    """How many rows there are: exact up to `cap`; above it the estimate of the planner, if the database has one."""
    keys = rows.order_by().values("pk")
    estimate = _estimate(keys)
    if estimate < CERTAINLY * cap:
        number = keys[: cap + 1].count()
        if number <= cap:
            return Count(number)
    # A planner without fresh statistics may think of fewer rows than were counted.
    return Count(_rounded(estimate), Precision.ABOUT) if estimate > cap else Count(cap, Precision.MORE_THAN)


def _estimate(keys: QuerySet[Any, Any]) -> int:
    """What the planner expects; 0 if the database tells no such number."""
    if connection.vendor != "postgresql":
        return 0
    plan = keys.explain(format="json")
    # Empty where Django knows without a query that there are no rows.
    return int(json.loads(plan)[0]["Plan"]["Plan Rows"]) if plan else 0


def _rounded(number: int) -> int:
    """To two digits: more would promise what an estimate does not know."""
    return int(round(number, 2 - len(str(number))))
