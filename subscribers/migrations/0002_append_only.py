"""Makes the tables of consents append-only, by triggers of the database.

A consent is proof only if it cannot be changed: every UPDATE and DELETE is refused. Erasure is the one exception: columns
that identify a person may be emptied, and references to rows that are erased with them.

SQLite drops triggers when a later migration rebuilds the table, as AlterField does: such a migration starts with
`RunPython(allow_changes, refuse_changes)` and ends with the reverse. A test checks that the triggers are there.
"""

from django.db import migrations

REFUSAL = "Consents are append-only: they are proof. Only their personal columns may be emptied."
#: Table → columns that may be emptied: those of text to an empty string, the others to NULL.
TABLES = {
    "subscribers_consent": {
        "text": ("address", "canonical", "source", "user_agent", "detail"),
        "null": ("subscription_id", "notice_id", "ip"),
        "fixed": ("id", "kind", "created_at", "list_name", "form", "text_id", "language"),
    },
    "subscribers_consenttext": {
        "text": (),
        "null": (),
        "fixed": ("id", "sha256", "form", "version", "text", "created_at"),
    },
}


def _unchanged(columns, same):
    """SQL that holds for an UPDATE that empties personal columns and does nothing else."""
    conditions = [f"NEW.{name} {same} OLD.{name}" for name in columns["fixed"]]
    conditions += [f"(NEW.{name} {same} OLD.{name} OR NEW.{name} = '')" for name in columns["text"]]
    conditions += [f"(NEW.{name} {same} OLD.{name} OR NEW.{name} IS NULL)" for name in columns["null"]]
    return " AND ".join(conditions)


def _sqlite(table, columns):
    refuse = f"BEGIN SELECT RAISE(ABORT, '{REFUSAL}'); END"
    yield f"CREATE TRIGGER {table}_no_delete BEFORE DELETE ON {table} {refuse}"
    yield (
        f"CREATE TRIGGER {table}_no_update BEFORE UPDATE ON {table} "
        f"WHEN NOT ({_unchanged(columns, 'IS')}) {refuse}"
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


def refuse_changes(apps, schema_editor, tables=TABLES):
    write = {"sqlite": _sqlite, "postgresql": _postgresql}[schema_editor.connection.vendor]
    for table, columns in tables.items():
        for statement in write(table, columns):
            schema_editor.execute(statement, params=None)


def allow_changes(apps, schema_editor):
    for table in TABLES:
        on = f" ON {table}" if schema_editor.connection.vendor == "postgresql" else ""
        for name in ("no_delete", "no_update"):
            schema_editor.execute(f"DROP TRIGGER IF EXISTS {table}_{name}{on}", params=None)
        if on:
            schema_editor.execute(f"DROP FUNCTION IF EXISTS {table}_refuse()", params=None)


class Migration(migrations.Migration):
    dependencies = [("subscribers", "0001_initial")]

    operations = [migrations.RunPython(refuse_changes, allow_changes)]
