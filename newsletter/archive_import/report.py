"""The report of an import: a row for each entry of the archive, as a table and as CSV; and its failures."""

from __future__ import annotations

import datetime
from collections.abc import Iterator
from dataclasses import dataclass

from django.conf import settings
from django.db.models import QuerySet
from django.utils.translation import gettext as _

from newsletter.archive_import.counts import DATE_SOURCES, VISIBILITIES
from newsletter.archive_import.item_data import notes_from_data
from newsletter.models import WITH_ISSUE, ArchiveEntry, ArchiveImport, EntryOutcome
from subscribers.exports.columns import guarded


@dataclass(frozen=True, slots=True)
class ReportRow:
    """An entry as it is shown, in the active language."""

    place: str
    title: str
    published_at: datetime.datetime | None
    date_source: str
    visibility: str
    outcome: str
    """A code of EntryOutcome: as it came out, or as the check expects it."""
    result: str
    is_on_web: bool
    issue_pk: int | None
    address: str
    """Of its page on the web; empty if it has none."""
    notes: tuple[str, ...]
    """With the lines of the file."""
    link_count: int
    lost_link_count: int


def report_rows(entries: QuerySet[ArchiveEntry], *, as_drafts: bool = False) -> Iterator[ReportRow]:
    """The rows of these entries, in their order; one query for any number."""
    for entry in entries.select_related("issue__newsletter").order_by("position").iterator(chunk_size=500):
        outcome = EntryOutcome(entry.outcome or entry.expected)
        is_on_web = entry.is_on_web and not (as_drafts and not entry.outcome)
        has_issue = outcome in WITH_ISSUE
        issue = entry.issue
        where = (_("on the web") if is_on_web else _("as a draft")) if has_issue else ""
        yield ReportRow(
            place=entry.place,
            title=entry.title,
            published_at=entry.published_at,
            date_source=str(DATE_SOURCES.get(entry.date_source, "")),
            visibility=str(VISIBILITIES.get(entry.visibility, "")),
            outcome=outcome.value,
            result=f"{outcome.label}, {where}" if where else str(outcome.label),
            is_on_web=has_issue and is_on_web,
            issue_pk=issue.pk if issue else None,
            address=f"{settings.SITE_URL}{issue.get_absolute_url()}" if issue and entry.is_on_web else "",
            notes=_notes(entry),
            link_count=entry.link_count,
            lost_link_count=entry.lost_link_count,
        )


def _notes(entry: ArchiveEntry) -> tuple[str, ...]:
    return tuple(
        _("line %(number)s: %(sentence)s") % {"number": note.line, "sentence": note.sentence}
        if note.line
        else str(note.sentence)
        for note in notes_from_data(entry.notes)
    )


def csv_header() -> list[str]:
    """The columns of the CSV report."""
    return [
        _("File"),
        _("Title"),
        _("Date (UTC)"),
        _("Date from"),
        _("There"),
        _("Result"),
        _("Address"),
        _("Links"),
        _("Links lost"),
        _("Notes"),
    ]


def csv_rows(stored: ArchiveImport) -> Iterator[list[str]]:
    """The rows of the CSV report."""
    for row in report_rows(ArchiveEntry.objects.filter(owner=stored), as_drafts=stored.as_drafts):
        at = row.published_at.astimezone(datetime.UTC).strftime("%Y-%m-%d %H:%M") if row.published_at else ""
        counts = [str(row.link_count), str(row.lost_link_count)] if row.outcome in WITH_ISSUE else ["", ""]
        cells = [row.place, row.title, at, row.date_source, row.visibility, row.result, row.address, *counts]
        yield [guarded(cell) for cell in (*cells, "\n".join(row.notes))]


def failures(stored: ArchiveImport) -> Iterator[str]:
    """Each failure as `place: sentence`."""
    failed = ArchiveEntry.objects.filter(owner=stored)
    failed = failed.filter(outcome=EntryOutcome.FAILED) | failed.filter(outcome="", expected=EntryOutcome.FAILED)
    for row in report_rows(failed):
        yield f"{row.place}: {' '.join(row.notes)}"
