"""Accepted request bodies, each kept once and compressed.

A batch of a hundred mails of 60 KB is six megabytes of nearly equal text: zstd makes some 50 KB of it, in about a
millisecond, and single mails are read out of it when somebody looks.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import orjson
import zstandard

from newsletter.sandbox.database import Database

# Its window of 2 MB reaches back over whole mails, so that the next one is seen to be nearly equal.
_LEVEL = 3


class Bodies:
    """The bodies by number."""

    def __init__(self, database: Database) -> None:
        self._database = database
        # A few decoded batches: pages and searches read neighbours.
        self._items = lru_cache(maxsize=4)(self._decode)

    def compress(self, body: bytes) -> bytes:
        """Outside the transaction, so that the lock is not held for it."""
        return zstandard.ZstdCompressor(level=_LEVEL).compress(body)

    def add(self, compressed: bytes) -> int:
        """Keep a compressed body; answers its number."""
        with self._database.transaction() as tx:
            return int(tx.execute("INSERT INTO bodies (zstd) VALUES (?)", (compressed,)).lastrowid or 0)

    def read(self, number: int) -> bytes:
        """A body as it was received."""
        row = self._database.one("SELECT zstd FROM bodies WHERE id = ?", number)
        return zstandard.ZstdDecompressor().decompress(row["zstd"])

    def item(self, number: int, position: int | None) -> dict[str, Any]:
        """One mail as it was requested: the whole body, or one item of the batch."""
        parsed = self._items(number)
        item: dict[str, Any] = parsed if position is None else parsed[position]
        return item

    def _decode(self, number: int) -> Any:
        return orjson.loads(self.read(number))
