"""What every test may ask for."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from django.db import connection
from django.db.backends.sqlite3 import base as sqlite


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Skip, with the reason, what needs several connections that write at the same time."""
    if connection.vendor == "postgresql":
        return
    reason = "SQLite lets one connection write at a time; `make test-postgresql` runs this"
    for item in items:
        if item.get_closest_marker("postgresql"):
            item.add_marker(pytest.mark.skip(reason=reason))


@pytest.fixture(autouse=True, scope="session")
def _flush_reaches_append_only_tables() -> Iterator[None]:
    """SQLite empties tables between transactional tests with DELETE, which append-only tables refuse."""
    operations: Any = sqlite.DatabaseWrapper.ops_class
    sql_flush = operations.sql_flush

    def flush_without_triggers(self: Any, *args: Any, **kwargs: Any) -> list[str]:
        with connection.cursor() as cursor:
            cursor.execute("SELECT name, sql FROM sqlite_master WHERE type = 'trigger'")
            triggers = dict(cursor.fetchall())
        statements = sql_flush(self, *args, **kwargs)
        return [*(f"DROP TRIGGER {name}" for name in triggers), *statements, *triggers.values()]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(operations, "sql_flush", flush_without_triggers)
        yield
