"""What editors and commands do with the import of an archive, and how long its upload is kept."""

from __future__ import annotations

import datetime

from django.db.models import Exists, OuterRef, Q, QuerySet
from django.db.models.functions import Coalesce
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from newsletter.archive_import.engine import delete_upload
from newsletter.models import (
    ARCHIVE_ENDED,
    ARCHIVE_IMPORT_MACHINE,
    ArchiveImport,
    ArchiveImportPart,
    ArchiveImportState,
    ArchiveProblem,
    Newsletter,
)

#: Nothing works on these. Their uploads are deleted after RETENTION_IMPORT_DAYS.
KEPT = (*ARCHIVE_ENDED, ArchiveImportState.CHECKED)

#: The most imports whose uploads are deleted in one run.
FILES_PER_RUN = 20


def start_run(stored: ArchiveImport, *, by: str, as_drafts: bool, keeps_tracking: bool) -> None:
    """Import what was checked. Raises InvalidTransition."""
    ARCHIVE_IMPORT_MACHINE.move_row(
        stored,
        ArchiveImportState.RUNNING,
        only_from=(ArchiveImportState.CHECKED,),
        by=by[:150],
        worker="",
        as_drafts=as_drafts,
        keeps_tracking=keeps_tracking,
        started_at=timezone.now(),
    )


def pause(stored: ArchiveImport) -> None:
    """Stop after the issues that are being written. Raises InvalidTransition."""
    ARCHIVE_IMPORT_MACHINE.move_row(stored, ArchiveImportState.PAUSED, worker="")


def resume(stored: ArchiveImport) -> None:
    """Continue where it was paused. Raises InvalidTransition."""
    ARCHIVE_IMPORT_MACHINE.move_row(
        stored,
        ArchiveImportState.RUNNING,
        only_from=(ArchiveImportState.PAUSED,),
        worker="",
        resumed_at=stored.done_count,
    )


def undo(stored: ArchiveImport, *, by: str) -> None:
    """Cancel it, and remove what it made. Raises InvalidTransition."""
    ARCHIVE_IMPORT_MACHINE.move_row(
        stored, ArchiveImportState.UNDOING, by=by[:150], worker="", last_pk=0, undone={}, is_local=False
    )


def can_be_undone(stored: ArchiveImport) -> bool:
    """Whether it has begun to write."""
    sources = ARCHIVE_IMPORT_MACHINE.sources(ArchiveImportState.UNDOING)
    return stored.started_at is not None and stored.state in sources


def discard(stored: ArchiveImport) -> bool:
    """Delete an import that has written nothing, with its upload; whether it was so."""
    waiting = (ArchiveImportState.CHECKING, ArchiveImportState.CHECKED, ArchiveImportState.FAILED)
    unused = ArchiveImport.objects.filter(pk=stored.pk, state__in=waiting, started_at__isnull=True)
    return bool(unused.delete()[0])


def end_interrupted(newsletter: Newsletter, source_name: str) -> int:
    """Mark earlier runs of a command on the same archive as failed: they were interrupted.

    What they made can be undone. Returns how many there were.
    """
    running = ArchiveImport.objects.filter(newsletter=newsletter, source_name=source_name, is_local=True)
    unused = running.filter(started_at__isnull=True).exclude(state__in=ARCHIVE_ENDED)
    unused.delete()
    return ARCHIVE_IMPORT_MACHINE.move(
        running.exclude(state__in=ARCHIVE_ENDED),
        ArchiveImportState.FAILED,
        problem=ArchiveProblem.INTERRUPTED,
        worker="",
        ended_at=timezone.now(),
    )


class ArchiveUploads:
    """The retention rule of uploads that were not imported. The others are deleted when their import ends."""

    name = "archive_uploads"
    title = _("uploaded archives")

    def purge(self, before: datetime.datetime) -> int:
        """See subscribers.privacy.retention.RetentionRule."""
        due = list(self._due(before)[:FILES_PER_RUN])
        for stored in due:
            if not discard(stored):
                delete_upload(stored)
        return len(due)

    def is_overdue(self, before: datetime.datetime) -> bool:
        """See subscribers.privacy.retention.RetentionRule."""
        return self._due(before).exists()

    def _due(self, before: datetime.datetime) -> QuerySet[ArchiveImport]:
        parts = ArchiveImportPart.objects.filter(owner=OuterRef("pk"))
        never_arrived = Q(sha256="", is_local=False)
        unused = Q(state=ArchiveImportState.CHECKED)
        kept = ArchiveImport.objects.filter(never_arrived | unused | Q(Exists(parts), state__in=KEPT))
        old = kept.annotate(last_at=Coalesce("ended_at", "created_at")).filter(last_at__lte=before)
        return old.order_by("pk")
