"""The import of a file, piece by piece: check, run and undo, each resumable at any row.

A file is read into staged rows first. Then subscribers are taken in the order of their addresses, each with all rows
about them, so that neither the order of the rows nor the size of the chunks matters:

- Of several rows of a subscriber the strongest state counts: complaint, suppression list, bounce, unsubscribed, active,
  pending. Empty names, tags and fields are filled from the other rows.
- A “no” that is known here stays: no subscriber who unsubscribed, declined, was suppressed or was erased here becomes
  active or pending. A subscriber who is pending here stays pending: only they can confirm.
- Rows of subscribers who unsubscribed, bounced or complained there are stored as that. They end a subscription that is
  open here if the file says that they left after the last step that was taken here, or if only imports made it. Else it
  stays, and the row is counted as “left there, active here”. For bounces and complaints, the subscriptions of all lists
  are compared, because a suppression ends them all.
- Nothing is mailed by an import.

The progress is stored in the transaction of each chunk. A worker that dies loses the chunk that it was working on, and
the next one continues with the same rows.
"""

from __future__ import annotations

import datetime
import logging
import os
import socket
import time
import uuid
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass, replace
from itertools import islice
from typing import Any

from django.db import InterfaceError, OperationalError, connection, models, transaction
from django.db.models import Q
from django.utils import timezone

from subscribers.imports.chunk import Chunk
from subscribers.imports.errors import ImportFileError
from subscribers.imports.files import OpenFile
from subscribers.imports.outcomes import Counts, add_counts, total
from subscribers.imports.plan import ImportPlan
from subscribers.imports.rows import ImportRow, read_rows
from subscribers.imports.staging import MAX_DROPPED, Stager, TooManyTags, fields_of_plans, plans_of, store_rows
from subscribers.imports.statements import ChunkContext
from subscribers.imports.undo import undo_chunk
from subscribers.models import (
    ENDED,
    IMPORT_MACHINE,
    WORKING,
    ConsentForm,
    CustomField,
    Evidence,
    Import,
    ImportProblem,
    ImportRefusal,
    ImportState,
    MailingList,
    StagedRow,
    Tag,
    stored_text,
    tag_key,
)
from subscribers.profile.fields import fields_of
from subscribers.profile.tags import get_tags
from subscribers.suppression import SuppressionSecretDiffers, check_suppression_secret

log = logging.getLogger(__name__)

#: Rows per transaction. On SQLite no other process can write during that time, so it is short.
CHUNK = {"postgresql": 20_000, "sqlite": 2_500}

#: Rows that are read per transaction, at most a chunk: all of them are in memory at once.
READ_ROWS = 5_000

#: Seconds of work per call of the worker's step, at least one chunk.
PIECE_SECONDS = 5.0

#: A worker that has stored nothing for this long is taken for dead, and another one continues.
LEASE = datetime.timedelta(seconds=60)

#: The file is read from its first row.
FROM_THE_START: dict[str, Any] = {
    "is_read": False,
    "row_count": 0,
    "staged_count": 0,
    "next_table": 0,
    "next_line": 1,
}

Mailed = Callable[[int, Collection[int]], set[int]]
"""Which of these subscribers (primary keys) have been sent an issue of this mailing list (primary key)."""


class _Overtaken(Exception):
    """The import has another state than expected, or another worker has taken it. The chunk is rolled back."""


def none_was_mailed(_mailing_list: int, _subscribers: Collection[int]) -> set[int]:
    """A `Mailed` for installations that send nothing, such as tests."""
    return set()


@dataclass(slots=True)
class _Reading:
    """An open file, and where it is."""

    key: tuple[int, int, int]
    file: OpenFile
    rows: Iterator[tuple[int, str, ImportRow]]
    stager: Stager


