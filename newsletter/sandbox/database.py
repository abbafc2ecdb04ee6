"""The sandbox's SQLite database: tables and transactions.

It is in memory by default, and in a file if the ledger must survive a restart. One connection with one lock is fast
enough (a few milliseconds per batch), and a single writer keeps the ledger correct.
"""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_TABLES = """
-- Each accepted request body once; the mails of a batch differ little.
CREATE TABLE IF NOT EXISTS bodies (
    id INTEGER PRIMARY KEY,
    zstd BLOB NOT NULL
);
CREATE TABLE IF NOT EXISTS mails (
    id INTEGER PRIMARY KEY,
    uid TEXT NOT NULL UNIQUE,
    body INTEGER NOT NULL REFERENCES bodies,
    position INTEGER,               -- in the batch; NULL for a single mail
    created_at REAL NOT NULL,
    scheduled_at REAL,
    canceled_at REAL,
    envelope TEXT NOT NULL          -- JSON: addresses, subject, headers, tags
);
CREATE TABLE IF NOT EXISTS recipients (
    mail INTEGER NOT NULL REFERENCES mails,
    address TEXT NOT NULL,
    field TEXT NOT NULL
);
CREATE INDEX IF NOT EXISTS recipients_by_mail ON recipients (mail);
CREATE INDEX IF NOT EXISTS recipients_by_address ON recipients (address);
-- Events are planned when a mail is accepted, and take effect at happens_at.
CREATE TABLE IF NOT EXISTS events (
    id INTEGER PRIMARY KEY,
    svix_id TEXT NOT NULL UNIQUE,
    mail INTEGER NOT NULL REFERENCES mails,  -- 0: about a received mail
    type TEXT NOT NULL,
    happens_at REAL NOT NULL,
    detail TEXT NOT NULL,           -- JSON of the payload that depends on the type
    state TEXT NOT NULL CHECK (state IN ('silent', 'pending', 'posting', 'delivered', 'failed')),
    copies INTEGER NOT NULL,        -- how often the receiver must get it
    tries INTEGER NOT NULL DEFAULT 0,
    refused INTEGER NOT NULL DEFAULT 0,
    next_try_at REAL NOT NULL,
    last_answer TEXT NOT NULL DEFAULT ''
);
CREATE INDEX IF NOT EXISTS events_by_mail ON events (mail);
CREATE INDEX IF NOT EXISTS events_by_state ON events (state, next_try_at);
CREATE INDEX IF NOT EXISTS events_by_time ON events (happens_at, id);
-- The webhook endpoint: one row.
CREATE TABLE IF NOT EXISTS endpoint (
    id TEXT PRIMARY KEY,
    created_at REAL NOT NULL,
    disabled_at REAL,               -- NULL while it is enabled
    failing_since REAL              -- the first of the failures since the last success
);
CREATE TABLE IF NOT EXISTS attempts (
    id INTEGER PRIMARY KEY,
    uid TEXT NOT NULL UNIQUE,
    event INTEGER NOT NULL REFERENCES events,
    at REAL NOT NULL,
    status INTEGER NOT NULL,        -- of the answer; 0: no answer came
    response TEXT NOT NULL
);
CREATE INDEX IF NOT EXISTS attempts_by_event ON attempts (event);
CREATE TABLE IF NOT EXISTS calls (
    id INTEGER PRIMARY KEY,
    at REAL NOT NULL,
    path TEXT NOT NULL,
    key TEXT,
    body_sha256 TEXT NOT NULL,
    status INTEGER NOT NULL,        -- 0: no answer was sent
    fault TEXT NOT NULL
);
CREATE INDEX IF NOT EXISTS calls_by_key ON calls (key);
CREATE TABLE IF NOT EXISTS keys (
    key TEXT PRIMARY KEY,
    path TEXT NOT NULL,
    body_sha256 TEXT NOT NULL,
    body INTEGER NOT NULL REFERENCES bodies,
    answer BLOB NOT NULL,
    created_at REAL NOT NULL
);
CREATE TABLE IF NOT EXISTS suppressions (
    number INTEGER PRIMARY KEY,
    id TEXT NOT NULL UNIQUE,
    address TEXT NOT NULL UNIQUE,
    origin TEXT NOT NULL CHECK (origin IN ('bounce', 'complaint', 'manual')),
    source TEXT,                    -- id of the mail
    since REAL NOT NULL             -- the time of the bounce or complaint
);
CREATE TABLE IF NOT EXISTS received (
    id INTEGER PRIMARY KEY,
    uid TEXT NOT NULL UNIQUE,
    created_at REAL NOT NULL,
    sender TEXT NOT NULL,
    recipients TEXT NOT NULL,       -- JSON
    subject TEXT NOT NULL,
    original BLOB                   -- the whole mail, where it is kept
);
CREATE TABLE IF NOT EXISTS received_files (
    id INTEGER PRIMARY KEY,
    uid TEXT NOT NULL UNIQUE,
    mail INTEGER NOT NULL REFERENCES received,
    filename TEXT,
    content_type TEXT NOT NULL,
    content BLOB NOT NULL
);
CREATE INDEX IF NOT EXISTS received_files_by_mail ON received_files (mail);
CREATE TABLE IF NOT EXISTS usage (
    day TEXT PRIMARY KEY,
    recipients INTEGER NOT NULL
);
"""


