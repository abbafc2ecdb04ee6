"""The database mark: recognises a database that was restored by hand, by what this machine has seen of it before.

Workers write the time to a row, and then to a file. The row is therefore never behind the file, unless the database
went back to an earlier state: with `pg_restore`, with a copy of the SQLite file, or in a failover that lost writes. No
clock is compared with another one.
"""

from __future__ import annotations

import datetime
import logging
import os
import threading
from pathlib import Path

from django.db import connection, transaction
from django.utils import timezone

from newsletter.config.configuration import PROJECT_ROOT
from newsletter.models import DatabaseMark, Restore, RestoreSource
from newsletter.sending.after_restore import begin_restore, secure_unfinished

log = logging.getLogger(__name__)

#: How old the mark may become: a restore of a backup that is younger is not noticed.
FRESH = datetime.timedelta(seconds=5)

#: How far a mark goes on at least, so that it also does while the clock is behind it. As precise as the column.
STEP = datetime.timedelta(microseconds=1)


def mark_folder() -> Path:
    """Where the files are: beside an SQLite database, else in `var/`."""
    name = str(connection.settings_dict["NAME"])
    is_file = connection.vendor == "sqlite" and not name.startswith("file:") and name != ":memory:"
    return Path(name).absolute().parent if is_file else PROJECT_ROOT / "var"


def check_and_mark() -> bool:
    """Compare the database with this machine's file, then mark both. A step of the worker.

    A database that is older than the file is secured like one that `manage.py restore` has restored, and so is one
    whose restore was begun and not finished. Returns whether one was. Raises what the securing raises; all sending is
    stopped then, and the next call continues.
    """
    _begin_if_it_went_back()
    is_secured = secure_unfinished()
    write_mark()
    return is_secured


def _begin_if_it_went_back() -> None:
    known = DatabaseMark.objects.filter(pk=DatabaseMark.PK).first()
    seen = _read_file(_file_of(known)) if known else None
    if known is None or seen is None or known.marked_at >= seen:
        return
    with transaction.atomic():
        # Another worker may have marked both in between. A row that is read after the file is never behind it.
        locked = DatabaseMark.objects.select_for_update().filter(pk=DatabaseMark.PK, database=known.database)
        mark = locked.first()
        if mark is None or mark.marked_at >= seen:
            return
        details = {"marked_at": mark.marked_at.isoformat(), "seen_at": seen.isoformat()}
        log.error("The database is older than what this machine has seen: all sending is stopped", extra=details)
        _begin_or_reuse(mark)
        # With the restore that it shows, so that each is noticed once, however often the securing fails.
        DatabaseMark.objects.filter(pk=mark.pk).update(marked_at=max(timezone.now(), seen))


def _begin_or_reuse(mark: DatabaseMark) -> None:
    """A restore that is not finished covers this one, too: all sending has been stopped since it was begun."""
    now, unfinished = timezone.now(), Restore.objects.filter(secured_at__isnull=True)
    if unfinished.exists():
        unfinished.filter(restored_at__lt=now).update(restored_at=now)
    else:
        begin_restore(backup_at=mark.marked_at, source=RestoreSource.NOTICED, by="worker")


def write_mark() -> None:
    """Mark the database, and then the file. The mark never goes back, and goes on even if the clock is behind it.

    A mark that another worker has just made is only copied to the file.
    """
    now = timezone.now()
    known = DatabaseMark.objects.filter(pk=DatabaseMark.PK).first()
    if known and datetime.timedelta(0) <= now - known.marked_at < FRESH:
        seen = _read_file(_file_of(known))
        if seen is None or seen < known.marked_at:
            _write_file(_file_of(known), known.marked_at)
        if seen is None or seen <= known.marked_at:
            return
    with transaction.atomic():
        mark, is_new = DatabaseMark.objects.select_for_update().get_or_create(
            pk=DatabaseMark.PK, defaults={"marked_at": now}
        )
        file, latest = _file_of(mark), now
        if not is_new:
            latest = max(now, mark.marked_at + STEP, _read_file(file) or now)
            DatabaseMark.objects.filter(pk=mark.pk).update(marked_at=latest)
    _write_file(file, latest)


def _file_of(mark: DatabaseMark) -> Path:
    return mark_folder() / f"database-{mark.database}.mark"


def _read_file(file: Path) -> datetime.datetime | None:
    """The time in the file; None if there is none, or if its last write was cut off."""
    try:
        return datetime.datetime.fromisoformat(file.read_text(encoding="ascii").strip())
    except (OSError, ValueError):
        return None


def _write_file(file: Path, at: datetime.datetime) -> None:
    """Without the file, a restore by hand is not noticed on this machine: no reason to send nothing."""
    global _has_warned
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        # Several workers may write at the same time.
        temporary = file.with_suffix(f".{os.getpid()}-{threading.get_ident()}.new")
        temporary.write_text(f"{at.isoformat()}\n", encoding="ascii")
        temporary.replace(file)
    except OSError as error:
        if not _has_warned:
            log.warning(
                "Mark of the database not written: a restore by hand is not noticed here",
                extra={"folder": str(file.parent), "error": error.strerror},
            )
        _has_warned = True


_has_warned = False
