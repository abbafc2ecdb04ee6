"""Triggers that count the cohorts of a list: the SQL that migrations create and drop. Not a migration.

Beside those of `_subscription_counts`, and as them: a migration that rebuilds the table of subscriptions on SQLite drops
the triggers, so that it starts with `stop_counting_cohorts` and ends with `create_triggers`. Tests check that they are
there.

The month of a subscription is that in which it became active the last time. An import takes over an earlier time of
confirmation; what it imports joins when it starts.
"""

TABLE, COUNTS, IMPORTS = "subscribers_subscription", "subscribers_cohortcount", "subscribers_import"

JOINED = "'joined'"
_INSERT = f"INSERT INTO {COUNTS} (mailing_list_id, month, source, name, writer, value) "
_ADD = (
    " ON CONFLICT (mailing_list_id, month, source, name, writer) "
    f"DO UPDATE SET value = {COUNTS}.value + excluded.value"
)


def _source(row):
    """Who asked again after an import did not come by it."""
    return (
        f"CASE WHEN {row}.import_pk IS NOT NULL AND {row}.request_number = 0 THEN 'import' "
        f"WHEN {row}.source = 'import' THEN '' ELSE {row}.source END"
    )


def _lost(age):
    return (
        f"CASE WHEN {age} <= 3 THEN 'lost_3' WHEN {age} <= 6 THEN 'lost_6' WHEN {age} <= 12 THEN 'lost_12' "
        "ELSE 'lost_later' END"
    )


# --- PostgreSQL ------------------------------------------------------------------------------------------------------

_IMPORTED_AT = "COALESCE(i.started_at, i.created_at)"


def _cohorts(rows):
    """SELECT of the cohort of each of these rows that is active: id, list, month as text and number, source."""
    joined = f"GREATEST(r.confirmed_at, {_IMPORTED_AT}) AT TIME ZONE 'UTC'"
    return (
        f"SELECT r.id, r.mailing_list_id, to_char({joined}, 'YYYY-MM') AS month, {_number_of(joined)} AS number, "
        f"{_source('r')} AS source FROM {rows} r LEFT JOIN {IMPORTS} i ON i.id = r.import_pk "
        "WHERE r.state = 'active'"
    )


def _number_of(at):
    """The months since the beginning of our era."""
    return f"(extract(year FROM {at}) * 12 + extract(month FROM {at}))"


def _changed(rows, others):
    """Those of the rows that may be in another cohort: most updates change something else."""
    columns = ("state", "confirmed_at", "source", "mailing_list_id", "request_number")
    one, other = (", ".join(f"{table}.{name}" for name in columns) for table in ("one", "other"))
    return (
        f"(SELECT one.* FROM {rows} one JOIN {others} other ON other.id = one.id "
        f"WHERE ({one}) IS DISTINCT FROM ({other}))"
    )


def _counted(rows, writer):
    return (
        f"SELECT mailing_list_id, month, source, name, {writer}, sum(value) FROM ({rows}) c "
        "GROUP BY mailing_list_id, month, source, name HAVING sum(value) <> 0 "
        "ORDER BY mailing_list_id, month, source, name"
    )


def _postgresql():
    age = f"{_number_of('''(now() AT TIME ZONE 'UTC')''')} - b.number"
    key = "mailing_list_id, {row}.month, {row}.source"
    after, before = key.format(row="a"), key.format(row="b")
    lost = f"SELECT b.{before}, {_lost(age)} AS name, 1 AS value FROM before b"
    sources = {
        "INSERT": f"SELECT a.{after}, 'joined' AS name, 1 AS value FROM ({_cohorts('new_rows')}) a",
        "DELETE": lost.replace("FROM before b", f"FROM ({_cohorts('old_rows')}) b"),
        # An active subscription that moves to another cohort is no loss of the first one.
        "UPDATE": (
            f"WITH before AS MATERIALIZED ({_cohorts(_changed('old_rows', 'new_rows'))}), "
            f"after AS MATERIALIZED ({_cohorts(_changed('new_rows', 'old_rows'))}) "
            f"SELECT a.{after}, 'joined' AS name, 1 AS value FROM after a LEFT JOIN before b ON b.id = a.id "
            f"WHERE b.id IS NULL OR (a.{after}) IS DISTINCT FROM (b.{before}) "
            f"UNION ALL SELECT b.{before}, 'joined', -1 FROM before b JOIN after a ON a.id = b.id "
            f"WHERE (a.{after}) IS DISTINCT FROM (b.{before}) "
            f"UNION ALL {lost} WHERE NOT EXISTS (SELECT 1 FROM after a WHERE a.id = b.id)"
        ),
    }
    branches = "".join(
        f"IF TG_OP = '{operation}' THEN {_INSERT}{_counted(rows, 'pg_backend_pid()')}{_ADD}; END IF; "
        for operation, rows in sources.items()
    )
    yield f"CREATE FUNCTION {TABLE}_cohort() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN {branches} RETURN NULL; END $$"
    tables = {"INSERT": "NEW TABLE AS new_rows", "DELETE": "OLD TABLE AS old_rows"}
    tables["UPDATE"] = f"{tables['DELETE']} {tables['INSERT']}"
    for operation, referencing in tables.items():
        yield (
            f"CREATE TRIGGER {TABLE}_cohort_{operation.lower()} AFTER {operation} ON {TABLE} REFERENCING {referencing} "
            f"FOR EACH STATEMENT EXECUTE FUNCTION {TABLE}_cohort()"
        )


