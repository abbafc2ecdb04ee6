"""A trigger that counts who unsubscribed by the links of a send: the SQL that migrations create and drop.

Not a migration. It stands on the table of consents, of which only those with the number of a mail fire it. A migration
that rebuilds that table on SQLite, as AlterField does, drops it: it starts with `stop_counting` and ends with
`count_unsubscribes`. Tests check that it is there.
"""

TABLE, COUNTS = "subscribers_consent", "newsletter_sendcount"
NAME = "subscribers_consent_count"
ANSWER = "unsubscribe-reason"

_IS_COUNTED = "NEW.mail_reference IS NOT NULL AND NEW.kind = 'unsubscribed'"

#: Scope and key of the counters of a row; an answer to the question why is no further unsubscribe.
_KEYS = (
    ("''", "''", f"NEW.form <> '{ANSWER}'"),
    ("'left'", "NEW.form", f"NEW.form <> '{ANSWER}'"),
    ("'left_why'", "NEW.leave_reason", f"NEW.form = '{ANSWER}' AND NEW.leave_reason IS NOT NULL"),
)


def _add(writer):
    # Only of sends that are there: after a restore, links may name others.
    for scope, key, condition in _KEYS:
        yield (
            f"INSERT INTO {COUNTS} (send_id, scope, key, name, writer, value) "
            f"SELECT id, {scope}, {key}, 'unsubscribed', {writer}, 1 FROM newsletter_send "
            f"WHERE id = NEW.mail_reference AND {condition} "
            f"ON CONFLICT (send_id, scope, key, name, writer) DO UPDATE SET value = {COUNTS}.value + excluded.value; "
        )


def count_unsubscribes(_apps, schema_editor):
    """Create the trigger."""
    if schema_editor.connection.vendor == "postgresql":
        body = "".join(_add("pg_backend_pid()"))
        schema_editor.execute(
            f"CREATE FUNCTION {NAME}() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN {body} RETURN NULL; END $$",
            params=None,
        )
        schema_editor.execute(
            f"CREATE TRIGGER {NAME} AFTER INSERT ON {TABLE} FOR EACH ROW WHEN ({_IS_COUNTED}) "
            f"EXECUTE FUNCTION {NAME}()",
            params=None,
        )
    else:
        body = "".join(_add("0"))
        schema_editor.execute(
            f"CREATE TRIGGER {NAME} AFTER INSERT ON {TABLE} WHEN {_IS_COUNTED} BEGIN {body} END", params=None
        )


def stop_counting(_apps, schema_editor):
    on = f" ON {TABLE}" if schema_editor.connection.vendor == "postgresql" else ""
    schema_editor.execute(f"DROP TRIGGER IF EXISTS {NAME}{on}", params=None)
    if on:
        schema_editor.execute(f"DROP FUNCTION IF EXISTS {NAME}()", params=None)
