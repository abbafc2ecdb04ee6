"""Recording: requests for links and images become hits, after they were answered.

    request ─► answer ─► RECORDER ─┬─► in the web server: a bounded queue, stored in sets by one thread
                                   └─► elsewhere: stored at once

What must not be stored never reaches the table: consent is read when a hit is stored. If the database does not answer,
hits are dropped, and links go on working.
"""

from __future__ import annotations

import datetime
import logging
import queue
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from django.db import DatabaseError, InterfaceError, connection

from newsletter.engagement.consent import agreed_since, editions_with_source
from newsletter.models import EngagementSource, Hit, HitMethod

log = logging.getLogger(__name__)

#: Hits that wait in one process; more are dropped, and counted in the log.
QUEUE_SIZE = 20_000

#: Hits of one insert, and seconds until a smaller number is stored, too.
HITS_PER_INSERT, SECONDS_PER_INSERT = 500, 0.5

#: Seconds that a process which ends may take to store what waits.
STOP_SECONDS = 5.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """What is kept of one request: no address and no agent, only hashes, a class and a family."""

    at: datetime.datetime
    edition: int
    number: int
    method: HitMethod
    delivery: int | None
    """The delivery that the link names; it is stored only with consent."""
    visitor: str
    network: str
    network_class: str
    agent: str


def store_requests(requests: Sequence[Request]) -> int:
    """Store those that may be stored, in a few statements; returns how many. Raises DatabaseError."""
    editions = editions_with_source({request.edition for request in requests}, EngagementSource.OWN)
    named = {request.delivery for request in requests if request.delivery is not None}
    agreed = agreed_since(named, EngagementSource.OWN) if named else {}
    hits = [_hit(request) for request in requests if request.edition in editions and _may_store(request, agreed)]
    Hit.objects.bulk_create(hits, batch_size=HITS_PER_INSERT)
    return len(hits)


def _may_store(request: Request, agreed: dict[int, datetime.datetime]) -> bool:
    if request.delivery is None:
        return True
    since = agreed.get(request.delivery)
    return since is not None and since <= request.at


def _hit(request: Request) -> Hit:
    return Hit(
        edition_id=request.edition,
        at=request.at,
        number=request.number,
        method=request.method,
        delivery_id=request.delivery,
        visitor=request.visitor if request.delivery is None else "",
        network=request.network,
        network_class=request.network_class,
        agent=request.agent,
    )


class Recorder:
    """Takes requests, and stores them at once, or in sets by a thread of its own between `start` and `stop`."""

    def __init__(self, store: Callable[[Sequence[Request]], int] = store_requests, size: int = QUEUE_SIZE) -> None:
        self._store, self._waiting = store, queue.Queue[Request | None](size)
        self._thread: threading.Thread | None = None
        self._dropped = 0

    def take(self, request: Request) -> None:
        """Record one request. Never raises for a database or a queue that cannot take it."""
        if self._thread is None:
            self._try_to_store([request])
            return
        try:
            self._waiting.put_nowait(request)
        except queue.Full:
            self._dropped += 1

    def start(self) -> None:
        """Store in the background from now on. Called in each process of the web server."""
        self._thread = threading.Thread(target=self._run, name="engagement", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Store what waits, within STOP_SECONDS."""
        if self._thread is None:
            return
        thread, self._thread = self._thread, None
        self._waiting.put(None)
        thread.join(STOP_SECONDS)

    def _run(self) -> None:
        is_over = False
        while not is_over:
            requests, is_over = self._next()
            try:
                self._try_to_store(requests)
            except Exception:
                # The thread must go on: without it, no more hits would be stored.
                log.exception("Hits dropped", extra={"count": len(requests)})
            connection.close_if_unusable_or_obsolete()
            if self._dropped:
                log.warning("Hits dropped: too many at once", extra={"count": self._dropped})
                self._dropped = 0
        connection.close()

    def _next(self) -> tuple[list[Request], bool]:
        """The requests of one insert, and whether the recorder stops after them."""
        request = self._waiting.get()
        requests: list[Request] = []
        until = time.monotonic() + SECONDS_PER_INSERT
        while request is not None:
            requests.append(request)
            if len(requests) == HITS_PER_INSERT:
                return requests, False
            try:
                request = self._waiting.get(timeout=max(0.0, until - time.monotonic()))
            except queue.Empty:
                return requests, False
        return requests, True

    def _try_to_store(self, requests: Sequence[Request]) -> None:
        if not requests:
            return
        try:
            self._store(requests)
        except (DatabaseError, InterfaceError) as error:
            values = {"count": len(requests), "reason": str(error)}
            log.warning("Hits dropped: the database is unavailable", extra=values)


#: Of this process.
RECORDER = Recorder()
