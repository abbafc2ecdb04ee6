"""Files of a report: its numbers as CSV for spreadsheets and as JSON for programs. Codes, and nothing personal."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator
from typing import Any

from newsletter.models import Send
from newsletter.reports.comparison import RATES
from newsletter.reports.issue_report import IssueReport
from newsletter.reports.unsubscribes import UnsubscribeTable
from subscribers.exports.columns import guarded

#: The columns of the CSV. `of` is what `recipients` are a part of; empty where they are no share.
CSV_COLUMNS = ("section", "name", "detail", "recipients", "of")

Row = tuple[str, str, str, int, int | str]


def report_as_json(send: Send, report: IssueReport) -> dict[str, Any]:
    """Counts in recipients, times in ISO 8601, hours by their end; places and reasons as codes."""
    counts, comparison = report.counts, report.comparison
    return {
        "newsletter": send.issue.newsletter.slug,
        "issue": send.issue.slug,
        "title": send.issue.title,
        "state": send.state,
        "started_at": _iso(send.started_at),
        "finished_at": _iso(send.finished_at),
        "counted_at": _iso(report.counted_at),
        "recipients": counts.audience,
        "delivered": counts.delivered,
        "opened": counts.opened,
        "clicked": counts.clicked,
        "complained": counts.complained,
        "bounced": counts.bounced,
        "unsubscribed": counts.unsubscribed if report.unsubscribes.is_counted else None,
        "rates_of": {"mails": "delivered" if report.base.is_delivered else "accepted", "count": report.base.count},
        "places": [
            {
                "place": row.place,
                "group": row.group.value,
                "recipients": row.count,
                "reasons": [{"reason": each.code, "recipients": each.count} for each in row.reasons if each.code],
            }
            for row in report.places
        ],
        "excluded": dict(report.excluded),
        "bounces": [{"class": row.code, "recipients": row.count} for row in report.bounces.rows],
        "unsubscribes": {
            "by_way": {row.code: row.count for row in report.unsubscribes.ways},
            "by_reason": {row.code: row.count for row in report.unsubscribes.reasons},
        },
        "hours": [
            {"until": _iso(end), **{name.value: counts[number] for name, counts in report.hours.lines.items()}}
            for number, end in enumerate(report.hours.ends)
        ],
        "domains": [
            {
                "domain": row.domain,
                "delivered": row.delivered,
                "bounced": row.bounced,
                "opened": row.opened,
                "clicked": row.clicked,
                "complained": row.complained,
            }
            for row in report.domains
        ],
        "comparison": comparison
        and {
            "issues": comparison.issues,
            "this": {name: getattr(comparison.this, name) for name in RATES},
            "median": {name: getattr(comparison.median, name) for name in RATES},
        },
    }


def _iso(at: Any) -> str | None:
    return at.isoformat(timespec="seconds") if at else None


def report_as_csv(report: IssueReport) -> str:
    """One row per number, safe in a spreadsheet: domains and codes come from outside."""
    buffer = io.StringIO()
    writer = csv.writer(buffer)
    writer.writerow(CSV_COLUMNS)
    for section, name, detail, count, of in _rows(report):
        writer.writerow([section, guarded(name), guarded(detail), count, of])
    return buffer.getvalue()


def _unsubscribes(table: UnsubscribeTable, base: int) -> Iterator[Row]:
    if table.is_counted:
        yield "numbers", "unsubscribed", "", table.total, base
    for name, rows in (("way", table.ways), ("reason", table.reasons)):
        for row in rows:
            yield "unsubscribes", name, row.code, row.count, table.total


def _rows(report: IssueReport) -> Iterator[Row]:
    counts, base = report.counts, report.base.count
    yield "numbers", "recipients", "", counts.audience, ""
    yield "numbers", "delivered", "", counts.delivered, counts.audience
    for name in ("opened", "clicked", "complained"):
        yield "numbers", name, "", getattr(counts, name), base
    yield from _unsubscribes(report.unsubscribes, base)
    for place in report.places:
        yield "places", place.place, "", place.count, counts.audience
        for reason in place.reasons:
            if reason.code and reason.count is not None:
                yield "reasons", place.place, reason.code, reason.count, place.count
    for excluded, count in report.excluded.items():
        yield "excluded", excluded, "", count, ""
    for row in report.bounces.rows:
        yield "bounces", row.code, "", row.count, report.bounces.total
    for event_type, line in report.hours.lines.items():
        for end, count in zip(report.hours.ends, line, strict=True):
            yield "hours", event_type.value, end.isoformat(timespec="seconds"), count, ""
    for domain in report.domains:
        for name in ("delivered", "bounced", "opened", "clicked", "complained"):
            yield "domains", domain.domain or "others", name, getattr(domain, name), domain.base
