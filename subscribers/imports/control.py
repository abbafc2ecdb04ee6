"""What editors and commands do with an import, and how long its file is kept."""

from __future__ import annotations

import datetime
import hashlib
from collections.abc import Sequence

from django.db import transaction
from django.db.models import Exists, OuterRef, Q
from django.utils import timezone

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


def start_check(
    stored: Import, plans: Sequence[ImportPlan | None], source: Source, *, update_mode: str = "", by: str
) -> None:
    """Check the file with these plans, one for each table. Raises InvalidTransition."""
    IMPORT_MACHINE.move_row(
        stored,
        ImportState.CHECKING,
        plan={"tables": [plan.to_json() if plan else None for plan in plans]},
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
    """The last import into the same list of a file with the same columns that had a plan."""
    same = Import.objects.filter(
        mailing_list=stored.mailing_list_id, header_fingerprint=header_fingerprint(source), plan__has_key="tables"
    )
    return same.exclude(pk=stored.pk).order_by("-pk").first()


def delete_old_files(now: datetime.datetime | None = None) -> bool:
    """Delete the files and refused rows of imports that ended long ago, and uploads that were not run.

    A step of the worker; returns whether there may be more.
    """
    now = now or timezone.now()
    parts, refusals = (model.objects.filter(owner=OuterRef("pk")) for model in (ImportPart, ImportRefusal))
    kept = Import.objects.filter(Q(state__in=WAITING) | Q(Exists(parts)) | Q(Exists(refusals)))
    due = next((row for row in kept.order_by("pk")[:100] if row.state in KEPT and row.file_is_due(now)), None)
    if due is None:
        return False
    delete_file(due)
    return True


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


def forget_address(canonical: str) -> None:
    """Delete what imports know about a subscriber who is erased, by the canonical address.

    A compressed file cannot be changed: the files of all imports that have ended are deleted, with their refused rows.
    An import that is not finished keeps its file until it ends; the erasure then blocks the row.
    """
    with transaction.atomic():
        ImportPart.objects.filter(owner__state__in=ENDED).delete()
        ImportRefusal.objects.filter(owner__state__in=ENDED).delete()
        StagedRow.objects.filter(canonical=canonical).delete()
