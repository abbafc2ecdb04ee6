"""What every test may ask for."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Iterator
from typing import Any

import hypothesis
import pytest
from django.db import connection
from django.db.backends.postgresql import base as postgresql
from django.db.backends.sqlite3 import base as sqlite
from django.test import TransactionTestCase

from newsletter.rendering import limited_process

# How long an example takes is the machine's affair; speed is measured in the benchmarks.
# On PostgreSQL the same properties run a second time: fewer examples show what differs there.
EXAMPLES = 25 if os.environ.get("TEST_DATABASE_URL", "").startswith("postgres") else 60
hypothesis.settings.register_profile("tests", deadline=None, max_examples=EXAMPLES)
hypothesis.settings.load_profile("tests")

DATABASE_FIXTURES = frozenset({"db", "transactional_db", "django_db_reset_sequences", "live_server"})


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """On PostgreSQL, only what may differ there; on SQLite, skip what needs connections that write at one time."""
    if connection.vendor == "postgresql":
        without = [item for item in items if not _meets_a_database(item)]
        config.hook.pytest_deselected(items=without)
        items[:] = [item for item in items if _meets_a_database(item)]
        return
    reason = "SQLite lets one connection write at a time; `make test-postgresql` runs this"
    for item in items:
        if item.get_closest_marker("postgresql"):
            item.add_marker(pytest.mark.skip(reason=reason))


def _meets_a_database(item: pytest.Item) -> bool:
    if item.get_closest_marker("any_database"):
        return False
    fixtures = frozenset(getattr(item, "fixturenames", ()))
    # Classes with Hypothesis are Django's own test cases: they have neither a mark nor a fixture.
    if issubclass(getattr(item, "cls", None) or object, TransactionTestCase):
        return True
    marked = any(item.get_closest_marker(name) for name in ("django_db", "postgresql", "processes", "faults"))
    return marked or bool(DATABASE_FIXTURES & fixtures)


@pytest.fixture(autouse=True, scope="session")
def _marks_of_databases_go_to_a_temporary_folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Workers mark the database in a file beside it, or in var/."""
    folder = tmp_path_factory.mktemp("marks")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("newsletter.sending.database_mark.mark_folder", lambda: folder)
        yield


@pytest.fixture(autouse=True, scope="session")
def _flush_reaches_append_only_tables() -> Iterator[None]:
    """Between transactional tests all tables are emptied, with DELETE or TRUNCATE; append-only tables refuse both."""
    with pytest.MonkeyPatch.context() as patch:
        for operations, without_triggers in (
            (sqlite.DatabaseWrapper.ops_class, _sqlite_without_triggers),
            (postgresql.DatabaseWrapper.ops_class, _postgresql_without_triggers),
        ):
            patch.setattr(operations, "sql_flush", without_triggers(operations.sql_flush))
        yield


def _sqlite_without_triggers(sql_flush: Any) -> Any:
    def flush(self: Any, *args: Any, **kwargs: Any) -> list[str]:
        with connection.cursor() as cursor:
            cursor.execute("SELECT name, sql FROM sqlite_master WHERE type = 'trigger'")
            triggers = dict(cursor.fetchall())
        statements = sql_flush(self, *args, **kwargs)
        return [*(f"DROP TRIGGER {name}" for name in triggers), *statements, *triggers.values()]

    return flush


def _postgresql_without_triggers(sql_flush: Any) -> Any:
    def flush(self: Any, *args: Any, **kwargs: Any) -> list[str]:
        with connection.cursor() as cursor:
            cursor.execute("SELECT DISTINCT tgrelid::regclass::text FROM pg_trigger WHERE tgname LIKE '%no_truncate'")
            tables = [table for (table,) in cursor.fetchall()]
        statements = sql_flush(self, *args, **kwargs)
        disable, enable = (
            [f"ALTER TABLE {table} {change} TRIGGER USER" for table in tables] for change in ("DISABLE", "ENABLE")
        )
        return [*disable, *statements, *enable] if statements else []

    return flush


@pytest.fixture(autouse=True, scope="session")
def _rendering_may_take_long() -> Iterator[None]:
    """A busy machine may need many seconds to start a child process; the tests of the limits set their own."""
    patient = dataclasses.replace(limited_process.LIMITS, wall=60.0)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(limited_process, "LIMITS", patient)
        yield