class Stopping(Exception):
    """The server stops; the current work is abandoned."""


class Database:
    """The one connection. `changed` is notified after every transaction that wrote.

    Raises OSError if the file cannot be opened or is not a ledger.
    """

    def __init__(self, path: Path | None) -> None:
        self.changed = threading.Condition(threading.RLock())
        self._changes_before = 0
        self._depth = 0
        self._closed = False
        try:
            self._connection = _connect(path)
        except (sqlite3.Error, OSError) as error:
            raise OSError(f"The ledger {path} cannot be opened: {error}.") from error

    @contextmanager
    def transaction(self) -> Iterator[sqlite3.Connection]:
        """A transaction; inside another one it is part of that. Raises Stopping after `close`."""
        with self.changed:
            self._check_open()
            if self._depth == 0:
                self._connection.execute("BEGIN IMMEDIATE")
                self._changes_before = self._connection.total_changes
            self._depth += 1
            try:
                yield self._connection
            except BaseException:
                self._depth -= 1
                if self._depth == 0:
                    self._connection.execute("ROLLBACK")
                raise
            self._depth -= 1
            if self._depth == 0:
                self._connection.execute("COMMIT")
                # Only after writes: otherwise threads that find no work would wake each other in a loop.
                if self._connection.total_changes != self._changes_before:
                    self.changed.notify_all()

    def rows(self, sql: str, *values: object, **named: object) -> list[sqlite3.Row]:
        """All rows of a query, with values for `?` or for `:name`."""
        with self.changed:
            self._check_open()
            return self._connection.execute(sql, named or values).fetchall()

    def row(self, sql: str, *values: object, **named: object) -> sqlite3.Row | None:
        """The first row of a query, with values for `?` or for `:name`."""
        with self.changed:
            self._check_open()
            row: sqlite3.Row | None = self._connection.execute(sql, named or values).fetchone()
            return row

    def one(self, sql: str, *values: object) -> sqlite3.Row:
        """The row of a query that must have one. Raises LookupError if it has none."""
        row = self.row(sql, *values)
        if row is None:
            raise LookupError(f"No row for {sql!r}.")
        return row

    def number(self, sql: str, *values: object) -> int:
        """The number that a query returns; NULL is 0."""
        row = self.row(sql, *values)
        return int(row[0] or 0) if row else 0

    def close(self) -> None:
        """Close the connection. A ledger in memory is lost."""
        with self.changed:
            self._closed = True
            self._connection.close()
            self.changed.notify_all()

    def _check_open(self) -> None:
        if self._closed:
            raise Stopping


def _connect(path: Path | None) -> sqlite3.Connection:
    if path is not None:
        path.parent.mkdir(parents=True, exist_ok=True)
    connection = sqlite3.connect(path or ":memory:", check_same_thread=False, isolation_level=None)
    try:
        connection.row_factory = sqlite3.Row
        connection.execute("PRAGMA journal_mode = WAL")
        # A killed process loses no data. A power cut may, which is acceptable here.
        connection.execute("PRAGMA synchronous = OFF")
        connection.executescript(_TABLES)
    except sqlite3.Error:
        connection.close()
        raise
    return connection
