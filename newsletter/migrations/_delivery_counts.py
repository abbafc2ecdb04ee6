"""Triggers that count the deliveries of a send: the SQL that migrations create and drop. Not a migration.

Totals are kept per state, per place (exactly one for each delivery), per type of event and per reason. On PostgreSQL a
statement is counted at once, by what it took away and what it put in place; each connection has rows of its own. On
SQLite each changed row is counted by itself. A migration that rebuilds the table on SQLite, as AlterField does, drops
the triggers: it starts with `stop_counting` and ends with `count_deliveries`. Tests check that they are there.
"""

TABLE, COUNTS = "newsletter_delivery", "newsletter_sendcount"
TYPES = ("sent", "delayed", "delivered", "opened", "clicked", "failed", "suppressed", "bounced", "complained")

_BARRED = " OR ".join(
    f"{{r}}.{name}_at IS NOT NULL" for name in TYPES if name not in ("sent", "delayed", "failed")
)
_ANY = " OR ".join(f"{{r}}.{name}_at IS NOT NULL" for name in TYPES)
_REACHED = (
    "(({r}.delivered_at IS NOT NULL AND {r}.bounced_at IS NULL) OR {r}.opened_at IS NOT NULL "
    "OR {r}.clicked_at IS NOT NULL)"
)
_NOT_SENT_AFTER_ALL = (
    "({r}.state = 'accepted' AND {r}.bounced_at IS NULL AND {r}.complained_at IS NULL "
    f"AND ({{r}}.failed_at IS NOT NULL OR {{r}}.suppressed_at IS NOT NULL) AND NOT {_REACHED})"
)

#: Conditions on a row `{r}` that are counted under their name.
DERIVED = {
    "reached": _REACHED,
    "failed_anywhere": f"({{r}}.state = 'failed' OR {_NOT_SENT_AFTER_ALL})",
    "retriable": (
        f"((({{r}}.state = 'failed' AND NOT ({_ANY})) OR ({{r}}.state = 'accepted' AND {{r}}.failed_at IS NOT NULL "
        f"AND NOT ({_BARRED}))) AND {{r}}.reason <> 'other_address')"
    ),
}

#: Where a delivery is shown: in exactly one place.
PLACE = (
    "CASE WHEN {r}.state <> 'accepted' THEN {r}.state WHEN {r}.complained_at IS NOT NULL THEN 'complained' "
    f"WHEN {_REACHED} THEN 'reached' WHEN {{r}}.bounced_at IS NOT NULL THEN 'bounced' "
    "WHEN {r}.suppressed_at IS NOT NULL THEN 'suppressed' WHEN {r}.failed_at IS NOT NULL THEN 'not_sent' "
    "WHEN {r}.delayed_at IS NOT NULL THEN 'delayed' ELSE 'accepted' END"
)

#: Columns that are counted.
COLUMNS = ("state", "reason", *(f"{name}_at" for name in TYPES))

_INSERT = f"INSERT INTO {COUNTS} (send_id, scope, key, name, writer, value) "
_ADD = (
    f" ON CONFLICT (send_id, scope, key, name, writer) DO UPDATE SET value = {COUNTS}.value + excluded.value"
)


def _conditions():
    """Names of totals and their conditions; the states and places are grouped."""
    yield "audience", "TRUE"
    yield from ((f"event.{name}", f"{{r}}.{name}_at IS NOT NULL") for name in TYPES)
    yield from DERIVED.items()


def totals_sql(rows, sign="1", writer="0"):
    """SELECT of all counters over `rows`, a table with the columns of a delivery; `sign` may be a column of it."""
    named = list(_conditions())
    sums = ", ".join(
        f"COALESCE(sum({sign}) FILTER (WHERE {condition.format(r='r')}), 0) AS c{number}"
        for number, (_name, condition) in enumerate(named)
    )
    unfolded = " UNION ALL ".join(
        f"SELECT send_id, '' AS scope, '' AS key, '{name}' AS name, c{number} AS value FROM facts"
        for number, (name, _condition) in enumerate(named)
    )
    return (
        f"WITH facts AS (SELECT r.send_id, {sums} FROM {rows} r GROUP BY r.send_id), "
        f"counted AS ({unfolded} "
        f"UNION ALL SELECT r.send_id, '', '', 'state.' || r.state, sum({sign}) FROM {rows} r GROUP BY 1, r.state "
        f"UNION ALL SELECT r.send_id, '', '', 'place.' || ({PLACE.format(r='r')}), sum({sign}) FROM {rows} r "
        f"GROUP BY 1, 4 "
        f"UNION ALL SELECT r.send_id, 'reason', r.reason, r.state, sum({sign}) FROM {rows} r WHERE r.reason <> '' "
        f"GROUP BY 1, r.reason, r.state) "
        f"SELECT send_id, scope, key, name, {writer}, value FROM counted WHERE value <> 0 ORDER BY 1, 2, 3, 4"
    )


