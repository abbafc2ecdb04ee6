"""Each app starts with one migration, which gives the same schema as the migrations that it replaces."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest
from django.db import connection
from django.db.migrations.executor import MigrationExecutor
from django.db.migrations.loader import MigrationLoader

from tests.old_schema import apply_each, clear_database, upgrade

APPS = ("newsletter", "subscribers")

#: The last migrations that the first ones replace.
REPLACED = (("newsletter", "0013_finish_sends"), ("subscribers", "0006_labels"))

SQLITE = {
    "columns": """
        SELECT m.name, c.name, c.type, c."notnull", c.dflt_value, c.pk
        FROM sqlite_master m, pragma_table_info(m.name) c WHERE m.type = 'table'
    """,
    "others": "SELECT tbl_name, type, sql FROM sqlite_master WHERE type IN ('index', 'trigger') AND sql IS NOT NULL",
}
POSTGRESQL = {
    "columns": """
        SELECT table_name, column_name, data_type, character_maximum_length, is_nullable, column_default, is_identity
        FROM information_schema.columns WHERE table_schema = 'public'
    """,
    "constraints": """
        SELECT conrelid::regclass::text, contype::text, pg_get_constraintdef(oid) FROM pg_constraint
        WHERE connamespace = 'public'::regnamespace AND contype <> 'n'
    """,
    "indexes": "SELECT tablename, indexdef FROM pg_indexes WHERE schemaname = 'public'",
    "triggers": "SELECT tgrelid::regclass::text, pg_get_triggerdef(oid) FROM pg_trigger WHERE NOT tgisinternal",
    "functions": "SELECT proname, prosrc FROM pg_proc WHERE pronamespace = 'public'::regnamespace",
    "options": """
        SELECT relname, reloptions::text FROM pg_class WHERE relnamespace = 'public'::regnamespace AND relkind = 'r'
    """,
}


@pytest.fixture
def _present_schema_afterwards(transactional_db: None) -> Iterator[None]:
    yield
    clear_database()
    upgrade()


def schema() -> dict[str, list[tuple[str, ...]]]:
    """Everything that the database knows of the tables, without the names that it or Django made up itself."""
    queries = POSTGRESQL if connection.vendor == "postgresql" else SQLITE
    found = {}
    with connection.cursor() as cursor:
        for kind, query in queries.items():
            cursor.execute(query)
            found[kind] = sorted(tuple(map(_without_made_up_names, row)) for row in cursor.fetchall())
    if connection.vendor == "sqlite":
        found |= {"constraints": _constraints_in_tables()}
    return found


def _without_made_up_names(value: object) -> str:
    """Django's names of indexes and PostgreSQL's of primary keys follow the table's name at the time of creation."""
    return re.sub(r'"?\w+_([0-9a-f]{8}(_\w+)?|pkey|key)\b"?', "…", str(value))


def _constraints_in_tables() -> list[tuple[str, ...]]:
    """SQLite keeps checks, foreign keys and unique constraints in the text of the table only."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT name, sql FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite_%'")
        tables = cursor.fetchall()
    return sorted((name, *sorted(_parts_of(sql))) for name, sql in tables)


def _parts_of(sql: str) -> list[str]:
    """The columns and constraints of CREATE TABLE; their order differs where a column was added later."""
    inside, depth, parts = sql[sql.index("(") + 1 : sql.rindex(")")], 0, [""]
    for character in inside:
        depth += {"(": 1, ")": -1}.get(character, 0)
        if character == "," and not depth:
            parts.append("")
        else:
            parts[-1] += character
    return [re.sub(r"\s+", " ", part).strip() for part in parts]


@pytest.mark.parametrize("app", APPS)
def test_a_new_installation_starts_with_one_migration_of_each_app(app: str) -> None:
    first, *later = sorted(name for of, name in MigrationLoader(None).graph.nodes if of == app)
    assert first.startswith("0001_squashed_")
    assert not any("squashed" in name for name in later)


@pytest.mark.upgrade
@pytest.mark.usefixtures("_present_schema_afterwards")
def test_a_new_installation_has_the_schema_of_an_upgraded_one() -> None:
    clear_database()
    upgrade()
    new = schema()
    clear_database()
    apply_each(*REPLACED)
    upgrade()
    upgraded = schema()
    assert MigrationExecutor(connection).migration_plan(MigrationLoader(connection).graph.leaf_nodes()) == []
    for kind, rows in new.items():
        assert upgraded[kind] == rows, kind
