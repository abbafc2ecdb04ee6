"""The import of an archive, piece by piece: check, run and undo, each resumable at any entry.

The check reads the archive into entries. The run writes a few of them per transaction, in which the progress is stored,
too: a worker that dies loses the piece that it was working on, and the next one continues with the same entries. What
an item became is recorded under its key, so that no item becomes two issues, even if a piece runs twice.
"""

from __future__ import annotations

import contextlib
import datetime
import logging
import os
import socket
import time
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import islice
from typing import Any

from django.db import InterfaceError, OperationalError, transaction
from django.db.models import Q
from django.utils import timezone

from newsletter.archive_import.counts import added, counts_of
from newsletter.archive_import.files import OpenUpload, UploadDeleted
from newsletter.archive_import.plan import records_of
from newsletter.archive_import.stage import staged_entries
from newsletter.archive_import.undo import undo_some
from newsletter.archive_import.write import Pictures, StorePicture, write_entry
from newsletter.config.failpoints import Point, failpoint
from newsletter.config.translatable import to_data
from newsletter.content.archives.item import ArchiveError, ArchiveFiles, ArchiveItem, ArchiveReader, UnreadItem
from newsletter.models import (
    ARCHIVE_IMPORT_MACHINE,
    ARCHIVE_WORKING,
    ArchiveEntry,
    ArchiveImport,
    ArchiveImportPart,
    ArchiveImportState,
    ArchiveProblem,
    Newsletter,
)

log = logging.getLogger(__name__)

#: Items that are read, and issues that are written, per transaction. On SQLite no other process can write meanwhile.
READ_ITEMS, WRITE_ITEMS = 20, 5

#: Seconds of work per call of the worker's step, at least one chunk.
PIECE_SECONDS = 5.0

#: A worker that has stored nothing for this long is taken for dead, and another one continues.
LEASE = datetime.timedelta(seconds=60)

ChooseReader = Callable[[ArchiveFiles, str, str], ArchiveReader]
"""The archive reader for files of a site (its address), with this code or the first that fits. Raises ArchiveError."""


class _Overtaken(Exception):
    """The import has another state than expected, or another worker has taken it. The chunk is rolled back."""


@dataclass(slots=True)
class _Reading:
    """An open archive, and how many of its entries were read."""

    pk: int
    done: int
    archive: str
    items: Iterator[ArchiveItem | UnreadItem]


