"""The background: one process of a fleet. It runs the worker's steps when it is woken.

`newsletter.celery` wakes it; what it does is the same as in `manage.py worker`, which wakes itself.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterable, Mapping, Sequence

from django.db import close_old_connections, connections
from structlog.contextvars import bind_contextvars

from newsletter.monitoring.heartbeat import BEAT, KINDS, Heartbeat
from newsletter.providers import get_route
from newsletter.sending.batch import release_stale_claims, worker_name
from newsletter.sending.post import seconds_until_post
from newsletter.worker import (
    IDLE,
    SHORTEST_REST,
    Step,
    Stepper,
    errands_of,
    name_of,
    run_round,
    steps_of,
    take_over_first,
)

#: Steps with a queue of their own, by name; every other step moves issues. A person waits for a confirmation mail, so
#: no issue may hold one up (R-122), and receipts come in crowds while an issue goes out.
NOTICES = frozenset({"answer_signups", "send_due_transactional_mails"})
RECEIPTS = frozenset({"apply_events", "settle_proven", "hold_expired"})

#: Seconds for which a pulse counts as fresh: beat sends one a second for each kind, and one task may take a minute.
LATELY = 90.0


class BackgroundProcess:
    """The steps of one process, by the kind of work. Made after the fork: connections are nobody else's."""

    def __init__(self) -> None:
        """Says to the log which process it is."""
        self._route = get_route()
        self._at_work, self._woken_at = "", dict.fromkeys(KINDS, -LATELY)
        self._heartbeat = Heartbeat(worker_name(), woken_for=self.woken_for)
        self._has_taken_over, self._ended = threading.Event(), threading.Event()
        bind_contextvars(worker=worker_name())
        steps = steps_of(self._route)
        self._steps: Mapping[str, Sequence[Stepper]] = {
            "notices": self._watched(step for step in steps if name_of(step) in NOTICES),
            "issues": self._watched(step for step in steps if name_of(step) not in NOTICES | RECEIPTS),
            "receipts": self._watched(step for step in steps if name_of(step) in RECEIPTS),
            "errands": self._watched(errands_of()),
        }

    def _watched(self, steps: Iterable[Step]) -> list[Stepper]:
        return [Stepper(step, on_work=self._heartbeat.note) for step in steps]

    def work_for(self, seconds: float, kind: str) -> bool:
        """Do what is due of one kind until nothing is, for so long at most; whether there is more.

        Nothing before it has taken over: a pulse comes every second.
        """
        if not self._has_taken_over.is_set():
            return False
        self._at_work, self._woken_at[kind] = kind, time.monotonic()
        try:
            return self._work(seconds, kind)
        finally:
            self._at_work = ""

    def _work(self, seconds: float, kind: str) -> bool:
        ends_at = time.monotonic() + seconds
        while time.monotonic() < ends_at:
            close_old_connections()
            if run_round(self._steps[kind]):
                continue
            delay = seconds_until_post(self._route) if kind == "issues" else None
            if delay is None:
                return False
            self._ended.wait(min(IDLE, max(SHORTEST_REST, delay)))
        return True

    def woken_for(self) -> list[str]:
        """The kinds of work that pulses have lately come for, in their order; for the heartbeat."""
        since = time.monotonic() - LATELY
        return [kind for kind in KINDS if kind == self._at_work or self._woken_at[kind] > since]

    def take_over(self) -> None:
        """Look at what the dead left and what the time away has changed; from then on there is work."""
        take_over_first(self._ended)
        self._has_taken_over.set()

    def live(self) -> None:
        """Take over from the dead, and say that it lives until it ends: the body of a thread.

        An idle process is woken too seldom to say so by itself. No connection is kept between two beats, since a fleet
        has enough of them; and none is opened in the main thread before Celery has closed what a fork inherits.
        """
        self.take_over()
        beat, release = Stepper(self._heartbeat.beat), Stepper(self._release)
        while not self._ended.is_set():
            beat()
            release()
            connections.close_all()
            self._ended.wait(BEAT)

    def _release(self) -> bool:
        """Batches of a process that was killed go on within seconds, by whoever is alive on its machine."""
        return release_stale_claims() > 0

    def end(self) -> None:
        """The process ends in order."""
        self._ended.set()
        self._heartbeat.end()
        connections.close_all()
