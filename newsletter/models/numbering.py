"""Numbering: moves the numbers that a table gives to its next rows far ahead, so that none is given twice."""

from __future__ import annotations

from django.db import connection
from django.db.models import Model

#: How far: more rows than any installation makes in the age of a backup, and a small part of a 64-bit number.
NUMBERS_LEFT_OUT = 1_000_000_000

# A sequence is moved at once, even if the transaction fails, and never goes back.
MOVE_SEQUENCE = """
    SELECT setval(each.name, greatest(nextval(each.name), (SELECT max(id) FROM {table})) + %s)
    FROM (SELECT pg_get_serial_sequence('{table}', 'id')::regclass AS name) AS each
"""
MOVE_SQLITE = (
    "UPDATE sqlite_sequence SET seq = max(seq, (SELECT COALESCE(max(id), 0) FROM {table})) + %s WHERE name = %s"
)
# SQLite makes the row with the table's first one.
MAKE_SQLITE = "INSERT INTO sqlite_sequence (seq, name) SELECT COALESCE(max(id), 0) + %s, %s FROM {table}"


def leave_out_numbers(model: type[Model]) -> None:
    """Leave out the next NUMBERS_LEFT_OUT keys of a table with an automatic key named `id`."""
    table = model._meta.db_table
    with connection.cursor() as cursor:
        if connection.vendor == "postgresql":
            cursor.execute(MOVE_SEQUENCE.format(table=table), [NUMBERS_LEFT_OUT])
            return
        cursor.execute(MOVE_SQLITE.format(table=table), [NUMBERS_LEFT_OUT, table])
        if not cursor.rowcount:
            cursor.execute(MAKE_SQLITE.format(table=table), [NUMBERS_LEFT_OUT, table])
