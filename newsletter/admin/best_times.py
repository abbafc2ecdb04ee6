"""The page about the best day and hour: what sends say about it, with how much they differ."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from django.http import HttpRequest, HttpResponse
from django.utils import timezone
from django.utils.formats import number_format
from django.utils.translation import gettext as _
from django.utils.translation import ngettext
from django.views.decorators.http import require_safe

from newsletter.admin.report_choice import Choice, answer, page
from newsletter.admin.time_format import zone_of
from newsletter.models import EngagementSource, Weekday
from newsletter.reports.best_times import (
    HOURS,
    MIN_IN_PART,
    MIN_SENDS,
    PART_HOURS,
    SENDS,
    Comparison,
    Finding,
    Spread,
    WeekPart,
    best_times,
)

#: Shades of the cells with clicks.
SHADES = 5


@dataclass(frozen=True, slots=True)
class WeekPartRow:
    """A part of the week in words."""

    name: str
    sends: int
    median: str
    span: str
    is_best: bool


@dataclass(frozen=True, slots=True)
class Cell:
    """Clicks in one hour of the week; `shade` is 0 for none, SHADES for the most."""

    clicks: int
    shade: int


@require_safe
def show_best_times(request: HttpRequest) -> HttpResponse:
    """The page, or the answer 400."""
    return answer(request, _page, with_period=False)


def _page(request: HttpRequest, choice: Choice) -> HttpResponse:
    newsletter = choice.newsletter
    zone = zone_of(newsletter.time_zone) if newsletter else zone_of("UTC")
    found = best_times(newsletter.pk, zone, timezone.now()) if newsletter else None
    comparison = found.comparison if found else None
    return page(
        request,
        choice,
        _("Best day and hour"),
        "admin/newsletter/best_times.html",
        sentences=sentences_of(comparison) if comparison else [],
        week_parts=[_row(week_part, spread, comparison) for week_part, spread in comparison.week_parts]
        if comparison
        else [],
        hours=[f"{hour:02}" for hour in range(24)],
        grid=_grid(found.by_hour) if found and found.by_hour else [],
        grid_sentence=_grid_sentence(found.by_hour) if found and found.by_hour else "",
        is_off=newsletter is not None and newsletter.engagement_source == EngagementSource.NONE,
        zone=zone.key,
        max_sends=SENDS,
        first_hours=HOURS,
    )


def sentences_of(comparison: Comparison) -> list[str]:
    """What can be said, and how sure it is."""
    finding = comparison.finding
    if finding is Finding.TOO_FEW:
        sentence = ngettext(
            "Not enough sends to tell: %(sends)s send whose clicks were counted, and at least %(least)s are needed.",
            "Not enough sends to tell: %(sends)s sends whose clicks were counted, and at least %(least)s are needed.",
            comparison.sends,
        )
        return [sentence % {"sends": comparison.sends, "least": MIN_SENDS}]
    if finding is Finding.ONE_PART:
        sentence = _("All %(sends)s sends started on %(time)s, so there is nothing to compare.")
        return [sentence % {"sends": comparison.sends, "time": week_part_name(comparison.week_parts[0][0])}]
    if comparison.best is None or comparison.best_spread is None or comparison.others is None:
        sentence = _("Not enough sends to tell: no two parts of the week have %(least)s sends each.")
        return [sentence % {"least": MIN_IN_PART}]
    return [_comparing(comparison.best, comparison.best_spread, comparison.others), _certainty(finding)]


def _comparing(best: WeekPart, spread: Spread, others: Spread) -> str:
    return _(
        "Sends on %(time)s got %(median)s clicks for each 100 mails (median of %(sends)s sends, from %(lowest)s to "
        "%(highest)s); other sends %(other_median)s (median of %(other_sends)s sends, from %(other_lowest)s to "
        "%(other_highest)s)."
    ) % {
        "time": week_part_name(best),
        "median": _number(spread.median),
        "sends": spread.sends,
        "lowest": _number(spread.lowest),
        "highest": _number(spread.highest),
        "other_median": _number(others.median),
        "other_sends": others.sends,
        "other_lowest": _number(others.lowest),
        "other_highest": _number(others.highest),
    }


def _certainty(finding: Finding) -> str:
    if finding is Finding.CLEAR:
        return _(
            "Three in four of these sends got more clicks than three in four of the others. It may have other "
            "reasons than the time, such as the stories."
        )
    return _("The sends differ among themselves by more than that: the time may not be the reason.")


def week_part_name(week_part: WeekPart) -> str:
    """`Tuesday, 06:00–12:00`."""
    weekday, part = week_part
    return _("%(weekday)s, %(from)s–%(to)s") % {
        "weekday": str(Weekday(weekday).label),
        "from": f"{part * PART_HOURS:02}:00",
        "to": f"{(part + 1) * PART_HOURS:02}:00",
    }


def _row(week_part: WeekPart, spread: Spread, comparison: Comparison) -> WeekPartRow:
    return WeekPartRow(
        name=week_part_name(week_part),
        sends=spread.sends,
        median=_number(spread.median),
        span=f"{_number(spread.lowest)}–{_number(spread.highest)}",
        is_best=week_part == comparison.best,
    )


def _number(value: float) -> str:
    return str(number_format(value, decimal_pos=1))


def _grid(by_hour: Mapping[tuple[int, int], int]) -> list[tuple[str, list[Cell]]]:
    """The days of the week with their 24 hours."""
    most = max(by_hour.values())

    def cell(clicks: int) -> Cell:
        return Cell(clicks, -(-SHADES * clicks // most))

    return [(str(day.label), [cell(by_hour.get((day, hour), 0)) for hour in range(24)]) for day in Weekday]


def _grid_sentence(by_hour: Mapping[tuple[int, int], int]) -> str:
    """The result of the grid in words."""
    (day, hour), clicks = max(by_hour.items(), key=lambda item: (item[1], -item[0][0], -item[0][1]))
    return _("Most clicks came on %(weekday)s between %(from)s and %(to)s: %(clicks)s of %(all)s.") % {
        "weekday": str(Weekday(day).label),
        "from": f"{hour:02}:00",
        "to": f"{(hour + 1) % 24:02}:00",
        "clicks": number_format(clicks, force_grouping=True),
        "all": number_format(sum(by_hour.values()), force_grouping=True),
    }
