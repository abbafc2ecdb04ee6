"""Triggers that make tables append-only: the SQL that several migrations create and drop. Not a migration.

A row is proof only if it cannot be changed. Refused are UPDATE and DELETE, on PostgreSQL also TRUNCATE, and on SQLite
every insert of a key that is there, because REPLACE deletes the row before without firing the trigger of DELETE.
Erasure is the one exception: columns that identify a subscriber may be emptied, and references to rows that are erased with
them. The owner of the database can drop triggers: they stop mistakes, and a web process that runs under a role of its
own.

SQLite drops triggers when a later migration rebuilds the table, as AlterField does: such a migration starts with
`allow_changes` and ends with `refuse_changes`. Tests check that the triggers are there, and what they refuse.
"""

REFUSAL = "This table is append-only: its rows are proof. Only their personal columns may be emptied."

#: In this order they are created. The names of the triggers are those of the table with one of these.
NAMES = ("no_delete", "no_update", "no_truncate", "no_replace")


def _unchanged(columns, same):
    """SQL that holds for an UPDATE that empties personal columns and does nothing else."""
    conditions = [f"NEW.{name} {same} OLD.{name}" for name in columns["fixed"]]
    conditions += [f"(NEW.{name} {same} OLD.{name} OR NEW.{name} = '')" for name in columns["text"]]
    conditions += [f"(NEW.{name} {same} OLD.{name} OR NEW.{name} IS NULL)" for name in columns["null"]]
    return " AND ".join(conditions)


def _sqlite(table, columns):
    refuse = f"BEGIN SELECT RAISE(ABORT, '{REFUSAL}'); END"
    same_key = " OR ".join(f"{name} = NEW.{name}" for name in ("id", *columns.get("unique", ())))
    yield f"CREATE TRIGGER {table}_no_delete BEFORE DELETE ON {table} {refuse}"
    yield (
        f"CREATE TRIGGER {table}_no_update BEFORE UPDATE ON {table} "
        f"WHEN NOT ({_unchanged(columns, 'IS')}) {refuse}"
    )
    yield (
        f"CREATE TRIGGER {table}_no_replace BEFORE INSERT ON {table} "
        f"WHEN EXISTS (SELECT 1 FROM {table} WHERE {same_key}) {refuse}"
    )


def _postgresql(table, columns):
    # 23001 is restrict_violation: Django raises IntegrityError, as it does for SQLite's triggers.
    yield (
        f"CREATE FUNCTION {table}_refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN "
        f"RAISE EXCEPTION '{REFUSAL}' USING ERRCODE = '23001'; END $$"
    )
    yield f"CREATE TRIGGER {table}_no_delete BEFORE DELETE ON {table} FOR EACH ROW EXECUTE FUNCTION {table}_refuse()"
    yield (
        f"CREATE TRIGGER {table}_no_update BEFORE UPDATE ON {table} FOR EACH ROW "
        f"WHEN (NOT ({_unchanged(columns, 'IS NOT DISTINCT FROM')})) EXECUTE FUNCTION {table}_refuse()"
    )
    yield (
        f"CREATE TRIGGER {table}_no_truncate BEFORE TRUNCATE ON {table} "
        f"FOR EACH STATEMENT EXECUTE FUNCTION {table}_refuse()"
    )


def refuse_changes(schema_editor, tables):
    """`tables` maps a table to its columns: `text` and `null` may be emptied, `fixed` stay as they are.

    `unique` names the columns, beside `id`, of which no two rows share a value.
    """
    write = {"sqlite": _sqlite, "postgresql": _postgresql}[schema_editor.connection.vendor]
    for table, columns in tables.items():
        for statement in write(table, columns):
            schema_editor.execute(statement, params=None)


def allow_changes(schema_editor, tables):
    for table in tables:
        on = f" ON {table}" if schema_editor.connection.vendor == "postgresql" else ""
        for name in NAMES:
            schema_editor.execute(f"DROP TRIGGER IF EXISTS {table}_{name}{on}", params=None)
        if on:
            schema_editor.execute(f"DROP FUNCTION IF EXISTS {table}_refuse()", params=None)
