"""Cohorts: of those who joined in a month, who is still subscribed and who still reads. Read from counters."""

from __future__ import annotations

import datetime
from collections import Counter
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass

from subscribers.models import AGES, JOINED, CohortCount, Measured
from subscribers.models.cohort import LOST_BY

#: Months that a page shows; the oldest of them have reached every age for a year.
MONTHS = 24

#: Sources that are shown by their names; others are added up.
SOURCES = 6

#: The source of those that are added up. No subscription has it: sources have no spaces around them.
OTHERS = " others"


@dataclass(frozen=True, slots=True, kw_only=True)
class AtAge:
    """A cohort at the end of a month. `measured` 0: none agreed that clicks are stored, or nothing was measured."""

    subscribed: int
    measured: int
    reading: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Cohort:
    """Those who joined in one month; `source` None: from all sources."""

    month: datetime.date
    source: str | None
    joined: int
    ages: tuple[AtAge | None, ...]
    """For each of AGES; None for one that it has not reached."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Cohorts:
    """The newest month first; in `by_source`, the largest sources of each month first."""

    by_month: tuple[Cohort, ...]
    by_source: tuple[Cohort, ...]


def cohorts_of(lists: Collection[int], today: datetime.date, months: int = MONTHS, sources: int = SOURCES) -> Cohorts:
    """The cohorts of the last months of these lists together. One query."""
    first = _month_before(today, months - 1)
    counts = CohortCount.objects.since(lists, f"{first:%Y-%m}")
    named = _largest_sources(counts, sources)
    by_month: dict[str, Counter[str]] = {}
    by_source: dict[tuple[str, str], Counter[str]] = {}
    for (month, source), names in counts.items():
        by_month.setdefault(month, Counter()).update(names)
        by_source.setdefault((month, source if source in named else OTHERS), Counter()).update(names)
    rows = [_cohort(month, None, names, today) for month, names in by_month.items()]
    parts = [_cohort(month, source, names, today) for (month, source), names in by_source.items()]
    return Cohorts(by_month=_sorted(rows), by_source=_sorted(parts))


def _sorted(rows: Iterable[Cohort]) -> tuple[Cohort, ...]:
    """Cohorts that none is known to have joined are left out: those of whom only the end was counted."""
    kept = [row for row in rows if row.joined > 0]
    return tuple(sorted(kept, key=lambda row: (-row.month.toordinal(), row.source == OTHERS, -row.joined, row.source)))


def _largest_sources(counts: Mapping[tuple[str, str], Mapping[str, int]], limit: int) -> set[str]:
    joined: Counter[str] = Counter()
    for (_month, source), names in counts.items():
        joined[source] += names.get(JOINED, 0)
    return {source for source, _count in sorted(joined.items(), key=lambda item: (-item[1], item[0]))[:limit]}


def _cohort(month: str, source: str | None, names: Mapping[str, int], today: datetime.date) -> Cohort:
    first = datetime.date(int(month[:4]), int(month[5:7]), 1)
    joined = names.get(JOINED, 0)
    subscribed, ages = joined, list[AtAge | None]()
    for age in AGES:
        subscribed -= names.get(f"{LOST_BY}{age}", 0)
        ages.append(
            AtAge(
                subscribed=max(0, subscribed),
                measured=names.get(f"{Measured.AGREED}{age}", 0),
                reading=names.get(f"{Measured.READING}{age}", 0),
            )
            if _month_before(today, age) > first
            else None
        )
    return Cohort(month=first, source=source, joined=joined, ages=tuple(ages))


def _month_before(day: datetime.date, months: int) -> datetime.date:
    number = day.year * 12 + day.month - 1 - months
    return datetime.date(number // 12, number % 12 + 1, 1)
