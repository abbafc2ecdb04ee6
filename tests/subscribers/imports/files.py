"""Import files in tests: written, opened, planned and read."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from subscribers.imports.plan import ImportPlan, ProofKind, guess_mapping, problems
from subscribers.imports.presets import recognise
from subscribers.imports.rows import ImportRow, RowState, read_rows
from subscribers.imports.source import Source, Table, open_source

STATEMENT = "Double opt-in on example.org, 2021 to 2026."


def opened(folder: Path, data: str | bytes, name: str = "people.csv") -> Source:
    """A file with this content, opened."""
    path = folder / "upload"
    path.write_bytes(data.encode() if isinstance(data, str) else data)
    return open_source(path, name)


def table_of(folder: Path, data: str | bytes, name: str = "people.csv") -> Table:
    """The only table of such a file."""
    (table,) = opened(folder, data, name).tables
    return table


def plan_of(table: Table, name: str = "people.csv", *, answer: RowState | None = None) -> ImportPlan:
    """The guessed plan with all answers."""
    plan = guess_mapping(table, recognise(table, name))
    plan = replace(plan, proof=ProofKind.SINGLE_OPT_IN, statement=STATEMENT)
    return replace(plan, default_state=answer) if answer else plan


def rows_of(
    folder: Path, data: str | bytes, name: str = "people.csv", *, answer: RowState | None = None
) -> list[ImportRow]:
    """The rows of all tables of such a file, as the guessed plan reads them."""
    rows: list[ImportRow] = []
    for table in opened(folder, data, name).tables:
        plan = plan_of(table, name, answer=answer)
        assert problems(plan, table) == []
        rows += read_rows(table, plan)
    return rows
