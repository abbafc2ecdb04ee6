"""The schema of an earlier version, in the database of the tests, and its upgrade."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from django.core.management import call_command
from django.db import connection
from django.db.migrations.executor import MigrationExecutor
from django.db.migrations.loader import MigrationLoader

#: A migration: app and name.
Node = tuple[str, str]

#: Returns a model of the earlier version: `old("newsletter.Issue")`.
Models = Callable[[str], Any]


@contextmanager
def schema_of(*last: Node) -> Iterator[Models]:
    """An empty database with the schema of an earlier version: all migrations up to `last`, one by one.

    Afterwards the database has the present schema again, and is empty.
    """
    try:
        clear_database()
        yield apply_each(*last)
    finally:
        clear_database()
        upgrade()


def apply_each(*last: Node) -> Models:
    """Apply the migrations up to `last` without the ones that replace them; return the models of that version."""
    executor = MigrationExecutor(connection)
    executor.loader = MigrationLoader(connection, replace_migrations=False)
    ours = {app for app, _name in last}
    others = [node for node in executor.loader.graph.leaf_nodes() if node[0] not in ours]
    executor.migrate([*last, *others])
    apps = executor.loader.project_state(list(last)).apps
    return lambda name: apps.get_model(name)


def upgrade() -> None:
    """What an operator runs after an update."""
    call_command("migrate", verbosity=0)


def clear_database() -> None:
    """Drop all tables."""
    with connection.cursor() as cursor:
        if connection.vendor == "postgresql":
            cursor.execute("DROP SCHEMA public CASCADE")
            cursor.execute("CREATE SCHEMA public")
            return
        cursor.execute("PRAGMA foreign_keys = OFF")
        # First the index of the search, with the tables that FTS5 keeps for it.
        cursor.execute("DROP TABLE IF EXISTS subscribers_search")
        cursor.execute("SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite_%'")
        for (table,) in cursor.fetchall():
            cursor.execute(f'DROP TABLE "{table}"')
        cursor.execute("PRAGMA foreign_keys = ON")
