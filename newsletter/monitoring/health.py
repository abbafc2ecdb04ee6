"""Health: what keeps this process from serving requests, as sentences.

No sentence holds an address, a path or what a driver said: probes are answered to anybody.
"""

from __future__ import annotations

import os
from pathlib import Path

from django.core.exceptions import ImproperlyConfigured
from django.db import DatabaseError, connection
from django.db.migrations.loader import MigrationLoader

from newsletter.monitoring.wording import counted
from newsletter.providers import get_provider

READ_ONLY = "The database takes no writes: it is read-only, or a standby."


def obstacles() -> list[str]:
    """Why requests cannot be served; empty if they can."""
    return [obstacle for obstacle in (database_obstacle(), configuration_obstacle()) if obstacle]


def database_obstacle() -> str:
    """Whether the database answers and has our tables, as a sentence; empty if so."""
    try:
        with connection.cursor() as cursor:
            cursor.execute("SELECT 1")
        pending = migrations_to_apply()
        if takes_no_writes():
            return READ_ONLY
    except DatabaseError as error:
        return f"The database does not answer ({type(error).__name__})."
    return f"{counted(pending, 'migration')} to apply: run manage.py migrate." if pending else ""


def takes_no_writes() -> bool:
    """Whether the database is read-only, such as a standby after a failover. Raises DatabaseError."""
    if connection.vendor == "postgresql":
        with connection.cursor() as cursor:
            cursor.execute("SELECT current_setting('transaction_read_only')")
            return bool(cursor.fetchone() == ("on",))
    file = database_file()
    return file is not None and not (os.access(file, os.W_OK) and os.access(file.parent, os.W_OK))


def database_file() -> Path | None:
    """Where SQLite writes; None on a server or in memory."""
    name = str(connection.settings_dict["NAME"])
    is_a_file = connection.vendor == "sqlite" and not name.startswith("file:") and name != ":memory:"
    return Path(name).absolute() if is_a_file else None


def configuration_obstacle() -> str:
    """Whether mail can be sent with these settings, as a sentence; empty if so."""
    try:
        get_provider()
    except (ImproperlyConfigured, ValueError) as error:
        return f"The provider cannot be set up ({type(error).__name__}): look at the settings."
    return ""


def migrations_to_apply() -> int:
    """How many migrations of the code are missing in the database. Raises DatabaseError.

    Once all are there they stay there, so that is remembered: probes come every few seconds, and the code of a
    running process does not change.
    """
    global _all_are_applied
    if _all_are_applied:
        return 0
    loader = MigrationLoader(connection)
    pending = len(loader.graph.nodes.keys() - loader.applied_migrations.keys())
    _all_are_applied = pending == 0
    return pending


_all_are_applied = False
