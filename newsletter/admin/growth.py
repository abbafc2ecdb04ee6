"""The growth of mailing lists: active subscriptions over time, with what was won and lost; a page and a CSV."""

from __future__ import annotations

import csv
import datetime
import io
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

from django.contrib import admin
from django.core.exceptions import BadRequest, PermissionDenied
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.urls import reverse
from django.utils import timezone
from django.utils.formats import date_format, number_format
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from django.views.decorators.http import require_safe

from newsletter.admin.cohorts import cohort_parts, cohorts_as_csv
from newsletter.reports.growth import (
    Period,
    Step,
    active_and_pending,
    first_day,
    growth_of,
    suppressions_by_reason,
)
from newsletter.reports.lines import area, grid, points, scale
from subscribers.admin.filters import MAX_KEY_DIGITS, refusal
from subscribers.models import LOST, WON, Growth, MailingList, SuppressionReason

#: The permission to see it.
VIEW_PERMISSION = "newsletter.view_issue"

#: Periods of each page: its table has at most 49 rows.
PERIODS = {Step.DAY: 30, Step.WEEK: 26, Step.MONTH: 24}

STEPS = {Step.DAY: gettext_lazy("Days"), Step.WEEK: gettext_lazy("Weeks"), Step.MONTH: gettext_lazy("Months")}

#: Headings of the counters.
LABELS = {
    Growth.JOINED: gettext_lazy("Joined"),
    Growth.IMPORTED: gettext_lazy("Imported"),
    Growth.LEFT: gettext_lazy("Unsubscribed"),
    Growth.SUPPRESSED: gettext_lazy("Suppressed"),
    Growth.REMOVED: gettext_lazy("Removed"),
}

#: Dates below a chart.
DATES = 6


@dataclass(frozen=True, slots=True, kw_only=True)
class Chart:
    """What the template of a chart needs: points in a box, the words around it, and the rows of its table."""

    line: str
    area: str
    grid: str
    sides: Sequence[str]
    """Labels of the scale, the highest first."""
    dates: Sequence[str]
    sentence: str
    """The result in words."""
    sums: Sequence[tuple[str, str]]
    """What was won and lost in all, with a sign; those that are zero are missing."""
    rows: Sequence[tuple[str, Period, Sequence[int]]]
    """The newest period first, with its name and a number for each of `LABELS`; empty without a table."""


def today() -> datetime.date:
    """Days of growth are days in UTC, as the database counts them."""
    return timezone.now().astimezone(datetime.UTC).date()


