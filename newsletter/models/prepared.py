"""Prepared statements: the SQL of hot paths, which PostgreSQL parses once per connection and no ORM has to build.

For the statements of a batch, building and parsing takes longer than running. They are written for PostgreSQL. On
SQLite lists travel as JSON, and type casts and row locks are left out: a write transaction there locks everything.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from functools import cached_property
from typing import Any, TypeVar

import psycopg
from django.db import connection
from django.db.models import Field, Model
from django.db.models.expressions import Col

from newsletter.models.bulk_sql import as_json, on_sqlite

ModelT = TypeVar("ModelT", bound=Model)

#: What is written differently for SQLite, in this order.
SQLITE_FORMS = (
    (re.compile(r"= ANY\(%s(?:::\w+\[\])?\)"), "IN (SELECT value FROM json_each(%s))"),
    (re.compile(r"::\w+(?:\[\])?"), ""),
    (re.compile(r"\bFOR UPDATE(?: OF \w+)?(?: SKIP LOCKED)?"), ""),
    (re.compile(r"\bIS NOT DISTINCT FROM\b"), "IS"),
    # As Django's `Now`: its text sorts with the times that Django stores.
    (re.compile(r"\bSTATEMENT_TIMESTAMP\(\)"), "STRFTIME('%%Y-%%m-%%d %%H:%%M:%%f', 'NOW')"),
)


def columns_of(model: type[Model]) -> str:
    """All columns of a model in the order of its fields, for a statement whose rows become instances."""
    return ", ".join(str(field.column) for field in model._meta.concrete_fields)


def fields_of(model: type[Model], *names: str) -> list[Field[Any, Any]]:
    """Fields of a model by name, or all that have a column, for the `fields` of a statement."""
    fields = {field.name: field for field in model._meta.concrete_fields}
    return [fields[name] for name in names] if names else list(fields.values())


def sql_list(names: Iterable[str]) -> str:
    """Constant names as an SQL list, such as `'ready', 'claimed'`."""
    return ", ".join(f"'{name}'" for name in names)


class PreparedStatement:
    """One statement, with `%s` for each parameter: a number, text, time, bytes, or a list of numbers or texts.

    `fields` convert the columns of its rows as the ORM does. A statement in a transaction of Django is part of it.
    """

    def __init__(self, sql: str, fields: Sequence[Field[Any, Any]] = (), *, sqlite: str = "") -> None:
        """`sqlite` is given where the forms above are not enough; they apply to it, too."""
        self._sql = {"postgresql": sql, "sqlite": _for_sqlite(sqlite or sql)}
        self._fields = tuple(fields)

    def explain(self, *parameters: Any) -> str:
        """PostgreSQL's plan for these parameters."""
        with connection.cursor() as cursor:
            cursor.execute("EXPLAIN " + self._sql["postgresql"], parameters)
            return "\n".join(line for (line,) in cursor.fetchall())

    def execute(self, *parameters: Any) -> int:
        """Run it; returns how many rows it changed. Raises DatabaseError."""
        return int(self._run(parameters, lambda cursor: cursor.rowcount))

    def rows(self, *parameters: Any) -> list[tuple[Any, ...]]:
        """Run it; returns its rows. Raises DatabaseError."""
        rows: list[tuple[Any, ...]] = self._run(parameters, lambda cursor: cursor.fetchall())
        return [self._converted(row) for row in rows] if self._converters else rows

    def first(self, *parameters: Any) -> tuple[Any, ...] | None:
        """Its first row; None if there is none. Raises DatabaseError."""
        rows = self.rows(*parameters)
        return rows[0] if rows else None

    def _run(self, parameters: Sequence[Any], result: Callable[[Any], Any]) -> Any:
        if connection.vendor == "postgresql" and not _is_watched():
            connection.ensure_connection()
            # Django's own cursors bind parameters on the client, and so prepare nothing.
            with connection.wrap_database_errors, psycopg.Cursor(connection.connection) as prepared:
                prepared.execute(self._sql["postgresql"], parameters, prepare=True)
                return result(prepared)
        if connection.vendor == "sqlite":
            parameters = [as_json(value) if isinstance(value, list) else on_sqlite(value) for value in parameters]
        with connection.cursor() as cursor:
            cursor.execute(self._sql[connection.vendor], parameters)
            return result(cursor)

    def _converted(self, row: tuple[Any, ...]) -> tuple[Any, ...]:
        values = list(row)
        for place, column, converter in self._converters:
            values[place] = converter(values[place], column, connection)
        return tuple(values)

    @cached_property
    def _converters(self) -> list[tuple[int, Col, Callable[..., Any]]]:
        """What the values of a column go through on this database, with the place of the column."""
        columns = [Col("", field) for field in self._fields]
        return [
            (place, column, converter)
            for place, column in enumerate(columns)
            for converter in (*connection.ops.get_db_converters(column), *column.get_db_converters(connection))
        ]


def instance_of(model: type[ModelT], row: Sequence[Any]) -> ModelT:
    """An instance from a row that begins with `columns_of(model)`, as if the ORM had read it."""
    names = [field.attname for field in model._meta.concrete_fields]
    return model.from_db(connection.alias, names, row[: len(names)])


def _for_sqlite(sql: str) -> str:
    for pattern, form in SQLITE_FORMS:
        sql = pattern.sub(form, sql)
    return sql


def _is_watched() -> bool:
    """Whether something counts or records statements, as tests and tracing do through Django's cursors."""
    return bool(connection.execute_wrappers or connection.force_debug_cursor)
