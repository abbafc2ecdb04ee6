"""Finding subscribers by any part of their address or name, within 100 ms among a million.

Three letters and more are found anywhere, fewer at the beginning only: an index of trigrams knows nothing of two
letters. The index is a GIN index of pg_trgm on PostgreSQL, and an FTS5 table on SQLite, which triggers keep up to date.
Where the database offers neither, the same searches read the whole table, and `manage.py doctor` says so.
"""

from __future__ import annotations

from django.db import connection
from django.db.backends.utils import CursorWrapper
from django.db.models import Q, QuerySet
from django.db.models.expressions import RawSQL

from subscribers.addresses import AddressError, parse_address
from subscribers.models import Subscriber

#: Characters from which on a text is found anywhere.
TRIGRAM = 3

#: The longest text that is searched for.
MAX_LENGTH = 200

TABLE = "subscribers_search"

#: So many hits are read from the index of SQLite before the search goes through the newest subscribers instead. A text
#: that so many have is found among the newest at once.
COMMON = 20_000

#: The indexes and their expressions. Backups leave them out, since a new server may not have pg_trgm.
POSTGRESQL_INDEXES = {"subscriber_address_trigrams": "canonical", "subscriber_name_trigrams": "(UPPER(first_name))"}

_DELETE = f"INSERT INTO {TABLE} ({TABLE}, rowid, canonical, first_name) VALUES ('delete', OLD.id, OLD.canonical, OLD.first_name);"  # noqa: E501, S608
_INSERT = f"INSERT INTO {TABLE} (rowid, canonical, first_name) VALUES (NEW.id, NEW.canonical, NEW.first_name);"  # noqa: S608

SQLITE_TRIGGERS = {
    f"{TABLE}_insert": f"AFTER INSERT ON subscribers_subscriber BEGIN {_INSERT} END",
    f"{TABLE}_delete": f"AFTER DELETE ON subscribers_subscriber BEGIN {_DELETE} END",
    f"{TABLE}_update": (
        "AFTER UPDATE OF canonical, first_name ON subscribers_subscriber "
        f"WHEN OLD.canonical IS NOT NEW.canonical OR OLD.first_name IS NOT NEW.first_name BEGIN {_DELETE} {_INSERT} END"
    ),
}


def search(subscribers: QuerySet[Subscriber], text: str) -> QuerySet[Subscriber]:
    """Those of `subscribers` whose address or name contains the text; of one or two letters: begins with it."""
    text = " ".join(text.split())[:MAX_LENGTH]
    if not text or "\0" in text:
        return subscribers.none() if text else subscribers
    if len(text) < TRIGRAM:
        return subscribers.filter(_begins_with(text))
    if connection.vendor == "sqlite" and has_index():
        found = RawSQL(f"SELECT rowid FROM {TABLE} WHERE {TABLE} MATCH %s", [_phrase(text)])  # noqa: S608, S611
        if not _is_common(text):
            return subscribers.filter(pk__in=found)
    return subscribers.filter(Q(canonical__contains=text.lower()) | Q(first_name__icontains=text))


def search_exactly(subscribers: QuerySet[Subscriber], text: str) -> QuerySet[Subscriber]:
    """Those with this whole address: for editors who may not see addresses, and who must not find them by trying."""
    if not text.strip():
        return subscribers
    try:
        return subscribers.filter(canonical=parse_address(text).canonical)
    except AddressError:
        return subscribers.none()


def _begins_with(text: str) -> Q:
    low = text.lower()
    if connection.vendor == "sqlite":
        # LIKE without regard to capitals reads no index there.
        beginning = Q(canonical__gte=low, canonical__lt=low[:-1] + chr(min(ord(low[-1]) + 1, 0x10FFFF)))
    else:
        beginning = Q(canonical__startswith=low)
    return beginning | Q(first_name__istartswith=text)


def _phrase(text: str) -> str:
    """The text as one string of FTS5."""
    return '"' + text.replace('"', '""') + '"'


def _is_common(text: str) -> bool:
    with connection.cursor() as cursor:
        cursor.execute(
            f"SELECT COUNT(*) FROM (SELECT 1 FROM {TABLE} WHERE {TABLE} MATCH %s LIMIT %s)",  # noqa: S608
            [_phrase(text), COMMON],
        )
        return bool(cursor.fetchone()[0] >= COMMON)