def chart_of(periods: Sequence[Period], step: Step, *, with_table: bool) -> Chart:
    """The chart of periods, the oldest first; at least one."""
    active = [period.active for period in periods]
    sides = scale(active)
    line = points(active, sides[0], sides[-1])
    named = periods[:: max(1, (len(periods) - 1) // (DATES - 1))]
    sentence = _("Active subscribers: %(first)s at the end of %(from)s, %(last)s now.") % {
        "first": _number(active[0]),
        "from": _short_name(periods[0], step),
        "last": _number(active[-1]),
    }
    return Chart(
        line=line,
        area=area(line),
        grid=grid(len(sides)),
        sides=[_number(round(side)) for side in reversed(sides)],
        dates=[_short_name(period, step) for period in named],
        sentence=sentence,
        sums=_sums(periods),
        rows=_rows(periods, step) if with_table else [],
    )


def _rows(periods: Sequence[Period], step: Step) -> list[tuple[str, Period, list[int]]]:
    return [
        (_name(period, step), period, [period.counts.get(name, 0) for name in LABELS]) for period in reversed(periods)
    ]


def _sums(periods: Sequence[Period]) -> list[tuple[str, str]]:
    found = []
    for name, label in LABELS.items():
        if total := sum(period.counts.get(name, 0) for period in periods):
            found.append((f"{'+' if name in WON else '−'}{_number(total)}", str(label).lower()))
    return found


def _number(value: int) -> str:
    return number_format(value, force_grouping=True)


def _short_name(period: Period, step: Step) -> str:
    return date_format(period.first, "YEAR_MONTH_FORMAT" if step is Step.MONTH else "MONTH_DAY_FORMAT")


def _name(period: Period, step: Step) -> str:
    if step is Step.MONTH:
        return date_format(period.first, "YEAR_MONTH_FORMAT")
    name = date_format(period.first, "DATE_FORMAT")
    return name if step is Step.DAY else _("Week of %(date)s") % {"date": name}


@dataclass(frozen=True, slots=True)
class _Choice:
    """What the query string asks for."""

    step: Step
    mailing_list: int | None

    @classmethod
    def of(cls, request: HttpRequest) -> _Choice:
        """Raises BadRequest for another parameter or value."""
        if unknown := request.GET.keys() - {"by", "list"}:
            raise BadRequest(f"unknown parameter {min(unknown)!r}")
        by, key = request.GET.get("by", Step.WEEK.value), request.GET.get("list", "")
        if by not in list(Step) or (key and not (key.isascii() and key.isdecimal() and len(key) <= MAX_KEY_DIGITS)):
            raise BadRequest("unknown value of 'by' or 'list'")
        return cls(Step(by), int(key) if key else None)

    def query(self, **changes: object) -> str:
        values = {"by": self.step.value, "list": self.mailing_list or "", **changes}
        return urlencode({name: value for name, value in values.items() if value})


@require_safe
def show_growth(request: HttpRequest) -> HttpResponse:
    """The page, or the answer 400."""
    return _answer(request, _page)


@require_safe
def show_growth_csv(request: HttpRequest) -> HttpResponse:
    """The table of the page as CSV, the oldest period first. Names of columns do not depend on the language."""
    return _answer(request, _csv)


@require_safe
def show_cohorts_csv(request: HttpRequest) -> HttpResponse:
    """The cohorts of the page as CSV, by month and source."""
    return _answer(request, _cohorts_csv)


def _answer(request: HttpRequest, view: Any) -> HttpResponse:
    if not request.user.has_perm(VIEW_PERMISSION):
        raise PermissionDenied
    try:
        choice = _Choice.of(request)
    except BadRequest as error:
        return refusal(request, error)
    lists = dict(MailingList.objects.order_by("name", "pk").values_list("pk", "name"))
    chosen = list(lists) if choice.mailing_list is None else [key for key in lists if key == choice.mailing_list]
    active, _pending = active_and_pending(chosen)
    periods = growth_of(chosen, today(), choice.step, PERIODS[choice.step], active=active)
    answer: HttpResponse = view(request, choice, lists, periods)
    return answer


def _page(request: HttpRequest, choice: _Choice, lists: dict[int, str], periods: Sequence[Period]) -> HttpResponse:
    since = first_day(today(), choice.step, PERIODS[choice.step])
    reasons = suppressions_by_reason(None if choice.mailing_list is None else [choice.mailing_list], since)
    labels = dict(SuppressionReason.choices)
    url = reverse("growth")
    context = admin.site.each_context(request) | {
        "title": _("Growth"),
        "chart": chart_of(periods, choice.step, with_table=True),
        "labels": [(label, name in LOST) for name, label in LABELS.items()],
        "steps": [
            (label, f"{url}?{choice.query(by=step.value)}", step is choice.step) for step, label in STEPS.items()
        ],
        "step": choice.step.value,
        "lists": list(lists.items()) if len(lists) > 1 else [],
        "mailing_list": choice.mailing_list,
        "reasons": [(labels.get(code, code or "–"), count) for code, count in reasons.items()],
        "since": date_format(since, "DATE_FORMAT"),
        "csv_url": f"{reverse('growth_csv')}?{choice.query()}",
        **cohort_parts(lists if choice.mailing_list is None else [choice.mailing_list], today()),
        "cohorts_csv_url": f"{reverse('growth_cohorts_csv')}?{choice.query(by='')}",
    }
    return TemplateResponse(request, "admin/newsletter/growth.html", context)


def _csv(request: HttpRequest, choice: _Choice, lists: dict[int, str], periods: Sequence[Period]) -> HttpResponse:
    out = io.StringIO()
    writer = csv.writer(out)
    writer.writerow(["from", "to", "active", *(name.value for name in LABELS), "requested"])
    for period in periods:
        counts = [period.counts.get(name, 0) for name in (*LABELS, Growth.REQUESTED)]
        writer.writerow([period.first, min(period.last, today()), period.active, *counts])
    response = HttpResponse(out.getvalue(), content_type="text/csv; charset=utf-8")
    response["Content-Disposition"] = f'attachment; filename="growth-by-{choice.step.value}.csv"'
    return response


def _cohorts_csv(
    request: HttpRequest, choice: _Choice, lists: dict[int, str], periods: Sequence[Period]
) -> HttpResponse:
    return cohorts_as_csv(lists if choice.mailing_list is None else [choice.mailing_list], today())
