"""The numbers of a report in words: tiles, the table of places, the chart, bounces, mail domains, the comparison."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

from django.utils.formats import number_format
from django.utils.http import urlencode
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from newsletter.admin.line_chart import LineChart, line_chart
from newsletter.admin.pages import page_url
from newsletter.admin.time_format import zone_of
from newsletter.models import EventType, Send
from newsletter.models.rates import MIN_FOR_RATE, percent
from newsletter.reports.bounce_table import BounceRow
from newsletter.reports.comparison import Comparison
from newsletter.reports.first_hours import HOURS, FirstHours
from newsletter.reports.issue_report import IssueReport
from newsletter.reports.mail_domains import LIMIT, DomainRow
from newsletter.reports.places import INDEXED_PLACES, STATES_WITH_REASONS, Group, PlaceRow
from newsletter.sending.audience_words import exclusions_in_words

#: The patterns of the chart's lines.
STYLES = {EventType.DELIVERED: 1, EventType.OPENED: 2, EventType.CLICKED: 3}

#: Differences in percentage points that are shown, and below which two rates are the same.
SMALLEST_DIFFERENCE = 0.05


@dataclass(frozen=True, slots=True)
class Tile:
    """One number: `lines` below it name what it is a share of, and how it compares."""

    label: str
    value: str
    lines: tuple[str, ...]
    is_growing: bool = True
    """Whether it can only become more while the send runs."""


@dataclass(frozen=True, slots=True)
class ShownDomain:
    """A mail domain in words; `bar` is the share of the complaint limit that is reached, 0 to 100."""

    row: DomainRow
    clicked: str
    complained: str
    bar: int


@dataclass(frozen=True, slots=True)
class HourRow:
    """One hour of the chart; `is_main` for those that a printed table keeps."""

    hours: int
    end: str
    counts: tuple[int, ...]
    is_main: bool


def grouped(count: int) -> str:
    """`12,346`."""
    return str(number_format(count, force_grouping=True))


def parts_of(send: Send, report: IssueReport, *, may_list: bool) -> dict[str, Any]:
    """What the template of the numbers takes. Without `may_list` no recipients and no words about them are shown."""
    return {
        "tiles": list(_tiles(send, report)),
        "places": [_place(send, row, may_list) for row in report.places],
        "excluded": exclusions_in_words(report.excluded),
        "chart": _chart(report.hours),
        "chart_sentence": _chart_sentence(report.hours),
        "chart_names": [str(event_type.label) for event_type in report.hours.lines],
        "hours": list(_hour_rows(report.hours, send.time_zone)),
        "bounces": [(row, _bounce_link(send, row) if may_list else "") for row in report.bounces.rows],
        "unsubscribes": _unsubscribes(report),
        "domains": [_domain(row) for row in report.domains],
        "rate_of": report.base.words,
    }


def _tiles(send: Send, report: IssueReport) -> Iterator[Tile]:
    counts, comparison = report.counts, report.comparison
    yield _of_recipients(_("Delivered"), counts.delivered, report, _difference(comparison, "delivered"))
    yield _engagement(send, report, _("Clicked"), "clicked")
    yield _engagement(send, report, _("Opened (estimate)"), "opened")
    yield _unsubscribed(report)
    bounced = sum(row.count for row in report.places if row.place == "bounced")
    yield _of_recipients(
        _("Not delivered"),
        report.in_group(Group.NOT_DELIVERED),
        report,
        ngettext("%(count)s bounced", "%(count)s bounced", bounced) % {"count": grouped(bounced)},
    )
    if under_way := report.in_group(Group.UNDER_WAY):
        yield replace(_of_recipients(_("Not known yet"), under_way, report), is_growing=False)


def _of_recipients(label: str, count: int, report: IssueReport, *more: str) -> Tile:
    audience = report.counts.audience
    sentence = ngettext("%(count)s of %(all)s recipient", "%(count)s of %(all)s recipients", audience)
    line = sentence % {"count": grouped(count), "all": grouped(audience)}
    value = percent(count, audience) if audience >= MIN_FOR_RATE else grouped(count)
    return Tile(label, value, tuple(filter(None, (line, *more))))


def _of_base(label: str, count: int, report: IssueReport, *more: str) -> Tile:
    line = _("%(count)s of %(mails)s") % {"count": grouped(count), "mails": report.base.words}
    value = percent(count, report.base.count) if report.base.count >= MIN_FOR_RATE else grouped(count)
    return Tile(label, value, tuple(filter(None, (line, *more))))


def _engagement(send: Send, report: IssueReport, label: str, name: str) -> Tile:
    count: int = getattr(report.counts, name)
    if not count and not send.issue.newsletter.has_consent_to_tracking:
        return Tile(label, "–", (_("Not counted: tracking is off."),))
    note = _("Email programs may load images automatically or block them.") if name == "opened" else ""
    return _of_base(label, count, report, _difference(report.comparison, name), note)


def _unsubscribed(report: IssueReport) -> Tile:
    count = report.counts.complained
    complaints = ngettext("%(count)s complaint", "%(count)s complaints", count) % {"count": grouped(count)}
    if report.base.count >= MIN_FOR_RATE:
        complaints = f"{complaints} ({percent(count, report.base.count)})"
    if not report.unsubscribes.is_counted:
        return Tile(_("Unsubscribed"), "–", (_("Not counted."), complaints))
    difference = _difference(report.comparison, "unsubscribed")
    return _of_base(_("Unsubscribed"), report.counts.unsubscribed, report, difference, complaints)


def _not_counted() -> str:
    return _("Not counted: the links in these mails do not tell which issue they are from.")


def _unsubscribes(report: IssueReport) -> dict[str, Any]:
    """The table of unsubscribes: ways and reasons with their shares of all, and complaints beside."""
    table = report.unsubscribes
    return {
        "table": table,
        "not_counted": "" if table.is_counted else _not_counted(),
        "ways": [(row, _part(row.count, table.total)) for row in table.ways],
        "reasons": [(row, _part(row.count, table.total)) for row in table.reasons],
        "without_reason": (table.without_reason, _part(table.without_reason, table.total)),
        "share": _part(table.total, report.base.count),
        "complained": (report.counts.complained, _part(report.counts.complained, report.base.count)),
    }


def _part(count: int, whole: int) -> str:
    return percent(count, whole) if whole >= MIN_FOR_RATE else "–"


def _difference(comparison: Comparison | None, name: str) -> str:
    """`0.7 points below the last 10 issues`; empty without a comparison."""
    points = comparison.difference(name) if comparison else None
    if comparison is None or points is None:
        return ""
    values = {"points": number_format(round(abs(points), 2 if abs(points) < 1 else 1)), "issues": comparison.issues}
    if abs(points) < SMALLEST_DIFFERENCE:
        sentence = ngettext("as the last issue", "as the last %(issues)s issues", comparison.issues)
    elif points > 0:
        sentence = ngettext(
            "%(points)s points above the last issue",
            "%(points)s points above the last %(issues)s issues",
            comparison.issues,
        )
    else:
        sentence = ngettext(
            "%(points)s points below the last issue",
            "%(points)s points below the last %(issues)s issues",
            comparison.issues,
        )
    return sentence % values


def comparison_rows(comparison: Comparison) -> list[tuple[str, str, str, str]]:
    """Label, this issue, the median, and the difference in words."""
    labels = {
        "delivered": _("Delivered, of recipients"),
        "bounced": _("Bounced, of recipients"),
        "clicked": _("Clicked"),
        "opened": _("Opened (estimate)"),
        "unsubscribed": _("Unsubscribed"),
        "complained": _("Complained"),
    }
    return [
        (
            label,
            _share(getattr(comparison.this, name)),
            _share(getattr(comparison.median, name)),
            _points(comparison, name),
        )
        for name, label in labels.items()
    ]


def _share(rate: float | None) -> str:
    return "–" if rate is None else percent(round(rate * 1_000_000), 1_000_000)


def _points(comparison: Comparison, name: str) -> str:
    points = comparison.difference(name)
    if points is None:
        return "–"
    if abs(points) < SMALLEST_DIFFERENCE:
        return _("the same")
    sign = "+" if points > 0 else "−"
    return f"{sign}{number_format(round(abs(points), 2 if abs(points) < 1 else 1))}"


def _recipients_url(send: Send, **selection: str) -> str:
    return f"{page_url(send.issue, 'report_recipients')}?{urlencode(selection)}"


def _place(send: Send, row: PlaceRow, may_list: bool) -> dict[str, Any]:
    is_listed = may_list and row.place in {place.value for place in INDEXED_PLACES}
    return {
        "row": row,
        "url": _recipients_url(send, place=row.place) if is_listed else "",
        "reasons": [_reason(send, row, each, may_list) for each in row.reasons],
    }


def _reason(send: Send, place: PlaceRow, reason: Any, may_list: bool) -> dict[str, Any]:
    """The words of mail servers name addresses."""
    is_listed = may_list and reason.code and place.place in {state.value for state in STATES_WITH_REASONS}
    words = reason.words if may_list else ""
    return {
        "sentence": " ".join(filter(None, (reason.sentence, words))) or _("The provider says why."),
        "count": reason.count,
        "url": _recipients_url(send, state=place.place, reason=reason.code) if is_listed else "",
    }


def _bounce_link(send: Send, row: BounceRow) -> str:
    return _recipients_url(send, bounce=row.code) if row.code else ""


def _chart(hours: FirstHours) -> LineChart | None:
    if not hours.highest:
        return None
    lines = [(str(event_type.label), STYLES[event_type], counts) for event_type, counts in hours.lines.items()]
    return line_chart(lines, HOURS)


def _chart_sentence(hours: FirstHours) -> str:
    """The result of the chart, for those who do not see it."""
    parts = [f"{grouped(counts[-1])} {str(event_type.label).lower()}" for event_type, counts in hours.lines.items()]
    sentence = ngettext("After %(count)s hour: %(counts)s.", "After %(count)s hours: %(counts)s.", len(hours.ends))
    return sentence % {"count": len(hours.ends), "counts": ", ".join(parts)}


def _hour_rows(hours: FirstHours, zone: str) -> Iterator[HourRow]:
    for number, end in enumerate(hours.ends, 1):
        counts = tuple(counts[number - 1] for counts in hours.lines.values())
        is_main = number % 6 == 0 or number == 1
        yield HourRow(number, f"{end.astimezone(zone_of(zone)):%H:%M}", counts, is_main)


def _domain(row: DomainRow) -> ShownDomain:
    return ShownDomain(
        row=row,
        clicked=percent(row.clicked, row.base) if row.has_rates else "–",
        complained=percent(row.complained, row.base) if row.has_rates else "–",
        bar=min(100, round(100 * row.complaint_rate / LIMIT)) if row.has_rates else 0,
    )