class ImportWorker:
    """Works on imports that are being checked, run or undone. One per thread; keeps the file of one import open."""

    def __init__(self, *, chunk: int | None = None, mailed: Mailed = none_was_mailed) -> None:
        self._suffix = uuid.uuid4().hex[:8]
        self._chunk = chunk or CHUNK[connection.vendor]
        self._mailed = mailed
        self._reading: _Reading | None = None
        self._contexts: dict[tuple[Any, ...], ChunkContext] = {}

    @property
    def name(self) -> str:
        """Unique in the fleet, also in a process that was forked after this was made."""
        return f"{socket.gethostname()[:20]}:{os.getpid()}:{self._suffix}"

    def work(self, *, seconds: float = PIECE_SECONDS, now: datetime.datetime | None = None) -> bool:
        """Work on the oldest import that no other worker works on; whether there was one."""
        stored = self._claim(now or timezone.now())
        if stored is None:
            return delete_staged_rows()
        until = time.monotonic() + seconds
        while self.advance(stored.pk) and time.monotonic() < until:
            pass
        return True

    def advance(self, pk: int) -> bool:
        """Do one chunk of this import, which this worker has claimed; whether there may be more."""
        stored = (
            Import.objects.select_related("mailing_list").filter(pk=pk, worker=self.name, state__in=WORKING).first()
        )
        if stored is None:
            self.close()
            return False
        try:
            self._advance(stored)
        except _Overtaken:
            self.close()
        except SuppressionSecretDiffers:
            self._stop(stored, ImportProblem.SECRET)
        except TooManyTags:
            self._stop(stored, ImportProblem.TOO_MANY_TAGS)
        except ImportFileError as error:
            deleted = error.code == ImportProblem.FILE_DELETED
            self._stop(stored, ImportProblem.FILE_DELETED if deleted else ImportProblem.FILE, str(error))
        except (InterfaceError, OperationalError):
            # The database is away or busy: the same chunk is tried again.
            self.close()
            raise
        except Exception:
            # It would happen again, and no other import would have its turn.
            log.exception("Import %s failed", stored.pk)
            self._stop(stored, ImportProblem.ERROR)
        return True

    def claim(self, pk: int, now: datetime.datetime | None = None) -> bool:
        """Take this import, unless another worker has it."""
        return self._claim(now or timezone.now(), pk=pk) is not None

    def finish(self, pk: int, *, wait: Callable[[float], object] = time.sleep) -> None:
        """Work on this import until nothing is left to do. While another worker is at it, wait for its end."""
        try:
            while True:
                if self.claim(pk):
                    self.advance(pk)
                elif Import.objects.filter(pk=pk, state__in=WORKING).exists():
                    wait(0.2)
                else:
                    return
        finally:
            self.release(pk)

    def release(self, pk: int) -> None:
        """Let another worker continue at once."""
        Import.objects.filter(pk=pk, worker=self.name).update(worker="")
        self.close()

    def close(self) -> None:
        """Close the file."""
        if self._reading is not None:
            self._reading.file.close()
            self._reading = None

    def _claim(self, now: datetime.datetime, pk: int | None = None) -> Import | None:
        waiting = Import.objects.filter(
            Q(worker__in=("", self.name)) | Q(heartbeat_at__lt=now - LEASE) | Q(heartbeat_at__isnull=True),
            state__in=WORKING,
        ).order_by("pk")
        if pk is not None:
            waiting = waiting.filter(pk=pk)
        for stored in waiting[:5]:
            taken = waiting.filter(pk=stored.pk, worker=stored.worker)
            resumed = {"resumed_at": stored.done_count} if stored.worker not in ("", self.name) else {}
            if taken.update(worker=self.name, heartbeat_at=now, **resumed):
                return stored
        return None

    def _advance(self, stored: Import) -> None:
        if stored.state == ImportState.UNDOING:
            self._undo(stored)
        elif not stored.is_read:
            self._read(stored)
        elif stored.state == ImportState.CHECKING:
            self._check(stored)
        else:
            self._run(stored)

    def _locked(self, stored: Import) -> Import:
        """The row, locked, if it is as this worker knows it. Raises _Overtaken."""
        row = Import.objects.select_for_update().filter(pk=stored.pk).first()
        if row is None or (row.worker, row.state, _cursor(row)) != (self.name, stored.state, _cursor(stored)):
            raise _Overtaken
        row.heartbeat_at = timezone.now()
        return row

    # Reading

    def _read(self, stored: Import) -> None:
        """Stage the next rows of the file."""
        if not stored.row_count and (_delete_some(StagedRow, stored) or _delete_some(ImportRefusal, stored)):
            # Left over from a check with another plan, or from before a crash.
            return
        reading = self._opened(stored)
        size = min(self._chunk, READ_ROWS)
        staged = reading.stager.stage(islice(reading.rows, size), stored.row_count)
        with transaction.atomic():
            row = self._locked(stored)
            store_rows(staged.rows)
            ImportRefusal.objects.bulk_create(staged.refusals, batch_size=500)
            row.row_count += staged.count
            row.staged_count += len(staged.rows)
            row.tag_names = reading.stager.tag_names
            if row.state == ImportState.CHECKING:
                row.expected = add_counts(row.expected, staged.refused())
                row.dropped_values = _summed(row.dropped_values, staged.dropped)
                row.preview = [*row.preview, *staged.preview]
            if staged.last is not None:
                row.next_table, row.next_line = staged.last[0], staged.last[1] + 1
            row.is_read = staged.count < size
            row.save()
        reading.key = (row.pk, row.next_table, row.next_line)
        if row.is_read:
            self.close()
            _analyze()

    def _opened(self, stored: Import) -> _Reading:
        """The file, at the next row. Raises ImportFileError."""
        key = (stored.pk, stored.next_table, stored.next_line)
        if self._reading is None or self._reading.key != key or not stored.row_count:
            self.close()
            plans, file = plans_of(stored), OpenFile(stored)
            rows = _rows(file, plans, stored.next_table, stored.next_line)
            self._reading = _Reading(key, file, rows, Stager(stored, plans, timezone.now()))
        return self._reading

    # Checking and running

    def _check(self, stored: Import) -> None:
        """Count the outcomes of the next subscribers, without writing any."""
        with transaction.atomic():
            row = self._locked(stored)
            until = _until(row, self._chunk)
            if until is None:
                self._end_of_rows(row, ImportState.CHECKED, checked_at=timezone.now())
                return
            chunk = Chunk(self._context(row, is_run=False), row.last_address, until)
            chunk.classify(only_known=True)
            row.preview = _with_outcomes(row.preview, chunk)
            self._count(row, chunk, until, "expected")

    def _run(self, stored: Import) -> None:
        """Write the next subscribers."""
        check_suppression_secret()
        with transaction.atomic():
            row = self._locked(stored)
            until = _until(row, self._chunk)
            if until is None:
                self._end_of_rows(row, ImportState.FINISHED, ended_at=timezone.now(), preview=[])
                return
            chunk = Chunk(self._context(row, is_run=True), row.last_address, until)
            chunk.classify(only_known=False)
            chunk.write()
            self._count(row, chunk, until, "outcomes")

    def _count(self, row: Import, chunk: Chunk, until: str, field: str) -> None:
        counts: Counts = chunk.counts()
        setattr(row, field, add_counts(getattr(row, field), counts))
        chunk.drop()
        row.done_count += total(counts)
        row.last_address = until
        row.save(update_fields=[field, "preview", "done_count", "last_address", "heartbeat_at"])

    def _end_of_rows(self, row: Import, state: ImportState, **values: Any) -> None:
        """All staged rows are done; or they were lost in a crash, and the file is read again up to where it was."""
        if row.done_count < row.staged_count and not StagedRow.objects.filter(owner=row).exists():
            log.warning("Staged rows of import %s were lost: reading the file again", row.pk)
            changes = {"expected": {}, "dropped_values": {}, "preview": [], "last_address": "", "done_count": 0}
            again = changes if row.state == ImportState.CHECKING else {}
            Import.objects.filter(pk=row.pk).update(**FROM_THE_START, **again)
            return
        IMPORT_MACHINE.move_row(row, state, worker="", last_address="", **values)

    def _context(self, row: Import, *, is_run: bool) -> ChunkContext:
        """What the chunks share; tags and fields are made before the first chunk that writes."""
        key = (row.pk, row.state, row.started_at, len(row.tag_names))
        if not is_run or key not in self._contexts:
            self._contexts = {key: _context(row, is_run=is_run)}
        return replace(self._contexts[key], now=timezone.now())

    # Undoing

    def _undo(self, stored: Import) -> None:
        with transaction.atomic():
            row = self._locked(stored)
            if not undo_chunk(row, self._mailed):
                IMPORT_MACHINE.move_row(row, ImportState.UNDONE, worker="", ended_at=timezone.now())

    # Ends

    def _stop(self, stored: Import, problem: ImportProblem, detail: str = "") -> None:
        """Pause a run that can continue once the problem is solved; end anything else."""
        self.close()
        target = ImportState.FAILED
        if problem == ImportProblem.SECRET and stored.state == ImportState.RUNNING:
            target = ImportState.PAUSED
        log.warning("Import %s stopped: %s", stored.pk, problem)
        ended_at = timezone.now() if target == ImportState.FAILED else None
        rows = Import.objects.filter(pk=stored.pk, worker=self.name)
        IMPORT_MACHINE.move(rows, target, problem=problem, detail=detail[:500], worker="", ended_at=ended_at)


