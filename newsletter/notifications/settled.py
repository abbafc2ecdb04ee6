"""Up to which key a table has all its rows: on PostgreSQL, a transaction that ends late shows lower keys late.

Keys are handed out when rows are inserted, and rows show when their transaction ends, so that the row with key 8 may
be seen before the one with key 7. Who inserts holds a lock on the table from before its first key until its end
(ROW EXCLUSIVE, chapter “Explicit Locking”). So a key that was seen is settled once every transaction has ended that
held this lock then. Nothing waits: it is asked again in the next round. SQLite has one writer at a time.
"""

from __future__ import annotations

from dataclasses import dataclass

from django.db import connection
from django.db.models import Max, Model

INSERTING = """
    SELECT virtualtransaction FROM pg_locks
    WHERE locktype = 'relation' AND mode = 'RowExclusiveLock' AND granted AND relation = %s::regclass
        AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
        AND pid <> pg_backend_pid()
"""


def latest_pk(model: type[Model]) -> int:
    """The highest key that is visible; 0 in an empty table."""
    return int(model._default_manager.aggregate(last=Max("pk"))["last"] or 0)


@dataclass(slots=True)
class Settled:
    """The settled keys of one table, as one process knows them. A new process learns them within two rounds."""

    model: type[Model]
    _settled: int = 0
    _seen: int = 0
    _awaited: frozenset[str] = frozenset()
    """Transactions that may still show keys up to `_seen`."""

    def pk(self) -> int:
        """The key up to which no other row will appear. Two small queries."""
        # The key first: a transaction that has ended by the second query is visible from then on.
        latest = latest_pk(self.model)
        inserting = self._inserting()
        if not inserting & self._awaited:
            self._settled = self._seen
            self._seen, self._awaited = latest, inserting
        if not inserting:
            self._settled = latest
        # After a restore the table may have fewer rows than before.
        return min(self._settled, latest)

    def _inserting(self) -> frozenset[str]:
        if connection.vendor != "postgresql":
            return frozenset()
        with connection.cursor() as cursor:
            cursor.execute(INSERTING, [self.model._meta.db_table])
            return frozenset(row[0] for row in cursor.fetchall())
