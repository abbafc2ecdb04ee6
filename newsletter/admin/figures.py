"""The four numbers at the top of the first page, each with its trend in words and a small line."""

from __future__ import annotations

import datetime
from collections.abc import Sequence
from dataclasses import dataclass

from django.urls import reverse
from django.utils.formats import number_format
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from newsletter.reports.growth import Period
from newsletter.reports.lines import sparkline
from newsletter.reports.overview import Rate, Rates, recent_rates
from newsletter.sending.auto_pause import COMPLAINT_WARNING
from subscribers.models import Growth

#: Days that a trend is about, and of the small line of sign-ups.
TREND_DAYS, PENDING_DAYS = 7, 30


@dataclass(frozen=True, slots=True, kw_only=True)
class Figure:
    """One number: `value` and `note` in words."""

    label: str
    value: str
    note: str
    line: str
    """Points of the small line; empty if there are too few."""
    url: str
    """Where there is more of it; empty if this user may not see it."""
    trend: str = ""
    """`up` or `down`, with its sign in the note; empty if it stayed the same or is not known."""
    is_warning: bool = False


def figures_of(
    days: Sequence[Period], pending: int, now: datetime.datetime, *, may_see_subscribers: bool
) -> list[Figure]:
    """The numbers; `days` are the last periods of a day each, at least TREND_DAYS. Two queries."""
    rates = recent_rates(now)
    waiting = _pending(days, pending, has_link=may_see_subscribers)
    return [_active(days), waiting, _engagement(rates), _complaints(rates.complaints)]


def percent(share: float) -> str:
    """`11.8%`; two decimals below 1%, because rates of complaints are small."""
    value = 100 * share
    decimals = 1 if abs(value) >= 1 or not value else 2
    # Django cuts off what is left.
    return f"{number_format(round(value, decimals), decimal_pos=decimals)}%"


def _number(value: int) -> str:
    return number_format(value, force_grouping=True)


def _signed(change: float, text: str) -> tuple[str, str]:
    """The trend, and the text of the absolute value with its sign."""
    return ("up", f"▲ +{text}") if change > 0 else ("down", f"▼ −{text}")


def _active(days: Sequence[Period]) -> Figure:
    change = sum(day.won - day.lost for day in days[-TREND_DAYS:])
    trend, text = _signed(change, _number(abs(change))) if change else ("", _("no change"))
    return Figure(
        label=_("Active subscribers"),
        value=_number(days[-1].active),
        note=_("%(change)s in %(days)s days") % {"change": text, "days": TREND_DAYS},
        trend=trend,
        line=sparkline([day.active for day in days]),
        url=reverse("growth"),
    )


def _pending(days: Sequence[Period], pending: int, *, has_link: bool) -> Figure:
    requests = [day.counts.get(Growth.REQUESTED, 0) for day in days[-PENDING_DAYS:]]
    lately = sum(requests[-TREND_DAYS:])
    note = ngettext("%(count)s sign-up in %(days)s days", "%(count)s sign-ups in %(days)s days", lately)
    return Figure(
        label=_("Waiting for confirmation"),
        value=_number(pending),
        note=note % {"count": _number(lately), "days": TREND_DAYS},
        line=sparkline(requests),
        url=f"{reverse('admin:subscribers_subscriber_changelist')}?state=pending" if has_link else "",
    )


def _engagement(rates: Rates) -> Figure:
    rate = rates.engagement
    note, trend = _("nothing sent yet"), ""
    if rate.value is not None:
        note = "" if rates.are_clicks_measured else _("clicks are not measured")
        points = round(100 * (rate.change or 0.0), 1)
        if points:
            trend, text = _signed(points, number_format(abs(points), decimal_pos=1))
            note = " · ".join(filter(None, (_("%(change)s points") % {"change": text}, note)))
    return Figure(
        label=_("Click rate, last 5 issues") if rates.are_clicks_measured else _("Delivered, last 5 issues"),
        value="–" if rate.value is None else percent(rate.value),
        note=note,
        trend=trend,
        line=sparkline(rate.course),
        url=reverse("admin:newsletter_issue_changelist"),
    )


def _complaints(rate: Rate) -> Figure:
    return Figure(
        label=_("Complaint rate, 30 days"),
        value="–" if rate.value is None else percent(rate.value),
        note=_("warning at %(level)s") % {"level": percent(COMPLAINT_WARNING)},
        line=sparkline(rate.course),
        url=reverse("admin:newsletter_issue_changelist"),
        is_warning=rate.value is not None and rate.value > COMPLAINT_WARNING,
    )