def _rows(
    file: OpenFile, plans: list[ImportPlan | None], first_table: int, first_line: int
) -> Iterator[tuple[int, str, ImportRow]]:
    """Number and name of the table, and the row, from this line of this table on."""
    for number, (table, plan) in enumerate(zip(file.source.tables, plans, strict=False)):
        if number >= first_table and plan is not None:
            start = first_line if number == first_table else 1
            for row in read_rows(table, plan, start_line=start):
                yield number, table.name, row


def _cursor(row: Import) -> tuple[Any, ...]:
    return (row.next_table, row.next_line, row.row_count, row.is_read, row.last_address, row.last_pk, row.done_count)


def _until(row: Import, size: int) -> str | None:
    """The address with which the next chunk ends; None after the last one."""
    rows = StagedRow.objects.filter(owner=row, canonical__gt=row.last_address).order_by("canonical")
    canonicals = rows.values_list("canonical", flat=True)
    last = canonicals[size - 1 : size].first()
    return last if last is not None else canonicals.last()


def _context(row: Import, *, is_run: bool) -> ChunkContext:
    plans = plans_of(row)
    mailing_list: MailingList = row.mailing_list
    used = next(filter(None, plans), None)
    text = None
    if is_run and used is not None:
        version = str(used.proof.value)[:20] if used.proof else ""
        text = stored_text(Evidence(form=ConsentForm.IMPORT, version=version, text=used.statement))
    return ChunkContext(
        import_pk=row.pk,
        mailing_list_pk=mailing_list.pk,
        list_name=mailing_list.name,
        by=row.by,
        text_pk=text.pk if text else None,
        tags=_tags(row, is_run=is_run),
        fields=_fields(row, plans, is_run=is_run),
        replaces=row.update_mode == "replace",
        now=timezone.now(),
    )


