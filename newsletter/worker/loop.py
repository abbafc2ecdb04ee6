"""The loop: runs the steps in rounds. `manage.py worker`, the demo and Celery's processes use it."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from django.db import DatabaseError, close_old_connections, connections
from structlog.contextvars import bind_contextvars, bound_contextvars

from newsletter.config.tracing import span
from newsletter.monitoring.heartbeat import Heartbeat, Queue
from newsletter.sending.after_restore import secure_unfinished
from newsletter.sending.batch import release_stale_claims, worker_name
from newsletter.sending.database_mark import check_and_mark
from newsletter.sending.downtime import pause_after_downtime
from newsletter.sending.schedule import update_start_times
from newsletter.worker.steps import STEPS, Step

log = logging.getLogger(__name__)

#: Longest and shortest wait between two rounds when a round found nothing to do, in seconds.
IDLE_SECONDS, SHORTEST_WAIT = 0.5, 0.01

#: Seconds for which a step that found nothing to do is skipped while other steps have work. A subscriber waits for
#: transactional mail.
IDLE_COOLDOWN, TRANSACTIONAL_COOLDOWN = 1.0, 0.25

#: Longest wait until a failing step is retried, in seconds.
LONGEST_BACKOFF = 60.0

#: Seconds between two rounds of idle background jobs, and how long a stopping worker waits for the job that runs.
BACKGROUND_IDLE, BACKGROUND_END = 2.0, 15.0

#: The queues whose steps `manage.py worker` runs in its main thread; the background queue has a thread of its own.
MAIN_THREAD_QUEUES = tuple(queue for queue in Queue if queue is not Queue.BACKGROUND)


class StepRunner:
    """Runs one step when it is due.

    An error is logged, and the step backs off: 1, 2, 4 … LONGEST_BACKOFF seconds. So neither an
    unavailable database nor a fault in one step ends the worker or delays the other steps. No work is lost, because
    each step starts from the state in the database.
    """

    def __init__(
        self,
        step: Step,
        *,
        on_work: Callable[[str], None] = lambda name: None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """`on_work` is called with the step's name each time that the step did something."""
        self.step = step
        self._on_work, self._clock = on_work, clock
        self._failures = 0
        self._not_before = self._idle_until = clock()

    @property
    def is_failing(self) -> bool:
        return self._failures > 0

    @property
    def is_idle(self) -> bool:
        """Whether the step found nothing to do a moment ago, see IDLE_COOLDOWN."""
        return self._clock() < self._idle_until

    def run(self) -> bool:
        """Run the step, even if it is idle, but neither before `every` seconds have passed nor while it backs off.

        Returns whether it did something, so that there may be more to do.
        """
        now = self._clock()
        if now < self._not_before:
            return False
        self._not_before = now + self.step.every
        with bound_contextvars(step=self.step.name):
            try:
                has_worked = self._run_in_span()
            except Exception:
                self._back_off()
                return False
        self._failures = 0
        if has_worked:
            self._on_work(self.step.name)
        # A step with an interval is never skipped: that could make it run later than its interval says.
        cooldown = TRANSACTIONAL_COOLDOWN if self.step.queue is Queue.TRANSACTIONAL else IDLE_COOLDOWN
        idle = 0.0 if has_worked or self.step.every else cooldown
        self._idle_until = self._clock() + idle
        return has_worked

    def _run_in_span(self) -> bool:
        with span(self.step.name) as work:
            has_worked = self.step.run()
            if not has_worked:
                # Idle runs would fill the tracing system.
                work.drop()
        return has_worked

    def _back_off(self) -> None:
        seconds = min(LONGEST_BACKOFF, 2.0 ** min(self._failures, 10))
        self._failures += 1
        self._not_before = max(self._not_before, self._clock() + seconds)
        log.exception("Step failed", extra={"step": self.step.name, "retry_seconds": seconds})

    def seconds_until_due(self) -> float | None:
        """Seconds until waiting work is due; None if no work waits. If some waits, the step is no longer idle."""
        seconds = self.step.due_in()
        if seconds is None:
            return None
        now = self._clock()
        self._idle_until = now
        return max(seconds, self._not_before - now)


@dataclass(frozen=True, slots=True, kw_only=True)
class Round:
    wait: float
    """Seconds to wait before the next round; 0: there may be more to do."""
    is_idle: bool = False
    """Whether no step did anything, and no work waits for a set time."""


