"""Restores a backup: checks everything, loads it with all sending stopped, and holds what may have been sent since."""

from __future__ import annotations

import datetime
import sqlite3
import tempfile
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from django.conf import settings
from django.core.management import call_command
from django.db import DatabaseError, connection
from django.db.migrations.loader import MigrationLoader
from django.utils import timezone

from newsletter.backup import postgresql, sqlite
from newsletter.backup.archive import DamagedBackup, extract_database, read_manifest, read_pictures
from newsletter.backup.manifest import Manifest, fingerprint, installation
from newsletter.backup.pictures import restore_pictures
from newsletter.models import Reason, Restore, RestoreSource, SendingSwitch, SwitchState
from newsletter.monitoring.health import database_file
from newsletter.monitoring.heartbeat import workers
from newsletter.sending.after_restore import secure_unfinished
from newsletter.sending.database_mark import write_mark

BY = "manage.py restore"


class Refused(Exception):
    """The backup must not be restored here; `problems` are sentences that say why, and what to do."""

    def __init__(self, problems: list[str]) -> None:
        super().__init__("\n".join(problems))
        self.problems = problems


class RestoreFailed(Exception):
    """The database is as it was; the message says why."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Permissions:
    """What the operator has allowed in spite of a problem."""

    replace: bool = False
    """The present content of the database is deleted."""
    other_suppressions: bool = False
    """The backup's SUPPRESSION_SECRET is lost."""


def problems_of(manifest: Manifest, allowed: Permissions) -> list[str]:
    """Why this backup must not be restored into this installation."""
    return [
        *_schema_problems(manifest),
        *([] if allowed.other_suppressions else _suppression_problems(manifest)),
        *_database_problems(allowed),
    ]


def _schema_problems(manifest: Manifest) -> Iterator[str]:
    if manifest.vendor != connection.vendor:
        yield (
            f"The backup is of a {manifest.vendor} database, and DATABASE_URL names a {connection.vendor} database. "
            "Set DATABASE_URL to one of the same kind."
        )
    known = MigrationLoader(None, ignore_no_migrations=True)
    names = {f"{app}.{name}" for app, name in known.disk_migrations}
    for migration in known.disk_migrations.values():
        names |= {f"{app}.{name}" for app, name in migration.replaces}
    apps = {app for app, _name in known.disk_migrations}
    later = [name for name in manifest.migrations if name not in names and name.partition(".")[0] in apps]
    if later:
        yield (
            f"The backup was made by a later version of this program (version {manifest.version}, migration "
            f"{later[-1]}). Install that version first."
        )


def _suppression_problems(manifest: Manifest) -> Iterator[str]:
    if manifest.installation.get("SUPPRESSION_SECRET") != installation()["SUPPRESSION_SECRET"]:
        yield (
            "SUPPRESSION_SECRET differs from that of the backup: its suppressed addresses would not be recognised, and "
            "would get mail again. Restore .env from the same time. Only if that secret is lost, use "
            "--lost-suppression-secret."
        )


def _database_problems(allowed: Permissions) -> Iterator[str]:
    """Raises RestoreFailed if the database cannot be reached."""
    try:
        tables = connection.introspection.table_names()
        alive = [state.name for state in workers() if state.is_alive] if "newsletter_workerheartbeat" in tables else []
    except DatabaseError as error:
        raise RestoreFailed(_why_not_loaded(error)) from error
    if alive:
        yield f"Workers are running: {', '.join(alive)}. Stop all of them, and try again."
    if "django_migrations" in tables and not allowed.replace:
        yield (
            "The database is not empty. Make a backup of it first if you may need it, and use --replace to delete its "
            "content."
        )


def notes_on(manifest: Manifest) -> list[str]:
    """What differs and does not prevent the restore."""
    ours, theirs, notes = installation(), manifest.installation, []
    fallbacks = [fingerprint(key) for key in settings.SECRET_KEY_FALLBACKS]
    if theirs.get("SECRET_KEY") not in (ours["SECRET_KEY"], *fallbacks):
        notes.append(
            "SECRET_KEY differs: links in mails that were sent do not work. Add the former value to "
            "SECRET_KEY_FALLBACKS if you have it."
        )
    for name in ("ENVIRONMENT", "SITE_URL", "PROVIDER"):
        if theirs.get(name) != ours[name]:
            notes.append(f"{name} is {ours[name]}; in the backup it was {theirs.get(name)}.")
    if not set(theirs.get("provider_accounts", ())) & set(ours["provider_accounts"]):
        notes.append(
            "The provider's account or key differs: batches with an unknown outcome cannot be looked up with it."
        )
    return notes


