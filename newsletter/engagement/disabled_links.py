"""Disabled links: which they are, in memory and in a file, so that following a link needs no query.

    memory of this process ◄─ every few seconds ─ database;  at its start also ◄─ file in LINK_TABLES_DIR

The web server reads them in a thread of its own; other processes read them when a link is followed. While the database
does not answer, what is known stays. Each process that reads a change writes the file.
"""

from __future__ import annotations

import logging
import os
import threading
import time
from collections.abc import Callable
from pathlib import Path

import orjson
from django.conf import settings
from django.db import DatabaseError, InterfaceError, connection, transaction
from django.db.models import QuerySet
from django.utils import timezone

from newsletter.models import FIRST_LINK, DisabledLink, Edition, Issue, numbered_links

log = logging.getLogger(__name__)

#: Seconds until a change reaches a process, at most.
REFRESH_SECONDS = 5.0

#: Seconds that a process which ends waits for its thread.
STOP_SECONDS = 2.0

Link = tuple[int, int]
"""An edition, and the number of a link in it."""


class DisabledLinks:
    """The disabled links as this process knows them."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock, self._lock = clock, threading.Lock()
        self._links: frozenset[Link] | None = None
        self._read_at: float | None = None
        self._thread: threading.Thread | None = None
        self._stopping = threading.Event()

    def has(self, edition: int, number: int) -> bool:
        """Whether a link is disabled. Never raises: while nothing can be read, no link is."""
        is_late = self._read_at is None or self._clock() - self._read_at >= REFRESH_SECONDS
        is_own_work = self._thread is None or self._read_at is None
        # The others do not wait for the one that reads.
        if is_late and is_own_work and self._lock.acquire(blocking=False):
            try:
                self._read()
            finally:
                self._lock.release()
        return (edition, number) in (self._links or ())

    def forget(self) -> None:
        """Empty the memory, as a new process begins."""
        self._links, self._read_at = None, None

    def refresh(self) -> None:
        """Read them now."""
        with self._lock:
            self._read()

    def start(self) -> None:
        """Read them in the background from now on. Called in each process of the web server."""
        self._stopping.clear()
        self._thread = threading.Thread(target=self._run, name="disabled-links", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Read them no more."""
        thread, self._thread = self._thread, None
        self._stopping.set()
        if thread is not None:
            thread.join(STOP_SECONDS)

    def _run(self) -> None:
        is_over = False
        while not is_over:
            try:
                self.refresh()
            except Exception:
                # The thread must go on: without it, no change would reach this process.
                log.exception("Disabled links not read")
            # A thread that mostly waits keeps no connection.
            connection.close()
            is_over = self._stopping.wait(REFRESH_SECONDS)

    def _read(self) -> None:
        try:
            current = DisabledLink.objects.filter(ended_at__isnull=True).values_list("edition_id", "number")
            found = frozenset(current)
        except (DatabaseError, InterfaceError):
            if self._links is None:
                self._links = _read_file()
        else:
            if found != self._links:
                _write_file(found)
            self._links = found
        # After a failure, too: a database that does not answer makes one request wait, not each.
        self._read_at = self._clock()


#: Of this process.
DISABLED = DisabledLinks()


def _path() -> Path:
    folder: Path = settings.LINK_TABLES_DIR
    return folder / "disabled.json"


def _write_file(links: frozenset[Link]) -> None:
    """A full disk is logged and stops nothing."""
    path, content = _path(), orjson.dumps(sorted(links))
    try:
        if links or path.exists():
            path.parent.mkdir(parents=True, exist_ok=True)
            part = path.with_name(f"{path.name}.{os.getpid()}.{threading.get_ident()}.part")
            part.write_bytes(content)
            part.replace(path)
    except OSError as error:
        log.warning("Disabled links not written", extra={"reason": str(error)})


def _read_file() -> frozenset[Link]:
    try:
        return frozenset((int(edition), int(number)) for edition, number in orjson.loads(_path().read_bytes()))
    except (OSError, orjson.JSONDecodeError, TypeError, ValueError):
        return frozenset()


# --- Disabling ------------------------------------------------------------------------------------------------------


def disable_address(issue: Issue, url: str, *, by: str, text: str) -> int:
    """Disable every link of the issue's mails that leads to this address, in all editions; how many were enabled.

    Mails that are sent later have the same links. A second call changes nothing.
    """
    rows = [
        DisabledLink(edition_id=edition, number=number, by=by[:150], text=text[:500])
        for edition, number in sorted(_links_to(issue, url))
    ]
    with transaction.atomic():
        present = set(_current(issue, url).values_list("edition_id", "number"))
        missing = [row for row in rows if (row.edition_id, row.number) not in present]
        DisabledLink.objects.bulk_create(missing, ignore_conflicts=True)
    DISABLED.refresh()
    return len(missing)


def enable_address(issue: Issue, url: str, *, by: str) -> int:
    """Let the links lead to this address again; how many were disabled."""
    keys = list(_current(issue, url).values_list("pk", flat=True))
    ended = DisabledLink.objects.filter(pk__in=keys, ended_at__isnull=True)
    count = ended.update(ended_by=by[:150], ended_at=timezone.now())
    DISABLED.refresh()
    return count


def _links_to(issue: Issue, url: str) -> set[Link]:
    editions = Edition.objects.filter(issue=issue).exclude(engagement={}).only("pk", "engagement")
    return {
        (edition.pk, number)
        for edition in editions
        for number, link in enumerate(numbered_links(edition), start=FIRST_LINK)
        if link["url"] == url
    }


def _current(issue: Issue, url: str) -> QuerySet[DisabledLink]:
    links = _links_to(issue, url)
    rows = DisabledLink.objects.filter(edition__in={edition for edition, _number in links}, ended_at__isnull=True)
    keys = [row.pk for row in rows if (row.edition_id, row.number) in links]
    return DisabledLink.objects.filter(pk__in=keys)
