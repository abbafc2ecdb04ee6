"""Link tables: where the numbered links of an edition lead, in memory and in files, so that links outlive an outage.

    memory of this process ─► database ─► file in LINK_TABLES_DIR, only while the database does not answer

Each process that reads a table from the database writes its file: the worker before the first mail of an edition, and
each web server at the first click.
"""

from __future__ import annotations

import logging
import os
import threading
from collections import OrderedDict
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import orjson
from django.conf import settings
from django.db import DatabaseError, InterfaceError

from newsletter.models import FIRST_LINK, Edition

log = logging.getLogger(__name__)

#: Tables kept in memory, of about 5 KB each.
CACHED_TABLES = 512


class LinkTables:
    """The tables that this process has used lately."""

    def __init__(self, size: int = CACHED_TABLES) -> None:
        self._size, self._lock = size, threading.Lock()
        self._tables: OrderedDict[int, tuple[str, ...]] = OrderedDict()

    def destination(self, edition: int, number: int) -> str | None:
        """Where a link leads; None if the edition or the link does not exist.

        Raises DatabaseError while neither memory, nor the database, nor a file knows the edition.
        """
        table = self._table(edition)
        place = number - FIRST_LINK
        return table[place] if table is not None and 0 <= place < len(table) else None

    def forget(self) -> None:
        """Empty the memory, as a new process begins."""
        with self._lock:
            self._tables.clear()

    def _table(self, edition: int) -> tuple[str, ...] | None:
        with self._lock:
            if (known := self._tables.get(edition)) is not None:
                self._tables.move_to_end(edition)
                return known
        table = _load(edition)
        if table is not None:
            with self._lock:
                self._tables[edition] = table
                while len(self._tables) > self._size:
                    self._tables.popitem(last=False)
        return table


#: Of this process.
TABLES = LinkTables()


def keep_table(edition: int, engagement: Mapping[str, Any]) -> None:
    """Write the file of an edition, if there is none with the same content. A full disk is logged and stops nothing."""
    path, content = _path(edition), orjson.dumps([link["url"] for link in engagement.get("links", [])])
    try:
        if path.exists() and path.read_bytes() == content:
            return
        path.parent.mkdir(parents=True, exist_ok=True)
        part = path.with_name(f"{path.name}.{os.getpid()}.{threading.get_ident()}.part")
        part.write_bytes(content)
        part.replace(path)
    except OSError as error:
        log.warning("Link table not written", extra={"issue": edition, "reason": str(error)})


def _load(edition: int) -> tuple[str, ...] | None:
    """From the database; from the file while it does not answer. Raises DatabaseError without either."""
    try:
        found = Edition.objects.filter(pk=edition).values_list("engagement", flat=True).first()
    except (DatabaseError, InterfaceError):
        if (kept := _read_file(edition)) is not None:
            return kept
        raise
    if not found:
        return None
    keep_table(edition, found)
    return tuple(link["url"] for link in found.get("links", []))


def _read_file(edition: int) -> tuple[str, ...] | None:
    try:
        return tuple(map(str, orjson.loads(_path(edition).read_bytes())))
    except (OSError, orjson.JSONDecodeError):
        return None


def _path(edition: int) -> Path:
    folder: Path = settings.LINK_TABLES_DIR
    return folder / f"{edition}.json"
