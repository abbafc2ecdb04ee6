"""Makes a backup: a snapshot of the database while everything runs, in one file with a manifest."""

from __future__ import annotations

import datetime
import os
import sqlite3
import tempfile
from contextlib import closing
from pathlib import Path
from typing import Any

from django.db import DatabaseError, connection
from django.utils import timezone

from newsletter.backup import postgresql, sqlite
from newsletter.backup.archive import write_archive
from newsletter.backup.manifest import Manifest, manifest_of
from newsletter.backup.pictures import picture_paths, stored_pictures
from newsletter.monitoring.health import count_unapplied_migrations, database_file


class BackupFailed(Exception):
    """No backup was made; the message says why."""


def backup_path(path: Path, at: datetime.datetime) -> Path:
    """The file to write: `path`, or in a directory one that is named by the time in UTC."""
    return path / f"newsletter-{at.astimezone(datetime.UTC):%Y%m%dT%H%M%SZ}.zip" if path.is_dir() else path


def make_backup(path: Path) -> tuple[Path, Manifest]:
    """Write a backup that only this account may read; the file and its manifest. An existing file is kept.

    Raises BackupFailed, and OSError.
    """
    try:
        return _make_backup(path)
    except (DatabaseError, sqlite3.Error) as error:
        raise BackupFailed(sqlite.reason(error)) from error


def _make_backup(path: Path) -> tuple[Path, Manifest]:
    if count_unapplied_migrations():
        raise BackupFailed("Migrations are missing in this database. Run manage.py migrate first.")
    now = timezone.now()
    path = backup_path(path, now)
    if path.exists():
        raise BackupFailed(f"{path} exists already.")
    with tempfile.TemporaryDirectory(dir=path.parent, prefix=".backup-") as folder:
        database, archive = Path(folder) / "database", Path(folder) / "archive"
        manifest, paths = {"sqlite": _copy_sqlite, "postgresql": _dump_postgresql}[connection.vendor](database, now)
        archive.touch(mode=0o600)
        manifest = write_archive(archive, manifest, database, stored_pictures(paths))
        _flush(archive)
        try:
            # Unlike a rename, this fails if the file was made meanwhile.
            os.link(archive, path)
        except FileExistsError as error:
            raise BackupFailed(f"{path} exists already.") from error
    return path, manifest


def _flush(file: Path) -> None:
    with file.open("rb") as opened:
        os.fsync(opened.fileno())


def _copy_sqlite(target: Path, now: datetime.datetime) -> tuple[Manifest, list[str]]:
    """Copy the database with SQLite's backup API, which does not block writers; the manifest is that of the copy.

    So are the paths of pictures.
    """
    source = database_file()
    if source is None:
        raise BackupFailed("The database is in memory.")
    target.touch(mode=0o600)
    with closing(sqlite3.connect(source)) as read, closing(sqlite3.connect(target)) as copy:
        read.backup(copy)
        # One file, without a write-ahead log beside it.
        copy.execute("PRAGMA journal_mode=DELETE")
        if damage := sqlite.damage_in(target):
            raise BackupFailed(f"{source} is damaged: {damage}.")

        def query(sql: str) -> list[tuple[Any, ...]]:
            return copy.execute(sql).fetchall()

        return manifest_of(query, made_at=now), picture_paths(query)


def _dump_postgresql(target: Path, now: datetime.datetime) -> tuple[Manifest, list[str]]:
    try:
        with postgresql.snapshot() as snapshot:
            manifest, paths = manifest_of(postgresql.rows, made_at=now), picture_paths(postgresql.rows)
            postgresql.dump(target, snapshot)
    except postgresql.ProgramFailed as error:
        raise BackupFailed(str(error)) from error
    return manifest, paths