class StepLoop:
    """Runs some steps in their order, round after round."""

    def __init__(self, runners: Sequence[StepRunner]) -> None:
        self._runners = runners

    def run(self) -> Round:
        """Run one round. Idle steps are skipped while others have work. Raises DatabaseError."""
        idle = [runner for runner in self._runners if runner.is_idle]
        if run_each([runner for runner in self._runners if runner not in idle]):
            return Round(wait=0.0)
        waits = [seconds for runner in self._runners if (seconds := runner.seconds_until_due()) is not None]
        if waits:
            return Round(wait=min(IDLE_SECONDS, max(SHORTEST_WAIT, min(waits))))
        return Round(wait=0.0) if run_each(idle) else Round(wait=IDLE_SECONDS, is_idle=True)


def run_each(runners: Sequence[StepRunner]) -> bool:
    """Run every step once. Returns whether any of them did something."""
    return sum(runner.run() for runner in runners) > 0


def runners_of(*queues: Queue, on_work: Callable[[str], None] = lambda name: None) -> list[StepRunner]:
    """Runners of all steps of these queues, in order."""
    return [StepRunner(step, on_work=on_work) for step in STEPS if step.queue in queues]


def work(stop: threading.Event) -> None:
    """Run the steps until `stop` is set. May be killed at any line: the next start continues from the database."""
    heartbeat = Heartbeat(worker_name())
    with bound_contextvars(worker=worker_name()):
        log.info("Worker started")
        recover_before_work(stop)
        background = threading.Thread(target=run_background_jobs, args=[stop], name="background", daemon=True)
        background.start()
        beat = StepRunner(Step("heartbeat", Queue.TRANSACTIONAL, 0, heartbeat.beat))
        steps = StepLoop([beat, *runners_of(*MAIN_THREAD_QUEUES, on_work=heartbeat.note)])
        while not stop.is_set():
            close_old_connections()
            if wait := _wait_after_round(steps):
                stop.wait(wait)
        background.join(BACKGROUND_END)
        heartbeat.end()
        log.info("Worker stopped")


def _wait_after_round(steps: StepLoop) -> float:
    """Run a round; seconds to wait before the next one."""
    try:
        return steps.run().wait
    except DatabaseError:
        # The steps have logged the same error, and back off.
        return IDLE_SECONDS


def run_background_jobs(stop: threading.Event) -> None:
    """Run the background steps until `stop` is set, on a database connection of this thread."""
    bind_contextvars(worker=worker_name())
    steps = StepLoop(runners_of(Queue.BACKGROUND))
    try:
        while not stop.is_set():
            close_old_connections()
            if steps.run().is_idle:
                stop.wait(BACKGROUND_IDLE)
    finally:
        connections.close_all()


def work_until_idle() -> None:
    """Run the steps until none has anything to do: `manage.py worker --until-idle`."""
    mail, background = StepLoop(runners_of(*MAIN_THREAD_QUEUES)), StepLoop(runners_of(Queue.BACKGROUND))
    never = threading.Event()
    while True:
        # Background jobs have their turn only when no mail is left to send.
        mail_round = mail.run()
        if mail_round.is_idle:
            if background.run().is_idle:
                return
        elif mail_round.wait:
            never.wait(mail_round.wait)


def recover_before_work(stop: threading.Event) -> None:
    """Recover before any other work, and retry until it succeeds or `stop` is set.

    A post or heartbeat before that would hide a long downtime. After a boot the worker often starts before the database
    does, so the first attempts may fail.
    """
    runner = StepRunner(Step("recover", Queue.SENDING, 0, recover))
    runner.run()
    while runner.is_failing and not stop.wait(IDLE_SECONDS):
        close_old_connections()
        runner.run()


def recover() -> bool:
    """Secure a restored copy, pause sends after a downtime, and continue what dead workers of this machine left.

    Start times are computed again, too.
    """
    is_restored = secure_unfinished()
    is_restored = check_and_mark() or is_restored
    paused, has_moved_start = pause_after_downtime(), update_start_times()
    batches = release_stale_claims(include_own=True)
    if batches:
        log.info("Claims of dead workers released", extra={"batches": batches})
    return bool(is_restored or paused or has_moved_start or batches)