def has_index() -> bool:
    """Whether a search of three letters and more reads an index."""
    with connection.cursor() as cursor:
        if connection.vendor == "postgresql":
            cursor.execute(
                "SELECT COUNT(*) FROM pg_indexes WHERE schemaname = current_schema() AND indexname = ANY(%s)",
                [list(POSTGRESQL_INDEXES)],
            )
            return bool(cursor.fetchone()[0] == len(POSTGRESQL_INDEXES))
        cursor.execute("SELECT COUNT(*) FROM sqlite_master WHERE name = %s", [TABLE])
        return bool(cursor.fetchone()[0])


def forget_deleted() -> None:
    """Remove what the index of SQLite still knows of deleted rows: it keeps their trigrams until parts are merged."""
    if connection.vendor == "sqlite" and has_index():
        with connection.cursor() as cursor:
            cursor.execute(f"INSERT INTO {TABLE} ({TABLE}) VALUES ('rebuild')")  # noqa: S608 - names of ours


def prepare_index(**_signal: object) -> None:
    """Make the index, if it is missing and the database can have it. Runs after every `migrate`.

    Not a migration: whether it can be made depends on the server and may change, and a migration that rebuilds the
    table of subscribers on SQLite drops the triggers.
    """
    with connection.cursor() as cursor:
        if connection.vendor == "postgresql":
            _prepare_on_postgresql(cursor)
        elif connection.vendor == "sqlite":
            _prepare_on_sqlite(cursor)


def _prepare_on_postgresql(cursor: CursorWrapper) -> None:
    """pg_trgm must be there, or available to this role."""
    if has_index() or not _has_table(cursor, "SELECT COUNT(*) FROM pg_class WHERE oid = to_regclass(%s)"):
        return
    # With a handler of its own, so that a refusal ends no transaction.
    cursor.execute(
        "DO $$ BEGIN CREATE EXTENSION IF NOT EXISTS pg_trgm; "
        "EXCEPTION WHEN insufficient_privilege OR undefined_file OR feature_not_supported THEN NULL; END $$"
    )
    cursor.execute("SELECT extnamespace::regnamespace::text FROM pg_extension WHERE extname = 'pg_trgm'")
    found = cursor.fetchone()
    for name, expression in POSTGRESQL_INDEXES.items() if found else ():
        column = f"{expression} {found[0]}.gin_trgm_ops"
        cursor.execute(f"CREATE INDEX IF NOT EXISTS {name} ON subscribers_subscriber USING gin ({column})")


def _prepare_on_sqlite(cursor: CursorWrapper) -> None:
    """FTS5 is an option of SQLite's build, and its trigrams came with SQLite 3.34."""
    cursor.execute("SELECT sqlite_version(), sqlite_compileoption_used('ENABLE_FTS5')")
    version, has_fts5 = cursor.fetchone()
    if not has_fts5 or tuple(map(int, version.split("."))) < (3, 34):
        return
    cursor.execute("SELECT COUNT(*) FROM sqlite_master WHERE name IN (%s, %s, %s, %s)", [TABLE, *SQLITE_TRIGGERS])
    is_complete = cursor.fetchone()[0] == 1 + len(SQLITE_TRIGGERS)
    if is_complete or not _has_table(cursor, "SELECT COUNT(*) FROM sqlite_master WHERE name = %s"):
        return
    cursor.execute(
        f"CREATE VIRTUAL TABLE IF NOT EXISTS {TABLE} USING fts5 "
        "(canonical, first_name, content='subscribers_subscriber', content_rowid='id', tokenize='trigram')"
    )
    for name, body in SQLITE_TRIGGERS.items():
        cursor.execute(f"CREATE TRIGGER IF NOT EXISTS {name} {body}")
    # Rows may have changed while the triggers were missing.
    cursor.execute(f"INSERT INTO {TABLE} ({TABLE}) VALUES ('rebuild')")  # noqa: S608 - names of ours


def _has_table(cursor: CursorWrapper, query: str) -> bool:
    """Whether the tables of this version are there: `migrate` may have gone back to an earlier one."""
    cursor.execute(query, ["subscribers_bulkaction"])
    return bool(cursor.fetchone()[0])