def check_archive(path: Path) -> Manifest:
    """Read the whole backup and compare it with its checksums. Raises DamagedBackup, and OSError."""
    manifest = read_manifest(path)
    with tempfile.TemporaryDirectory() as folder:
        extract_database(path, manifest, Path(folder) / "database")
    for _path, _data in read_pictures(path, manifest):
        pass  # reading compares
    return manifest


def restore_backup(path: Path, allowed: Permissions) -> tuple[Manifest, Restore]:
    """Restore, with all sending stopped until an operator resumes it.

    The database is loaded in one transaction that also stops sending. If the process is killed after it, the next
    worker finishes the rest before it does anything else. Raises DamagedBackup, Refused, RestoreFailed and OSError.
    """
    manifest = read_manifest(path)
    if problems := problems_of(manifest, allowed):
        raise Refused(problems)
    file = database_file()
    with tempfile.TemporaryDirectory(prefix=".restore-", dir=file.parent if file else None) as folder:
        database = Path(folder) / "database"
        database.touch(mode=0o600)
        extract_database(path, manifest, database)
        # First, so that the database never names a file that is missing; without the database nothing names them.
        restore_pictures(read_pictures(path, manifest))
        connection.close()
        now = timezone.now()
        if manifest.vendor == "sqlite":
            _load_sqlite(database, manifest, now)
        else:
            _load_postgresql(database, manifest, now)
    call_command("migrate", verbosity=0)
    if connection.vendor == "postgresql":
        with connection.cursor() as cursor:
            cursor.execute("ANALYZE")
    secure_unfinished()
    write_mark()
    return manifest, Restore.objects.latest("pk")


def _stop_sql(manifest: Manifest, now: datetime.datetime) -> str:
    """Stops all sending and records the restore; plain SQL, so that it is part of the transaction that loads."""
    made_at = min(manifest.made_at, now).astimezone(datetime.UTC)
    at = now.astimezone(datetime.UTC)
    # Django's own form of a time in SQLite.
    zone = "" if manifest.vendor == "sqlite" else "+00"
    before, after = f"'{made_at:%Y-%m-%d %H:%M:%S.%f}{zone}'", f"'{at:%Y-%m-%d %H:%M:%S.%f}{zone}'"
    schema = "" if manifest.vendor == "sqlite" else f"{postgresql.quoted(postgresql.schema_name())}."
    return f"""
        INSERT INTO {schema}newsletter_restore (backup_at, restored_at, source, "by", held, acknowledged_by)
        VALUES ({before}, {after}, '{RestoreSource.COMMAND}', '{BY}', '{{}}', '');
        INSERT INTO {schema}newsletter_sendingswitch (id, state, stop_reason, stop_values, stopped_by, stopped_at)
        VALUES ({SendingSwitch.PK}, '{SwitchState.STOPPED}', '{Reason.RESTORED}', '{{}}', '{BY}', {after})
        ON CONFLICT (id) DO UPDATE SET state = excluded.state, stop_reason = excluded.stop_reason,
            stop_values = excluded.stop_values, stopped_by = excluded.stopped_by, stopped_at = excluded.stopped_at;
    """  # noqa: S608 - values of our own


def _load_sqlite(database: Path, manifest: Manifest, now: datetime.datetime) -> None:
    target = database_file()
    assert target is not None  # noqa: S101 - checked with the vendor
    try:
        if damage := sqlite.damage_in(database):
            raise DamagedBackup(f"The database in the backup is damaged: {damage}.")
        with closing(sqlite3.connect(database)) as source:
            source.executescript(_stop_sql(manifest, now))
            source.commit()
            # One transaction in the target: processes that have it open see the old or the new content.
            with closing(sqlite3.connect(target, timeout=20)) as live:
                source.backup(live)
    except sqlite3.DatabaseError as error:
        raise RestoreFailed(f"The database was not loaded. {_why_not_loaded(error)}") from error


def _why_not_loaded(error: sqlite3.Error | DatabaseError) -> str:
    """Why the installation's database can be neither read nor replaced, and what to do if it is damaged."""
    file = database_file()
    mend = f" {sqlite.how_to_replace(file)}" if file and sqlite.is_damage(error) else ""
    return sqlite.reason(error) + mend


def _load_postgresql(database: Path, manifest: Manifest, now: datetime.datetime) -> None:
    try:
        postgresql.load(database, before=postgresql.DROP_OURS, after=_stop_sql(manifest, now))
    except postgresql.ProgramFailed as error:
        raise RestoreFailed(f"The database was not loaded, and is as it was. {error}") from error
