"""What editors and commands do with an import, and how long its file is kept."""

from __future__ import annotations

import datetime
import hashlib
from collections.abc import Sequence

from django.db import transaction
from django.db.models import Exists, OuterRef, Q, QuerySet
from django.db.models.functions import Coalesce
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from subscribers.imports.engine import FROM_THE_START
from subscribers.imports.outcomes import Outcome
from subscribers.imports.plan import ImportPlan
from subscribers.imports.source import Source
from subscribers.models import (
    ENDED,
    IMPORT_MACHINE,
    Import,
    ImportPart,
    ImportRefusal,
    ImportState,
    StagedRow,
)

#: Imports that are not run: they can be deleted with their file.
WAITING = (ImportState.UPLOADED, ImportState.CHECKED)
#: Nothing works on these. Their files are deleted after RETENTION_IMPORT_DAYS.
KEPT = (*ENDED, *WAITING)

#: The most imports whose files are deleted in one run.
FILES_PER_RUN = 20


def start_check(
    stored: Import, plans: Sequence[ImportPlan | None], source: Source, *, update_mode: str = "", by: str
) -> None:
    """Check the file with these plans, one for each table. Raises InvalidTransition."""
    IMPORT_MACHINE.move_row(
        stored,
        ImportState.CHECKING,
        plan={
            "tables": [plan.to_json() if plan else None for plan in plans],
            "headers": [list(table.header) for table in source.tables],
        },
        header_fingerprint=header_fingerprint(source),
        update_mode=update_mode or stored.update_mode,
        by=by[:150],
        worker="",
        problem="",
        detail="",
        tag_names=[],
        dropped_values={},
        expected={},
        preview=[],
        last_address="",
        done_count=0,
        phase_started_at=timezone.now(),
        **FROM_THE_START,
    )


def start_run(stored: Import, *, by: str) -> None:
    """Import the rows that were checked. Raises InvalidTransition."""
    now = timezone.now()
    refused = stored.expected.get(Outcome.REFUSED, {})
    IMPORT_MACHINE.move_row(
        stored,
        ImportState.RUNNING,
        only_from=(ImportState.CHECKED,),
        by=by[:150],
        worker="",
        outcomes={Outcome.REFUSED.value: refused} if refused else {},
        last_address="",
        done_count=0,
        started_at=now,
        phase_started_at=now,
    )


def pause(stored: Import) -> None:
    """Stop after the chunk that is being written. Raises InvalidTransition."""
    IMPORT_MACHINE.move_row(stored, ImportState.PAUSED, worker="")


def resume(stored: Import) -> None:
    """Continue where it was paused. Raises InvalidTransition."""
    IMPORT_MACHINE.move_row(
        stored,
        ImportState.RUNNING,
        only_from=(ImportState.PAUSED,),
        worker="",
        problem="",
        detail="",
        phase_started_at=timezone.now(),
        resumed_at=stored.done_count,
    )


def undo(stored: Import) -> None:
    """Cancel it, and remove what it made. Raises InvalidTransition."""
    IMPORT_MACHINE.move_row(
        stored, ImportState.UNDOING, worker="", last_pk=0, undone={}, phase_started_at=timezone.now()
    )


def can_be_undone(stored: Import) -> bool:
    """Whether it has begun to write."""
    return stored.started_at is not None and stored.state in IMPORT_MACHINE.sources(ImportState.UNDOING)


def header_fingerprint(source: Source) -> str:
    """SHA-256 of the columns of all tables: files of the same tool and account have the same."""
    columns = "\n".join("\t".join(table.header) for table in source.tables)
    return hashlib.sha256(f"{len(source.tables)}\n{columns}".encode()).hexdigest()


def remembered(stored: Import, source: Source) -> Import | None:
    """The last import into the same list of a file with the same columns that had a plan.

    Columns without names may be any.
    """
    if not all(table.header for table in source.tables):
        return None
    same = Import.objects.filter(
        mailing_list=stored.mailing_list_id, header_fingerprint=header_fingerprint(source), plan__has_key="tables"
    )
    return same.exclude(pk=stored.pk).order_by("-pk").first()


class ImportFiles:
    """The retention rule of the files and refused rows of imports that ended, and of uploads that were not run."""

    name = "imports"
    title = _("files and refused rows of imports")

    def purge(self, before: datetime.datetime) -> int:
        """See subscribers.privacy.retention.RetentionRule."""
        due = list(self._due(before)[:FILES_PER_RUN])
        for stored in due:
            delete_file(stored)
        return len(due)

    def is_overdue(self, before: datetime.datetime) -> bool:
        """See subscribers.privacy.retention.RetentionRule."""
        return self._due(before).exists()

    def _due(self, before: datetime.datetime) -> QuerySet[Import]:
        parts, refusals = (model.objects.filter(owner=OuterRef("pk")) for model in (ImportPart, ImportRefusal))
        kept = Import.objects.filter(Q(state__in=WAITING) | Q(Exists(parts)) | Q(Exists(refusals)))
        old = kept.annotate(last_at=Coalesce("ended_at", "created_at")).filter(last_at__lte=before)
        return old.filter(state__in=KEPT).order_by("pk")


def delete_file(stored: Import) -> None:
    """Delete what the import knows about subscribers: the file, refused and staged rows, and the preview."""
    with transaction.atomic():
        ImportPart.objects.filter(owner=stored).delete()
        ImportRefusal.objects.filter(owner=stored).delete()
        StagedRow.objects.filter(owner=stored).delete()
        if stored.state in WAITING:
            Import.objects.filter(pk=stored.pk, state__in=WAITING).delete()
        else:
            Import.objects.filter(pk=stored.pk).update(preview=[], staged_count=0)
