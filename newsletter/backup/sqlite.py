"""Says in a sentence why a SQLite database cannot be read or written."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

from django.db import DatabaseError, connection

from newsletter.monitoring.health import database_file


def damage_in(file: Path) -> str:
    """What is wrong inside this database; empty if nothing is. Raises sqlite3.DatabaseError if it cannot be opened."""
    try:
        with closing(sqlite3.connect(file)) as opened:
            (result,) = opened.execute("PRAGMA quick_check(1)").fetchone()
    except sqlite3.DatabaseError as error:
        if not is_damage(error):
            raise
        return str(error)
    return "" if result == "ok" else str(result)


def is_damage(error: sqlite3.Error | DatabaseError) -> bool:
    """Whether the content of a file is the reason, and not a lock, a permission or the disk."""
    cause = error if isinstance(error, sqlite3.Error) else error.__cause__
    # Extended codes, such as SQLITE_CORRUPT_INDEX, begin with the code itself (SQLite, "Result and Error Codes").
    return getattr(cause, "sqlite_errorname", "").startswith(("SQLITE_CORRUPT", "SQLITE_NOTADB"))


def reason(error: sqlite3.Error | DatabaseError) -> str:
    """Why the installation's database was not read or copied."""
    file = database_file()
    if file and is_damage(error):
        return f"{file} is damaged ({error})."
    if connection.vendor == "sqlite":
        return f"SQLite failed: {error}."
    # The words of a database server may name accounts and hosts.
    return f"The database does not answer ({type(error).__name__})."


def how_to_replace(file: Path) -> str:
    """What to do so that a backup can be restored in place of a damaged file."""
    return f"Move {file}, {file.name}-wal and {file.name}-shm to another directory, and run restore again."
