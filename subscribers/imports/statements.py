# ruff: noqa: S608 - the statements are made of names and words of ours; values are parameters
"""SQL of imports: statements about temporary tables that run on PostgreSQL and SQLite."""

from __future__ import annotations

import datetime
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from django.db import connection, models

from subscribers.imports.outcomes import SUPPRESSION_OF_RANK, Rank
from subscribers.models import CustomField, SubscriptionState


@dataclass(frozen=True, slots=True, kw_only=True)
class ChunkContext:
    """What all chunks of an import share."""

    import_pk: int
    mailing_list_pk: int
    list_name: str
    by: str
    text_pk: int | None
    """The ConsentText with the statement."""
    tags: Sequence[int | None]
    """The tags by their number in the rows; None for one that does not exist yet."""
    fields: Sequence[CustomField]
    """The custom fields by their number in the rows. In a dry run, new ones are not saved."""
    replaces: bool
    """Whether values of the file replace those that are known."""
    now: datetime.datetime


class Statements:
    """Runs statements with the values of one chunk as named parameters, `%(name)s`."""

    def __init__(self, values: Mapping[str, Any]) -> None:
        self._is_postgresql = connection.vendor == "postgresql"
        # Subqueries stay separate. Merged into one, each use of a column would repeat the whole expression.
        self._fence = "OFFSET 0" if self._is_postgresql else "LIMIT -1 OFFSET 0"
        self._values = dict(values)

    def _insert(
        self, model: type[models.Model], columns: Mapping[str, str], source: str, *, on_conflict: str = ""
    ) -> int:
        """INSERT … SELECT; columns that are not named get the default of the model. Returns the number of rows."""
        named = {column.strip('"') for column in columns}
        expressions, values = dict(columns), dict(self._values)
        for field in model._meta.concrete_fields:
            if field.column in named or field.primary_key or field.db_default is not models.NOT_PROVIDED:
                continue
            expressions[quoted(str(field.column))] = f"%({field.column}_default)s"
            values[f"{field.column}_default"] = field.get_db_prep_save(field.get_default(), connection)
        conflict = f" ON CONFLICT {on_conflict}" if on_conflict else ""
        if conflict and not self._is_postgresql and " WHERE " not in source:
            source += " WHERE 1 = 1"
        with connection.cursor() as cursor:
            cursor.execute(
                f"INSERT INTO {table_of(model)} ({', '.join(expressions)}) "
                f"SELECT {', '.join(expressions.values())} {source}{conflict}",
                values,
            )
            return int(cursor.rowcount)

    def _make(self, table: str, query: str) -> None:
        """A temporary table with statistics."""
        self._run(f"CREATE TEMPORARY TABLE {table} AS {query}")
        if self._is_postgresql:
            self._run(f"ANALYZE {table}")

    def _run(self, statement: str) -> None:
        with connection.cursor() as cursor:
            cursor.execute(statement, self._used(statement))

    def _rows(self, query: str) -> Iterator[Any]:
        with connection.cursor() as cursor:
            cursor.execute(query, self._used(query))
            while rows := cursor.fetchmany(2000):
                yield from rows

    def _has(self, query: str) -> bool:
        return any(True for _row in self._rows(f"{query} LIMIT 1"))

    def _count(self, query: str) -> int:
        return int(next(self._rows(query))[0])

    def _used(self, statement: str) -> dict[str, Any] | None:
        return self._values if "%(" in statement else None

    def _next_pk(self, model: type[models.Model]) -> str:
        """SQL of a free primary key. On SQLite the transaction has the write lock: no other process takes it."""
        table = table_of(model)
        if self._is_postgresql:
            sequence = next(self._rows(f"SELECT pg_get_serial_sequence('{table}', 'id')"))[0]
            return f"nextval('{sequence}')"
        used = self._count(
            f"""SELECT max(COALESCE((SELECT seq FROM sqlite_sequence WHERE name = '{table}'), 0),
            COALESCE((SELECT max(id) FROM {table}), 0))"""
        )
        return f"({used} + row_number() OVER (ORDER BY canonical))"


def table_of(model: type[models.Model]) -> str:
    return model._meta.db_table


def table_named(name: str) -> str:
    return f"subscribers_{name}"


def quoted(column: str) -> str:
    return connection.ops.quote_name(column)


def sql_list(values: Sequence[str]) -> str:
    """`('a', 'b')`; never empty, so that it is valid SQL."""
    return "(" + ", ".join(f"'{value}'" for value in values or ("",)) + ")"


def shown_value_sql(name: str) -> str:
    """The value of a row as a text."""
    return f"COALESCE(NULLIF({name}.text, ''), CAST({name}.number AS varchar(40)), CAST({name}.date AS varchar(40)))"


def same_value_sql(values: str) -> str:
    """Whether the stored value `x` is the same as that of the table `values`."""
    return f"""x.text = {values}.text AND COALESCE(x.number, 0) = COALESCE({values}.number, 0)
        AND (x.date = {values}.date OR (x.date IS NULL AND {values}.date IS NULL))"""


STATE_OF_RANK = f"""CASE rank WHEN {Rank.PENDING} THEN '{SubscriptionState.PENDING}'
    WHEN {Rank.ACTIVE} THEN '{SubscriptionState.ACTIVE}'
    WHEN {Rank.UNSUBSCRIBED} THEN '{SubscriptionState.UNSUBSCRIBED}' ELSE '{SubscriptionState.SUPPRESSED}' END"""

_REASONS = " ".join(f"WHEN {rank} THEN '{reason}'" for rank, reason in SUPPRESSION_OF_RANK.items())
REASON_OF_RANK = f"CASE rank {_REASONS} ELSE '' END"