def _tags(row: Import, *, is_run: bool) -> list[int | None]:
    if is_run:
        return [tag.pk for tag in get_tags(row.mailing_list, row.tag_names)] if row.tag_names else []
    known = dict(Tag.objects.filter(mailing_list=row.mailing_list).values_list("key", "pk"))
    return [known.get(tag_key(name)) for name in row.tag_names]


def _fields(row: Import, plans: list[ImportPlan | None], *, is_run: bool) -> list[CustomField]:
    fields = fields_of_plans(row.mailing_list, plans)
    missing = [field for field in fields if field._state.adding]
    if not is_run or not missing:
        return fields
    # Another import may make the same field at this moment.
    CustomField.objects.bulk_create(missing, ignore_conflicts=True)
    stored = fields_of(row.mailing_list)
    return [stored.get(field.key, field) for field in fields]


def _with_outcomes(preview: list[dict[str, Any]], chunk: Chunk) -> list[dict[str, Any]]:
    """The preview with the outcomes of those of its subscribers that are in this chunk."""
    found = chunk.entries([entry["canonical"] for entry in preview if entry["canonical"] and not entry["outcome"]])
    for entry in preview:
        if not entry["outcome"] and entry["canonical"] in found:
            entry["outcome"], entry["reason"], entry["name"], entry["state"] = found[entry["canonical"]]
    return preview


def _summed(counts: dict[str, int], more: dict[str, int]) -> dict[str, int]:
    keys = list({**counts, **more})[:MAX_DROPPED]
    return {key: counts.get(key, 0) + more.get(key, 0) for key in keys}


def _analyze() -> None:
    """Let PostgreSQL know how many rows were staged: with its guess it could read all of them for each chunk."""
    if connection.vendor == "postgresql":
        with connection.cursor() as cursor:
            cursor.execute(f"ANALYZE {StagedRow._meta.db_table}")


def delete_staged_rows() -> bool:
    """Delete some staged rows of imports that have ended; whether there may be more."""
    ended = Import.objects.filter(state__in=ENDED, staged_count__gt=0).first()
    if ended is None:
        return False
    if not _delete_some(StagedRow, ended):
        Import.objects.filter(pk=ended.pk).update(staged_count=0)
    return True


def _delete_some(model: type[models.Model], owner: Import) -> bool:
    """Delete so many rows of an import that the lock is short; whether there were any."""
    some = model._base_manager.filter(owner=owner).values("pk")[: CHUNK[connection.vendor]]
    return model._base_manager.filter(pk__in=some).delete()[0] > 0