def _postgresql():
    # The primary key is not read: what was and what is are added up by themselves.
    columns = ", ".join(("send_id", *COLUMNS))
    new, old = f"SELECT 1 AS sign, {columns} FROM new_rows", f"SELECT -1 AS sign, {columns} FROM old_rows"
    sources = {"INSERT": new, "DELETE": old, "UPDATE": f"{new} UNION ALL {old}"}
    branches = ""
    for operation, source in sources.items():
        counted = totals_sql("changed", "r.sign", "pg_backend_pid()").removeprefix("WITH ")
        branches += f"IF TG_OP = '{operation}' THEN {_INSERT}WITH changed AS MATERIALIZED ({source}), {counted}{_ADD}; END IF; "
    yield f"CREATE FUNCTION {TABLE}_count() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN {branches} RETURN NULL; END $$"
    tables = {"INSERT": "NEW TABLE AS new_rows", "DELETE": "OLD TABLE AS old_rows"}
    tables["UPDATE"] = f"{tables['DELETE']} {tables['INSERT']}"
    for operation, referencing in tables.items():
        yield (
            f"CREATE TRIGGER {TABLE}_count_{operation.lower()} AFTER {operation} ON {TABLE} REFERENCING {referencing} "
            f"FOR EACH STATEMENT EXECUTE FUNCTION {TABLE}_count()"
        )


def _change(row, scope, key, name, value):
    return f"{_INSERT}SELECT {row}.send_id, {scope}, {key}, {name}, 0, {value} WHERE ({value}) <> 0{_ADD}; "


def _sqlite():
    added = "".join(
        _change("NEW", "''", "''", f"'{name}'", f"CASE WHEN {condition.format(r='NEW')} THEN 1 ELSE 0 END")
        for name, condition in _conditions()
    )
    added += _change("NEW", "''", "''", "'state.' || NEW.state", "1")
    added += _change("NEW", "''", "''", f"'place.' || ({PLACE.format(r='NEW')})", "1")
    added += _change("NEW", "'reason'", "NEW.reason", "NEW.state", "CASE WHEN NEW.reason <> '' THEN 1 ELSE 0 END")
    yield f"CREATE TRIGGER {TABLE}_count_insert AFTER INSERT ON {TABLE} BEGIN {added} END"
    for name in TYPES:
        is_set = f"(NEW.{name}_at IS NOT NULL) - (OLD.{name}_at IS NOT NULL)"
        yield (
            f"CREATE TRIGGER {TABLE}_count_{name} AFTER UPDATE OF {name}_at ON {TABLE} WHEN {is_set} <> 0 "
            f"BEGIN {_change('NEW', chr(39) * 2, chr(39) * 2, f'{chr(39)}event.{name}{chr(39)}', is_set)} END"
        )
    moved = _change("NEW", "''", "''", "'state.' || OLD.state", "-1") + _change(
        "NEW", "''", "''", "'state.' || NEW.state", "1"
    )
    yield f"CREATE TRIGGER {TABLE}_count_state AFTER UPDATE OF state ON {TABLE} WHEN NEW.state <> OLD.state BEGIN {moved} END"
    reasons = _change("NEW", "'reason'", "OLD.reason", "OLD.state", "CASE WHEN OLD.reason <> '' THEN -1 ELSE 0 END")
    reasons += _change("NEW", "'reason'", "NEW.reason", "NEW.state", "CASE WHEN NEW.reason <> '' THEN 1 ELSE 0 END")
    yield (
        f"CREATE TRIGGER {TABLE}_count_reason AFTER UPDATE OF state, reason ON {TABLE} "
        f"WHEN (NEW.reason <> OLD.reason OR NEW.state <> OLD.state) AND (NEW.reason <> '' OR OLD.reason <> '') "
        f"BEGIN {reasons} END"
    )
    old_place, new_place = PLACE.format(r="OLD"), PLACE.format(r="NEW")
    differ = [f"({old_place}) <> ({new_place})"]
    derived = _change("NEW", "''", "''", f"'place.' || ({old_place})", f"-(({old_place}) <> ({new_place}))")
    derived += _change("NEW", "''", "''", f"'place.' || ({new_place})", f"({old_place}) <> ({new_place})")
    for name, condition in DERIVED.items():
        difference = f"({condition.format(r='NEW')}) - ({condition.format(r='OLD')})"
        derived += _change("NEW", "''", "''", f"'{name}'", difference)
        differ.append(f"({difference}) <> 0")
    yield (
        f"CREATE TRIGGER {TABLE}_count_derived AFTER UPDATE OF {', '.join(COLUMNS)} ON {TABLE} "
        f"WHEN {' OR '.join(differ)} BEGIN {derived} END"
    )
    # Nothing is made here: a database that is emptied, table by table, must not end with counters below zero.
    taken = "".join(
        f"UPDATE {COUNTS} SET value = value - 1 WHERE send_id = OLD.send_id AND scope = {scope} AND key = {key} "
        f"AND name = {name} AND writer = 0 AND ({condition}); "
        for scope, key, name, condition in (
            *(("''", "''", f"'{name}'", condition.format(r="OLD")) for name, condition in _conditions()),
            ("''", "''", "'state.' || OLD.state", "TRUE"),
            ("''", "''", f"'place.' || ({old_place})", "TRUE"),
            ("'reason'", "OLD.reason", "OLD.state", "OLD.reason <> ''"),
        )
    )
    yield f"CREATE TRIGGER {TABLE}_count_delete AFTER DELETE ON {TABLE} BEGIN {taken} END"