class ArchiveImportWorker:
    """Works on imports that are being checked, run or undone. One per thread; keeps one archive open.

    `files` is the archive of a command, which works on its own import only.
    """

    def __init__(
        self, choose: ChooseReader, *, store_picture: StorePicture | None = None, files: ArchiveFiles | None = None
    ) -> None:
        self._suffix = uuid.uuid4().hex[:8]
        self._choose = choose
        self._store_picture = store_picture
        self._files = files
        self._upload: tuple[int, OpenUpload] | None = None
        self._reading: _Reading | None = None

    @property
    def name(self) -> str:
        """Unique in the fleet, also in a process that was forked after this was made."""
        return f"{socket.gethostname()[:20]}:{os.getpid()}:{self._suffix}"

    def work(self, *, seconds: float = PIECE_SECONDS, now: datetime.datetime | None = None) -> bool:
        """Work on the oldest uploaded import that no other worker works on; whether there was one."""
        stored = self._claim(now or timezone.now(), is_local=False)
        if stored is None:
            return False
        until = time.monotonic() + seconds
        while self.advance(stored.pk) and time.monotonic() < until:
            pass
        return True

    def advance(self, pk: int) -> bool:
        """Do one chunk of this import, which this worker has claimed; whether there may be more."""
        working = ArchiveImport.objects.filter(pk=pk, worker=self.name, state__in=ARCHIVE_WORKING)
        stored = working.select_related("newsletter").first()
        if stored is None:
            self.close()
            return False
        try:
            self._advance(stored)
        except _Overtaken:
            self.close()
        except UploadDeleted:
            self._stop(stored, ArchiveProblem.FILE_DELETED)
        except ArchiveError as error:
            self._stop(stored, ArchiveProblem.ARCHIVE, error.args[0] if error.args else "")
        except (InterfaceError, OperationalError):
            # The database is away or busy: the same chunk is tried again.
            self.close()
            raise
        except Exception:
            # It would happen again, and no other import would have its turn.
            log.exception("Import %s of an archive failed", stored.pk)
            self._stop(stored, ArchiveProblem.ERROR)
        return True

    def claim(self, pk: int, now: datetime.datetime | None = None) -> bool:
        """Take this import, unless another worker has it."""
        return self._claim(now or timezone.now(), pk=pk) is not None

    def release(self, pk: int) -> None:
        """Let another worker continue at once."""
        ArchiveImport.objects.filter(pk=pk, worker=self.name).update(worker="")
        self.close()

    def close(self) -> None:
        """Close the archive."""
        self._reading = None
        if self._upload is not None:
            self._upload[1].close()
            self._upload = None

    def _claim(self, now: datetime.datetime, **which: Any) -> ArchiveImport | None:
        is_free = Q(worker__in=("", self.name)) | Q(heartbeat_at__lt=now - LEASE) | Q(heartbeat_at__isnull=True)
        waiting = ArchiveImport.objects.filter(is_free, state__in=ARCHIVE_WORKING, **which)
        for stored in waiting.exclude(sha256="", is_local=False).order_by("pk")[:5]:
            taken = waiting.filter(pk=stored.pk, worker=stored.worker)
            resumed = {"resumed_at": stored.done_count} if stored.worker not in ("", self.name) else {}
            if taken.update(worker=self.name, heartbeat_at=now, **resumed):
                return stored
        return None

    def _advance(self, stored: ArchiveImport) -> None:
        if stored.state == ArchiveImportState.CHECKING:
            self._check(stored)
        elif stored.state == ArchiveImportState.RUNNING:
            self._run(stored)
        else:
            self._undo(stored)

    def _locked(self, stored: ArchiveImport) -> ArchiveImport:
        """The row, locked, if it is as this worker knows it. Raises _Overtaken.

        The newsletter is locked, too: two imports into it do not write at the same time.
        """
        Newsletter.objects.select_for_update(no_key=True).get(pk=stored.newsletter_id)
        row = ArchiveImport.objects.select_for_update(of=("self",)).select_related("newsletter")
        found = row.filter(pk=stored.pk).first()
        if found is None or (found.worker, found.state, _cursor(found)) != (self.name, stored.state, _cursor(stored)):
            raise _Overtaken
        found.heartbeat_at = timezone.now()
        return found

    # Checking

    def _check(self, stored: ArchiveImport) -> None:
        """Read the next items of the archive into entries."""
        reading = self._opened(stored)
        items = list(islice(reading.items, READ_ITEMS))
        entries = staged_entries(stored, reading.archive, items, pictures_are_stored=self._store_picture is not None)
        with transaction.atomic():
            row = self._locked(stored)
            ArchiveEntry.objects.bulk_create(entries, batch_size=100)
            row.entry_count += len(entries)
            row.expected = added(row.expected, counts_of(entries, of_check=True))
            row.archive = reading.archive
            row.save(update_fields=["entry_count", "expected", "archive", "heartbeat_at"])
            if len(items) < READ_ITEMS:
                now = timezone.now()
                ARCHIVE_IMPORT_MACHINE.move_row(row, ArchiveImportState.CHECKED, worker="", checked_at=now)
        reading.done = row.entry_count

    def _opened(self, stored: ArchiveImport) -> _Reading:
        """The archive, at the next item. Raises ArchiveError."""
        reading = self._reading
        if reading is None or (reading.pk, reading.done) != (stored.pk, stored.entry_count):
            files = self._archive(stored)
            archive_reader = self._choose(files, stored.site_url, stored.archive)
            items = islice(archive_reader.items(files), stored.entry_count, None)
            reading = self._reading = _Reading(stored.pk, stored.entry_count, archive_reader.code, items)
        return reading

    def _archive(self, stored: ArchiveImport) -> ArchiveFiles:
        """The files of the archive. Raises ArchiveError."""
        if self._files is not None:
            return self._files
        if self._upload is None or self._upload[0] != stored.pk:
            self.close()
            self._upload = (stored.pk, OpenUpload(stored))
        return self._upload[1].files

    # Running

    def _run(self, stored: ArchiveImport) -> None:
        """Write the next issues."""
        pictures = Pictures(store=self._store_picture)
        with transaction.atomic():
            row = self._locked(stored)
            waiting = ArchiveEntry.objects.filter(owner=row, position__gt=row.done_count, outcome="")
            entries = list(waiting.order_by("position")[:WRITE_ITEMS])
            if not entries:
                self._end(row, ArchiveImportState.FINISHED)
                return
            if self._store_picture and any(entry.data and entry.data["pictures"] for entry in entries):
                with contextlib.suppress(UploadDeleted):
                    pictures = Pictures(self._archive(stored), self._store_picture)
            records = records_of(row.newsletter, row.archive, [entry.key for entry in entries if entry.data])
            done = [self._written(row, entry, records.get(entry.key), pictures) for entry in entries]
            fields = ["outcome", "issue", "is_on_web", "notes", "link_count", "lost_link_count"]
            ArchiveEntry.objects.bulk_update(done, fields)
            row.done_count = entries[-1].position
            row.counts = added(row.counts, counts_of(done, of_check=False))
            row.save(update_fields=["done_count", "counts", "heartbeat_at"])
            failpoint(Point.ARCHIVE_UNCOMMITTED)
        failpoint(Point.ARCHIVE_COMMITTED)

    def _written(self, row: ArchiveImport, entry: ArchiveEntry, record: Any, pictures: Pictures) -> ArchiveEntry:
        if not entry.data:
            entry.outcome = entry.expected
            return entry
        return write_entry(row, entry, record, pictures)

    # Undoing

    def _undo(self, stored: ArchiveImport) -> None:
        with transaction.atomic():
            row = self._locked(stored)
            if not undo_some(row):
                self._end(row, ArchiveImportState.UNDONE)

    # Ends

    def _stop(self, stored: ArchiveImport, problem: ArchiveProblem, sentence: str = "") -> None:
        with transaction.atomic():
            row = ArchiveImport.objects.select_for_update().filter(pk=stored.pk, state=stored.state).first()
            if row is not None and row.worker == self.name:
                detail = to_data(sentence) if sentence else None
                self._end(row, ArchiveImportState.FAILED, problem=problem, detail=detail)
        self.close()

    def _end(self, row: ArchiveImport, state: ArchiveImportState, **values: Any) -> None:
        """Nothing is left to do: the upload, which may hold data of subscribers, and the read items are deleted."""
        ARCHIVE_IMPORT_MACHINE.move_row(row, state, worker="", ended_at=timezone.now(), **values)
        delete_upload(row)
        self.close()


def delete_upload(row: ArchiveImport) -> None:
    """Delete the uploaded file and the items that were read from it. The report stays."""
    ArchiveImportPart.objects.filter(owner=row).delete()
    ArchiveEntry.objects.filter(owner=row, data__isnull=False).update(data=None)


def _cursor(row: ArchiveImport) -> tuple[int, int, int]:
    return row.entry_count, row.done_count, row.last_pk
