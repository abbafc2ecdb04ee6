"""Cohorts on the page of growth: who joined in a month, and how many stayed and still read; a table and a CSV."""

from __future__ import annotations

import datetime
from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

from django.http import HttpResponse
from django.utils.formats import date_format, number_format
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext

from newsletter.admin.csv_file import csv_answer
from newsletter.models.rates import MIN_FOR_RATE, percent
from newsletter.reports.cohorts import OTHERS, AtAge, Cohort, cohorts_of
from subscribers.exports.columns import guarded
from subscribers.models import ADDED, AGES, IMPORTED

#: Sources that are no words of a form's address.
SOURCES = {
    "": gettext_lazy("Sign-up page"),
    IMPORTED: gettext_lazy("Import"),
    ADDED: gettext_lazy("Added by an editor"),
    OTHERS: gettext_lazy("Other sources"),
}

#: Months and sources of a CSV: all there are.
CSV_MONTHS, CSV_SOURCES = 1_200, 10_000


@dataclass(frozen=True, slots=True)
class ShownAge:
    """A cohort at one age in words; empty before it has reached it. `reading` is empty where nothing is measured."""

    subscribed: str
    rate: str
    reading: str


@dataclass(frozen=True, slots=True)
class ShownCohort:
    """One row."""

    name: str
    source: str
    joined: str
    ages: tuple[ShownAge, ...]


def cohort_parts(lists: Collection[int], today: datetime.date) -> dict[str, Any]:
    """What the template takes. One query."""
    found = cohorts_of(lists, today)
    return {
        "cohorts": [_shown(cohort) for cohort in found.by_month],
        "cohorts_by_source": [_shown(cohort) for cohort in found.by_source],
        "cohort_ages": [ngettext("After %(n)s month", "After %(n)s months", age) % {"n": age} for age in AGES],
        "min_for_rate": MIN_FOR_RATE,
        "is_reading_measured": any(age and age.measured for cohort in found.by_month for age in cohort.ages),
    }


def _shown(cohort: Cohort) -> ShownCohort:
    return ShownCohort(
        name=date_format(cohort.month, "YEAR_MONTH_FORMAT"),
        source=str(SOURCES.get(cohort.source, cohort.source)) if cohort.source is not None else "",
        joined=_number(cohort.joined),
        ages=tuple(_shown_age(cohort, age) for age in cohort.ages),
    )


def _shown_age(cohort: Cohort, age: AtAge | None) -> ShownAge:
    if age is None:
        return ShownAge("", "", "")
    reading = _("%(reading)s of %(measured)s read") % {
        "reading": _number(age.reading),
        "measured": _number(age.measured),
    }
    if age.measured >= MIN_FOR_RATE:
        reading = f"{reading} ({percent(age.reading, age.measured)})"
    return ShownAge(
        subscribed=_number(age.subscribed),
        # A share of few says nothing.
        rate=percent(age.subscribed, cohort.joined) if cohort.joined >= MIN_FOR_RATE else "",
        reading=reading if age.measured else "",
    )


def _number(value: int) -> str:
    return str(number_format(value, force_grouping=True))


def cohorts_as_csv(lists: Collection[int], today: datetime.date) -> HttpResponse:
    """All cohorts by month and source, the oldest first. Cells of an age that is not reached or measured are empty."""
    ages = [f"{name}_after_{age}_months" for age in AGES for name in ("subscribed", "measured", "reading")]
    cohorts = reversed(cohorts_of(lists, today, CSV_MONTHS, CSV_SOURCES).by_source)
    rows = (
        (
            *(f"{cohort.month:%Y-%m}", guarded(cohort.source or "sign-up"), cohort.joined),
            *(cell for age in cohort.ages for cell in _cells(age)),
        )
        for cohort in cohorts
    )
    return csv_answer("cohorts", ["month", "source", "joined", *ages], rows)


def _cells(age: AtAge | None) -> tuple[int | str, int | str, int | str]:
    if age is None:
        return "", "", ""
    return (age.subscribed, age.measured, age.reading) if age.measured else (age.subscribed, "", "")
