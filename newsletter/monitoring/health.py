"""Health: what keeps this process from serving requests.

Probes are answered to any client, so no sentence holds an address, a path or a message of the database driver.
"""

from __future__ import annotations

import os
from pathlib import Path

from django.core.exceptions import ImproperlyConfigured
from django.db import DatabaseError, connection
from django.db.migrations.loader import MigrationLoader
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext

from newsletter.providers import get_provider

READ_ONLY = gettext_lazy("The database is read-only.")


def readiness_problems() -> list[str]:
    """Why requests cannot be served, as sentences; empty if they can."""
    return [problem for problem in (database_problem(), configuration_problem()) if problem]


def database_problem() -> str:
    """Why the database cannot be used; empty if it answers, accepts writes and has every table."""
    try:
        with connection.cursor() as cursor:
            cursor.execute("SELECT 1")
        unapplied = count_unapplied_migrations()
        if is_read_only():
            return str(READ_ONLY)
    except DatabaseError as error:
        return _("The database does not answer (%(error)s).") % {"error": type(error).__name__}
    return unapplied_sentence(unapplied) if unapplied else ""


def unapplied_sentence(count: int) -> str:
    """That so many migrations have not been applied."""
    return ngettext(
        "%(count)s migration has not been applied: run manage.py migrate.",
        "%(count)s migrations have not been applied: run manage.py migrate.",
        count,
    ) % {"count": count}


def is_read_only() -> bool:
    """Whether the database accepts no writes, such as a standby after a failover. Raises DatabaseError."""
    if connection.vendor == "postgresql":
        with connection.cursor() as cursor:
            cursor.execute("SELECT current_setting('transaction_read_only')")
            return bool(cursor.fetchone() == ("on",))
    file = database_file()
    return file is not None and not (os.access(file, os.W_OK) and os.access(file.parent, os.W_OK))


def database_file() -> Path | None:
    """The file of an SQLite database; None for a database server or a database in memory."""
    name = str(connection.settings_dict["NAME"])
    is_file = connection.vendor == "sqlite" and not name.startswith("file:") and name != ":memory:"
    return Path(name).absolute() if is_file else None


def configuration_problem() -> str:
    """Why no mail can be sent with these settings; empty if it can."""
    try:
        get_provider()
    except (ImproperlyConfigured, ValueError) as error:
        return _("The provider cannot be set up (%(error)s). Check the settings.") % {"error": type(error).__name__}
    return ""


def count_unapplied_migrations() -> int:
    """How many migrations of the code have not been applied. Raises DatabaseError.

    Once all are applied they stay so, and the code of a running process does not change. That is remembered, because
    probes come every few seconds.
    """
    global _is_migrated
    if _is_migrated:
        return 0
    loader = MigrationLoader(connection)
    unapplied = len(loader.graph.nodes.keys() - loader.applied_migrations.keys())
    _is_migrated = unapplied == 0
    return unapplied


_is_migrated = False
