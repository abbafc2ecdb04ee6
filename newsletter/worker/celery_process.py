"""A Celery process that runs the worker's steps when a tick wakes it."""

from __future__ import annotations

import threading
import time

from django.db import close_old_connections, connections
from structlog.contextvars import bind_contextvars

from newsletter.monitoring.heartbeat import HEARTBEAT_INTERVAL, Heartbeat, Queue
from newsletter.sending.batch import release_stale_claims, worker_name
from newsletter.worker.loop import DatabaseCheck, StepLoop, StepRunner, recover_before_work, runners_of
from newsletter.worker.steps import Step

#: Seconds for which a queue counts as active after a tick. Ticks come every second, but one task may run for a minute.
ACTIVE_SECONDS = 90.0


class CeleryProcess:
    """The steps of one Celery process, by queue. Create it after the fork, so that it shares no connection."""

    def __init__(self) -> None:
        self._running: Queue | None = None
        self._ticked_at = dict.fromkeys(Queue, -ACTIVE_SECONDS)
        self._heartbeat = Heartbeat(worker_name(), queues=self.active_queues)
        self._has_recovered, self._ended = threading.Event(), threading.Event()
        bind_contextvars(worker=worker_name())
        # The tasks of a process run in one thread, for all queues.
        check = DatabaseCheck()
        self._steps = {queue: StepLoop(runners_of(queue, on_work=self._heartbeat.note, check=check)) for queue in Queue}

    def work_for(self, seconds: float, queue: Queue) -> bool:
        """Run the steps of a queue until none has anything to do, for `seconds` at most; whether there is more.

        Does nothing before the process has recovered: the next tick comes within a second.
        """
        if not self._has_recovered.is_set():
            return False
        self._running, self._ticked_at[queue] = queue, time.monotonic()
        try:
            return self._work(seconds, queue)
        finally:
            self._running = None

    def _work(self, seconds: float, queue: Queue) -> bool:
        ends_at = time.monotonic() + seconds
        while time.monotonic() < ends_at:
            close_old_connections()
            result = self._steps[queue].run()
            if result.is_idle:
                return False
            if result.wait:
                self._ended.wait(result.wait)
        return True

    def active_queues(self) -> list[Queue]:
        """The queues whose ticks came within the last ACTIVE_SECONDS, for the heartbeat."""
        since = time.monotonic() - ACTIVE_SECONDS
        return [queue for queue in Queue if queue is self._running or self._ticked_at[queue] > since]

    def recover(self) -> None:
        """Continue what dead workers left. Ticks have an effect from then on."""
        recover_before_work(self._ended)
        self._has_recovered.set()

    def run_heartbeats(self) -> None:
        """Recover, then write heartbeats until the process ends: the body of a thread.

        The steps cannot write them, since an idle process may get no tick for long. The connection is closed after each
        heartbeat to save connections, and none is opened in the main thread before Celery closes the inherited ones.
        """
        self.recover()
        beat = StepRunner(Step("heartbeat", Queue.TRANSACTIONAL, 0, self._heartbeat.beat))
        release = StepRunner(Step("release_stale_claims", Queue.SENDING, 0, self._release))
        while not self._ended.is_set():
            beat.run()
            release.run()
            connections.close_all()
            self._ended.wait(HEARTBEAT_INTERVAL)

    def _release(self) -> bool:
        """Release batches of a killed process, so that another one on this machine continues them within seconds."""
        return release_stale_claims(include_own=False) > 0

    def end(self) -> None:
        """End normally: the heartbeat row is deleted."""
        self._ended.set()
        self._heartbeat.end()
        connections.close_all()
