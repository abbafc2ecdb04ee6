"""Triggers that count the subscriptions of a list: the SQL that migrations create and drop. Not a migration.

As for deliveries: on PostgreSQL a statement is counted at once and each connection has rows of its own; on SQLite each
changed row is counted by itself. A migration that rebuilds the table on SQLite drops the triggers: it starts with
`stop_counting` and ends with `count_subscriptions`. Tests check that they are there.
"""

TABLE, COUNTS = "subscribers_subscription", "subscribers_subscriptioncount"

_INSERT = f"INSERT INTO {COUNTS} (mailing_list_id, day, name, writer, value) "
_ADD = f" ON CONFLICT (mailing_list_id, day, name, writer) DO UPDATE SET value = {COUNTS}.value + excluded.value"
_TODAY = {"postgresql": "to_char(now() AT TIME ZONE 'UTC', 'YYYY-MM-DD')", "sqlite": "date('now')"}

#: What became of a new row, and of one that changed its state; NULL for what is not counted.
_NEW = (
    "CASE WHEN {r}.state = 'pending' THEN 'requested' WHEN {r}.state <> 'active' THEN NULL "
    "WHEN {r}.import_pk IS NOT NULL THEN 'imported' ELSE 'joined' END"
)
_CHANGED = (
    "CASE WHEN {n}.state = 'pending' THEN 'requested' WHEN {n}.state = 'active' THEN 'joined' "
    "WHEN {o}.state <> 'active' THEN NULL WHEN {n}.state = 'suppressed' THEN 'suppressed' ELSE 'left' END"
)


def _counted(rows, writer):
    """SELECT of counters over `rows` (mailing_list_id, day, name, value)."""
    return (
        f"SELECT mailing_list_id, day, name, {writer}, sum(value) FROM ({rows}) c WHERE name IS NOT NULL "
        "GROUP BY mailing_list_id, day, name HAVING sum(value) <> 0 ORDER BY mailing_list_id, day, name"
    )


def _postgresql():
    day = _TODAY["postgresql"]
    new_states = "SELECT mailing_list_id, '' AS day, state AS name, 1 AS value FROM new_rows"
    old_states = "SELECT mailing_list_id, '' AS day, state AS name, -1 AS value FROM old_rows"
    sources = {
        "INSERT": f"{new_states} UNION ALL SELECT mailing_list_id, {day}, {_NEW.format(r='n')}, 1 FROM new_rows n",
        "DELETE": (
            f"{old_states} UNION ALL SELECT mailing_list_id, {day}, 'removed', 1 FROM old_rows WHERE state = 'active'"
        ),
        "UPDATE": (
            f"{new_states} UNION ALL {old_states} UNION ALL "
            f"SELECT n.mailing_list_id, {day}, {_CHANGED.format(n='n', o='o')}, 1 "
            "FROM new_rows n JOIN old_rows o ON o.id = n.id WHERE n.state <> o.state"
        ),
    }
    branches = "".join(
        f"IF TG_OP = '{operation}' THEN {_INSERT}{_counted(rows, 'pg_backend_pid()')}{_ADD}; END IF; "
        for operation, rows in sources.items()
    )
    yield f"CREATE FUNCTION {TABLE}_count() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN {branches} RETURN NULL; END $$"
    tables = {"INSERT": "NEW TABLE AS new_rows", "DELETE": "OLD TABLE AS old_rows"}
    tables["UPDATE"] = f"{tables['DELETE']} {tables['INSERT']}"
    for operation, referencing in tables.items():
        yield (
            f"CREATE TRIGGER {TABLE}_count_{operation.lower()} AFTER {operation} ON {TABLE} REFERENCING {referencing} "
            f"FOR EACH STATEMENT EXECUTE FUNCTION {TABLE}_count()"
        )


def _change(row, day, name, value):
    return f"{_INSERT}SELECT {row}.mailing_list_id, {day}, {name}, 0, {value} WHERE {name} IS NOT NULL{_ADD}; "


def _sqlite():
    day = _TODAY["sqlite"]
    added = _change("NEW", "''", "NEW.state", 1) + _change("NEW", day, _NEW.format(r="NEW"), 1)
    yield f"CREATE TRIGGER {TABLE}_count_insert AFTER INSERT ON {TABLE} BEGIN {added} END"
    # A subscription of a merged subscriber stays in its list; one that is moved to another list is not known.
    changed = _change("OLD", "''", "OLD.state", -1) + _change("NEW", "''", "NEW.state", 1)
    changed += _change("NEW", day, _CHANGED.format(n="NEW", o="OLD"), 1)
    yield (
        f"CREATE TRIGGER {TABLE}_count_update AFTER UPDATE OF state ON {TABLE} WHEN NEW.state <> OLD.state "
        f"BEGIN {changed} END"
    )
    # No state is made here: a database that is emptied, table by table, must not end with counters below zero.
    taken = (
        f"UPDATE {COUNTS} SET value = value - 1 WHERE mailing_list_id = OLD.mailing_list_id AND day = '' "
        "AND name = OLD.state AND writer = 0; "
    )
    taken += (
        f"{_INSERT}SELECT OLD.mailing_list_id, {day}, 'removed', 0, 1 WHERE OLD.state = 'active' AND EXISTS "
        f"(SELECT 1 FROM {COUNTS} WHERE mailing_list_id = OLD.mailing_list_id AND day = ''){_ADD}; "
    )
    yield f"CREATE TRIGGER {TABLE}_count_delete AFTER DELETE ON {TABLE} BEGIN {taken} END"


def _history(vendor):
    """SELECT of counters of what is there: the days that the rows tell of."""

    def day(column):
        if vendor == "postgresql":
            return f"to_char({column} AT TIME ZONE 'UTC', 'YYYY-MM-DD')"
        return f"substr({column}, 1, 10)"

    won = "CASE WHEN import_pk IS NULL THEN 'joined' ELSE 'imported' END"
    lost = "CASE state WHEN 'suppressed' THEN 'suppressed' ELSE 'left' END"
    rows = (
        f"SELECT mailing_list_id, '' AS day, state AS name, 1 AS value FROM {TABLE} UNION ALL "
        f"SELECT mailing_list_id, {day('confirmed_at')}, {won}, 1 FROM {TABLE} WHERE confirmed_at IS NOT NULL UNION ALL "
        f"SELECT mailing_list_id, {day('ended_at')}, {lost}, 1 FROM {TABLE} "
        "WHERE ended_at IS NOT NULL AND confirmed_at IS NOT NULL AND state IN ('unsubscribed', 'suppressed')"
    )
    return _counted(rows, 0)


def count_subscriptions(_apps, schema_editor):
    """Create the triggers, and count what is there."""
    vendor = schema_editor.connection.vendor
    for statement in {"sqlite": _sqlite, "postgresql": _postgresql}[vendor]():
        schema_editor.execute(statement, params=None)
    schema_editor.execute(f"DELETE FROM {COUNTS}", params=None)
    schema_editor.execute(_INSERT + _history(vendor), params=None)


def stop_counting(_apps, schema_editor):
    is_postgresql = schema_editor.connection.vendor == "postgresql"
    for name in ("insert", "update", "delete"):
        on = f" ON {TABLE}" if is_postgresql else ""
        schema_editor.execute(f"DROP TRIGGER IF EXISTS {TABLE}_count_{name}{on}", params=None)
    if is_postgresql:
        schema_editor.execute(f"DROP FUNCTION IF EXISTS {TABLE}_count()", params=None)
