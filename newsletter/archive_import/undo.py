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
    made = ImportedIssue.objects.filter(owner=row, is_undone=False, pk__gt=row.last_pk).order_by("pk")
    records = list(made.select_related("issue__newsletter", "issue__web_page__version")[:CHUNK])
    if not records:
        return False
    counts, last_pk = dict(row.undone), records[-1].pk
    for record in records:
        outcome = _undo(record, by=row.by)
        counts[outcome] = counts.get(outcome, 0) + 1
    row.undone, row.last_pk = counts, last_pk
    row.save(update_fields=["undone", "last_pk", "heartbeat_at"])
    return True


def _undo(record: ImportedIssue, *, by: str) -> str:
    """Undo one issue: `removed`, `taken_down` or `kept`."""
    issue: Issue | None = record.issue
    if issue is None:
        record.delete()
        return "removed"
    if is_changed_here(record):
        return "kept"
    if publishing.is_published(issue):
        publishing.take_off_web(issue, by=by)
        ImportedIssue.objects.filter(pk=record.pk).update(is_undone=True)
        return "taken_down"
    record.delete()
    issue.delete()
    return "removed"
