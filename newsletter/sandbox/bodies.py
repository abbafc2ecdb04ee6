"""Accepted request bodies, each stored once and compressed.

A batch of a hundred mails of 60 KB is six megabytes of nearly equal text. zstd compresses it to about 50 KB in about a
millisecond, and single mails are read from it on demand.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import orjson
import zstandard

from newsletter.sandbox.database import Database

# The window of this level is 2 MB, which covers several mails, so repeated text is found.
_LEVEL = 3


class Bodies:
    """Bodies by number."""

    def __init__(self, database: Database) -> None:
        self._database = database
        # A few decoded batches, because a page shows mails of the same batch.
        self._items = lru_cache(maxsize=4)(self._decode)

    def compress(self, body: bytes) -> bytes:
        """Compress a body. Call it outside the transaction, so that the lock is not held meanwhile."""
        return zstandard.ZstdCompressor(level=_LEVEL).compress(body)

    def add(self, compressed: bytes) -> int:
        """Store a compressed body and return its number."""
        with self._database.transaction() as tx:
            return int(tx.execute("INSERT INTO bodies (zstd) VALUES (?)", (compressed,)).lastrowid or 0)

    def read(self, number: int) -> bytes:
        """The body as it was received."""
        row = self._database.one("SELECT zstd FROM bodies WHERE id = ?", number)
        return zstandard.ZstdDecompressor().decompress(row["zstd"])

    def item(self, number: int, position: int | None) -> dict[str, Any]:
        """One mail as it was requested: the whole body, or one item of the batch."""
        parsed = self._items(number)
        item: dict[str, Any] = parsed if position is None else parsed[position]
        return item

    def _decode(self, number: int) -> Any:
        return orjson.loads(self.read(number))