# --- SQLite ----------------------------------------------------------------------------------------------------------


def _imported_at(row):
    return f"(SELECT COALESCE(started_at, created_at) FROM {IMPORTS} WHERE id = {row}.import_pk)"


def _month(row):
    return f"substr(COALESCE(max({row}.confirmed_at, {_imported_at(row)}), {row}.confirmed_at), 1, 7)"


def _age(row):
    month = _month(row)
    return (
        f"(strftime('%Y', 'now') * 12 + strftime('%m', 'now') - substr({month}, 1, 4) * 12 - substr({month}, 6, 2))"
    )


def _key(row):
    return f"{row}.mailing_list_id, {_month(row)}, {_source(row)}"


def _change(row, name, value, condition):
    return f"{_INSERT}SELECT {_key(row)}, {name}, 0, {value} WHERE {condition}{_ADD}; "


def _sqlite():
    is_active = "{row}.state = 'active'"
    new, old = is_active.format(row="NEW"), is_active.format(row="OLD")
    yield (
        f"CREATE TRIGGER {TABLE}_cohort_insert AFTER INSERT ON {TABLE} WHEN {new} "
        f"BEGIN {_change('NEW', JOINED, 1, 'TRUE')} END"
    )
    moved = f"({_key('NEW')}) IS NOT ({_key('OLD')})"
    changed = _change("NEW", JOINED, 1, f"{new} AND ({old} IS NOT TRUE OR {moved})")
    changed += _change("OLD", JOINED, -1, f"{new} AND {old} AND {moved}")
    changed += _change("OLD", _lost(_age("OLD")), 1, f"{old} AND {new} IS NOT TRUE")
    yield (
        f"CREATE TRIGGER {TABLE}_cohort_update AFTER UPDATE OF state, confirmed_at, source, mailing_list_id "
        f"ON {TABLE} WHEN {new} OR {old} BEGIN {changed} END"
    )
    # Nothing is made here of what is not counted: a database that is emptied, table by table, ends without counters.
    counted = f"EXISTS (SELECT 1 FROM {COUNTS} WHERE mailing_list_id = OLD.mailing_list_id AND name = 'joined')"
    yield (
        f"CREATE TRIGGER {TABLE}_cohort_delete AFTER DELETE ON {TABLE} WHEN {old} "
        f"BEGIN {_change('OLD', _lost(_age('OLD')), 1, counted)} END"
    )


# --- Both ------------------------------------------------------------------------------------------------------------


def _history(vendor):
    """SELECT of counters of what is there: those who are active, and those who have left since they became so."""
    if vendor == "postgresql":
        at, ended = f"GREATEST(r.confirmed_at, {_IMPORTED_AT}) AT TIME ZONE 'UTC'", "r.ended_at AT TIME ZONE 'UTC'"
        month, age = f"to_char({at}, 'YYYY-MM')", f"{_number_of(ended)} - {_number_of(at)}"
        source, tables = _source("r"), f"{TABLE} r LEFT JOIN {IMPORTS} i ON i.id = r.import_pk"
    else:
        month, source, tables = _month("r"), _source("r"), f"{TABLE} r"
        age = (
            f"(substr(r.ended_at, 1, 4) * 12 + substr(r.ended_at, 6, 2) - substr({month}, 1, 4) * 12 "
            f"- substr({month}, 6, 2))"
        )
    # Of one that was imported as ended, or asked again, it is not known when it was active.
    ended = "r.state IN ('unsubscribed', 'suppressed') AND r.ended_at >= r.confirmed_at AND r.import_pk IS NULL"
    rows = (
        f"SELECT r.mailing_list_id, {month} AS month, {source} AS source, 'joined' AS name, 1 AS value "
        f"FROM {tables} WHERE r.state = 'active' OR ({ended}) UNION ALL "
        f"SELECT r.mailing_list_id, {month}, {source}, {_lost(age)}, 1 FROM {tables} WHERE {ended}"
    )
    return _counted(rows, 0)


def create_triggers(schema_editor):
    for statement in {"sqlite": _sqlite, "postgresql": _postgresql}[schema_editor.connection.vendor]():
        schema_editor.execute(statement, params=None)


def count_cohorts(_apps, schema_editor):
    """Create the triggers, and count what is there."""
    create_triggers(schema_editor)
    schema_editor.execute(_INSERT + _history(schema_editor.connection.vendor), params=None)


def stop_counting_cohorts(_apps, schema_editor):
    is_postgresql = schema_editor.connection.vendor == "postgresql"
    for name in ("insert", "update", "delete"):
        on = f" ON {TABLE}" if is_postgresql else ""
        schema_editor.execute(f"DROP TRIGGER IF EXISTS {TABLE}_cohort_{name}{on}", params=None)
    if is_postgresql:
        schema_editor.execute(f"DROP FUNCTION IF EXISTS {TABLE}_cohort()", params=None)