#: A time as the hour in UTC, and the domain of an address.
_HOUR = {
    "sqlite": "replace(substr(d.{type}_at, 1, 13), ' ', 'T')",
    "postgresql": """to_char(d.{type}_at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24')""",
}
_DOMAIN = {"sqlite": "substr(s.canonical, instr(s.canonical, '@') + 1)", "postgresql": "split_part(s.canonical, '@', 2)"}


def _by_key(vendor):
    """SELECT of counters by hour and by domain of all deliveries."""
    joined = f"{TABLE} d JOIN subscribers_subscriber s ON s.id = d.subscriber_id"
    for name in TYPES:
        hour = _HOUR[vendor].format(type=name)
        is_set = f"d.{name}_at IS NOT NULL"
        yield f"SELECT d.send_id, 'hour', {hour}, '{name}', 0, count(*) FROM {TABLE} d WHERE {is_set} GROUP BY 1, 3"
        yield f"SELECT d.send_id, 'domain', {_DOMAIN[vendor]}, '{name}', 0, count(*) FROM {joined} WHERE {is_set} GROUP BY 1, 3"


def count_deliveries(_apps, schema_editor):
    """Create the triggers, and count what is there."""
    for statement in {"sqlite": _sqlite, "postgresql": _postgresql}[schema_editor.connection.vendor]():
        schema_editor.execute(statement, params=None)
    # Rows of the writer -1 hold what deliveries no longer say: see newsletter/privacy/engagement_times.py.
    schema_editor.execute(f"DELETE FROM {COUNTS} WHERE writer <> -1", params=None)
    for query in (totals_sql(TABLE), *_by_key(schema_editor.connection.vendor)):
        schema_editor.execute(_INSERT + query, params=None)


def stop_counting(_apps, schema_editor):
    names = ("insert", "delete", "update") if schema_editor.connection.vendor == "postgresql" else (
        "insert", "delete", "state", "reason", "derived", *TYPES
    )
    on = f" ON {TABLE}" if schema_editor.connection.vendor == "postgresql" else ""
    for name in names:
        schema_editor.execute(f"DROP TRIGGER IF EXISTS {TABLE}_count_{name}{on}", params=None)
    if on:
        schema_editor.execute(f"DROP FUNCTION IF EXISTS {TABLE}_count()", params=None)
