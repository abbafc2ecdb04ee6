"""The loop: runs the steps in rounds. `manage.py worker`, the demo and Celery's processes use it."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from django.db import DatabaseError, close_old_connections, connection, connections
from structlog.contextvars import bind_contextvars, bound_contextvars

from newsletter.config.tracing import span
from newsletter.events.event_log import request_readings_after_start
from newsletter.monitoring.heartbeat import Heartbeat, Queue
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

#: The queues that have a thread of their own in `manage.py worker`. All others share its main thread.
OWN_THREAD_QUEUES = (Queue.BACKGROUND, Queue.WEBHOOKS)
MAIN_THREAD_QUEUES = tuple(queue for queue in Queue if queue not in OWN_THREAD_QUEUES)


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
        check: DatabaseCheck | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """`on_work` is called with the step's name each time that the step did something.

        `check` is shared by all steps of a thread.
        """
        self.step = step
        self._on_work, self._check, self._clock = on_work, check, clock
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

        A step that needs the database check does not run before that has succeeded. Returns whether it did something,
        so that there may be more to do.
        """
        now = self._clock()
        if now < self._not_before or not self._may_run():
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

    def _may_run(self) -> bool:
        return self._check is None or not self.step.needs_check or self._check.has_succeeded()

    def _run_in_span(self) -> bool:
        with span(self.step.name) as work:
            has_worked = self.step.run()
            if not has_worked:
                # Idle runs would fill the tracing system.
                work.drop()
        return has_worked

    def _back_off(self) -> None:
        if self._check:
            self._check.require()
        seconds = min(LONGEST_BACKOFF, 2.0 ** min(self._failures, 10))
        self._failures += 1
        self._not_before = max(self._not_before, self._clock() + seconds)
        log.exception("Step failed", extra={"step": self.step.name, "retry_seconds": seconds})

    @property
    def seconds_until_retry(self) -> float:
        """Seconds until a failing step runs again; 0 or less if it may run."""
        return self._not_before - self._clock()

    def seconds_until_due(self) -> float | None:
        """Seconds until waiting work is due; None if no work waits. If some waits, the step is no longer idle.

        Raises DatabaseError.
        """
        try:
            seconds = self.step.due_in()
        except Exception:
            if self._check:
                self._check.require()
            raise
        if seconds is None:
            return None
        self._idle_until = self._clock()
        check = self._check.seconds_until_retry if self._check and self.step.needs_check else 0.0
        return max(seconds, self.seconds_until_retry, check)


class DatabaseCheck:
    """The check that the database has not gone back, which one thread's steps need before they send.

    A failover that loses writes shows as an error or as a new connection, if at all. So the check is required when a
    worker starts, after each error of a step, and on each new connection. Nothing is read in between.
    """

    def __init__(
        self, run: Callable[[], bool] = check_and_mark, *, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._runner = StepRunner(Step("check_database", Queue.SENDING, 0, run), clock=clock)
        self._is_required = True
        self._connection: object = None

    def require(self) -> None:
        """Require another check before the next step that needs it."""
        self._is_required = True

    def has_succeeded(self) -> bool:
        """Whether it has succeeded since it was last required. It runs if it has not, but not while it backs off."""
        # Else the step's first query would replace a dead connection, and go to the other database at once.
        connection.close_if_health_check_failed()
        if self._is_required or self._connection is not connection.connection:
            self._runner.run()
            self._is_required, self._connection = self._runner.is_failing, connection.connection
        return not self._is_required

    @property
    def seconds_until_retry(self) -> float:
        """Seconds until a failed check runs again; 0 or less if it may run, or has succeeded."""
        return self._runner.seconds_until_retry


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


def runners_of(
    *queues: Queue, on_work: Callable[[str], None] = lambda name: None, check: DatabaseCheck | None = None
) -> list[StepRunner]:
    """Runners of all steps of these queues, in order. `check` is that of the thread that runs them, if it has one."""
    shared = check or DatabaseCheck()
    return [StepRunner(step, on_work=on_work, check=shared) for step in STEPS if step.queue in queues]


def work(stop: threading.Event) -> None:
    """Run the steps until `stop` is set. May be killed at any line: the next start continues from the database."""
    heartbeat = Heartbeat(worker_name())
    with bound_contextvars(worker=worker_name()):
        log.info("Worker started")
        recover_before_work(stop)
        threads = [
            threading.Thread(target=run_background_jobs, args=[stop, queue], name=queue.value, daemon=True)
            for queue in OWN_THREAD_QUEUES
        ]
        for thread in threads:
            thread.start()
        steps = _main_steps(heartbeat)
        while not stop.is_set():
            close_old_connections()
            if wait := _wait_after_round(steps):
                stop.wait(wait)
        ends_at = time.monotonic() + BACKGROUND_END
        for thread in threads:
            thread.join(max(0.0, ends_at - time.monotonic()))
        heartbeat.end()
        log.info("Worker stopped")


def _main_steps(heartbeat: Heartbeat) -> StepLoop:
    """The steps of the main thread of `manage.py worker`, with its heartbeat."""
    check = DatabaseCheck()
    beat = StepRunner(Step("heartbeat", Queue.TRANSACTIONAL, 0, heartbeat.beat), check=check)
    return StepLoop([beat, *runners_of(*MAIN_THREAD_QUEUES, on_work=heartbeat.note, check=check)])


def _wait_after_round(steps: StepLoop) -> float:
    """Run a round; seconds to wait before the next one."""
    try:
        return steps.run().wait
    except DatabaseError:
        # The steps have logged the same error, and back off.
        return IDLE_SECONDS


def run_background_jobs(stop: threading.Event, queue: Queue = Queue.BACKGROUND) -> None:
    """Run the steps of a queue until `stop` is set, on a database connection of this thread."""
    bind_contextvars(worker=worker_name())
    steps = StepLoop(runners_of(queue))
    try:
        while not stop.is_set():
            close_old_connections()
            if steps.run().is_idle:
                stop.wait(BACKGROUND_IDLE)
    finally:
        connections.close_all()


def work_until_idle() -> None:
    """Recover, and run the steps until none has anything to do: `manage.py worker --until-idle`.

    Raises what the recovery raises: nothing was sent then.
    """
    heartbeat = Heartbeat(worker_name())
    with bound_contextvars(worker=worker_name()):
        recover()
        try:
            _run_until_idle(_main_steps(heartbeat), StepLoop(runners_of(*OWN_THREAD_QUEUES)))
        finally:
            heartbeat.end()


def _run_until_idle(mail: StepLoop, background: StepLoop) -> None:
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

    Start times are computed again, and the provider's log of events is read: webhooks may have been missed.
    """
    is_restored = check_and_mark()
    request_readings_after_start()
    paused, has_moved_start = pause_after_downtime(), update_start_times()
    batches = release_stale_claims(include_own=True)
    if batches:
        log.info("Claims of dead workers released", extra={"batches": batches})
    return bool(is_restored or paused or has_moved_start or batches)
