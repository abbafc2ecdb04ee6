"""Undoing the import of an archive: issues that it made go, unless something happened to them since."""

from __future__ import annotations

from newsletter.archive_import import publishing
from newsletter.archive_import.plan import is_changed_here
from newsletter.models import ArchiveImport, ImportedIssue, Issue

#: Issues per transaction.
CHUNK = 20


def undo_some(row: ArchiveImport) -> bool:
    """Undo the next piece; whether there was one. The import's row is locked.

    A draft is deleted with its record, so that another import makes it again. The page of an issue that was on the web
    is taken down: its versions are kept, and another import publishes it again. What was changed or sent since stays
    as it is, and so does what the import changed about issues of earlier imports.
    """
    made = ImportedIssue.objects.filter(owner=row, pk__gt=row.last_pk).select_related("issue__newsletter")
    records = list(made.order_by("pk")[:CHUNK])
    if not records:
        return False
    counts = dict(row.undone)
    for record in records:
        outcome = _undo(record, by=row.by)
        counts[outcome] = counts.get(outcome, 0) + 1
    row.undone, row.last_pk = counts, records[-1].pk
    row.save(update_fields=["undone", "last_pk", "heartbeat_at"])
    return True


def _undo(record: ImportedIssue, *, by: str) -> str:
    """Undo one issue: `removed`, `taken_down` or `kept`."""
    issue: Issue | None = record.issue
    if issue is None:
        record.delete()
        return "removed"
    if is_changed_here(record) or publishing.is_changed_on_web(issue):
        return "kept"
    if publishing.is_on_web(issue):
        publishing.take_off_web(issue, by=by)
        return "taken_down"
    record.delete()
    issue.delete()
    return "removed"
