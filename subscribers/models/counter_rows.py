"""Counters whose connections each have rows of their own, so that they do not wait for each other, and their adding up.

The value of a counter is the sum over `writer`: 0 is what was added up, any number above it a connection of PostgreSQL.
"""

from __future__ import annotations

from collections.abc import Sequence

from django.db import connection, models

#: Rows of connections that are added up in one transaction.
FOLDED_ROWS = 2_000


def fold_sql(table: str, columns: Sequence[str]) -> str:
    """The statement that adds up at most `%s` rows of connections; `columns` are those of the key of a counter.

    Rows that a connection is changing are left for the next time. Names are constants of the caller.
    """
    names, numbers = ", ".join(columns), ", ".join(str(number) for number in range(1, len(columns) + 1))
    return f"""
    WITH taken AS (
        DELETE FROM {table} WHERE id IN (
            SELECT id FROM {table} WHERE writer > 0 ORDER BY id LIMIT %s FOR UPDATE SKIP LOCKED)
        RETURNING {names}, value)
    INSERT INTO {table} ({names}, writer, value)
    SELECT {names}, 0, sum(value) FROM taken GROUP BY {numbers} ORDER BY {numbers}
    ON CONFLICT ({names}, writer) DO UPDATE SET value = {table}.value + excluded.value
    """  # noqa: S608 - names are ours


def fold_counters(model: type[models.Model], columns: Sequence[str]) -> bool:
    """Add up what connections have counted: each process that ever ran would leave its rows. Whether there is more."""
    of_connections = model._base_manager.filter(writer__gt=0)
    if connection.vendor != "postgresql" or not of_connections.exists():
        return False
    with connection.cursor() as cursor:
        cursor.execute(fold_sql(model._meta.db_table, columns), [FOLDED_ROWS])
    return of_connections.count() > FOLDED_ROWS
