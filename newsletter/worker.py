"""The worker: the loop over all steps.

`manage.py worker` and the demo run it.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Sequence
from functools import partial

from django.db import DatabaseError, close_old_connections, connections
from structlog.contextvars import bind_contextvars, bound_contextvars

from newsletter.config.tracing import span
from newsletter.events.apply import apply_events
from newsletter.gathering.poll import poll_next_feed
from newsletter.monitoring.heartbeat import Heartbeat
from newsletter.preflight import check_next_links
from newsletter.providers import Route, get_route
from newsletter.sending.auto_pause import auto_pause_sends
from newsletter.sending.batch import release_stale_claims, worker_name
from newsletter.sending.control import drop_cancelled, finish_issues
from newsletter.sending.downtime import hold_after_downtime
from newsletter.sending.expand import expand_next
from newsletter.sending.post import post_next, seconds_until_post
from newsletter.sending.provider_outage import follow_provider_outages
from newsletter.sending.provider_search import search_next
from newsletter.sending.reconcile import hold_expired, settle_proven
from newsletter.sending.recurring import plan_occurrences, start_due_occurrences
from newsletter.sending.schedule import renew_instants, start_due_issues
from subscribers.signup.queue import answer_signups
from subscribers.transactional.outbox import send_due_transactional_mails

log = logging.getLogger(__name__)

#: Seconds between looks while there is nothing to do, and the longest rest of a step that fails.
IDLE, LONGEST_REST = 0.5, 60.0
#: Seconds that a worker rests at least when it found nothing that it may do.
SHORTEST_REST = 0.01
#: Seconds between looks for errands, and how long a worker that stops waits for the one that runs.
ERRANDS_IDLE, ERRANDS_END = 2.0, 15.0
#: Seconds between two looks of a step that need not look after each post, and of one that looks at all readers.
SELDOM, MINUTE = 1.0, 60.0

Step = Callable[[], bool]


def steps_of(route: Route) -> list[Step]:
    """Everything a worker does, in the order of an issue's way. Each does a bounded piece and says if there is more.

    Confirmation mails come first: a person waits for them, and no issue may hold them up (R-122).
    """
    return [
        answer_signups,
        send_due_transactional_mails,
        seldom(plan_occurrences),
        seldom(renew_instants, MINUTE),
        start_due_occurrences,
        start_due_issues,
        partial(expand_next, route[0].batch_size),
        seldom(partial(follow_provider_outages, route)),
        partial(post_next, route),
        *(partial(apply_events, provider) for provider in route if provider.has_events),
        seldom(auto_pause_sends),
        settle_proven,
        partial(hold_expired, route),
        drop_cancelled,
        finish_issues,
    ]


def errands_of() -> list[Step]:
    """What takes a worker out on the net. It has a loop of its own: no mail waits for a stranger's slow server."""
    return [poll_next_feed, check_next_links, partial(search_next, get_route())]


def work(stop: threading.Event) -> None:
    """Do what is due until `stop` is set. May be killed at any moment; the next start goes on."""
    route, heartbeat = get_route(), Heartbeat(worker_name())
    steps = [Stepper(heartbeat.beat)]
    steps += [Stepper(step, on_work=heartbeat.note) for step in steps_of(route)]
    with bound_contextvars(worker=worker_name()):
        log.info("worker %s started", worker_name())
        take_over_first(stop)
        errands = threading.Thread(target=run_errands, args=[stop], name="errands", daemon=True)
        errands.start()
        while not stop.is_set():
            close_old_connections()
            if not run_round(steps):
                stop.wait(rest_of(route))
        errands.join(ERRANDS_END)
        heartbeat.end()


def rest_of(route: Route) -> float:
    """Seconds until the next look: no longer than a batch that is due waits for its slot."""
    try:
        seconds = seconds_until_post(route)
    except DatabaseError:
        return IDLE
    return IDLE if seconds is None else min(IDLE, max(SHORTEST_REST, seconds))


def run_errands(stop: threading.Event) -> None:
    """Run errands until `stop` is set, on a database connection of this thread's own."""
    bind_contextvars(worker=worker_name())
    errands = [Stepper(errand) for errand in errands_of()]
    try:
        while not stop.is_set():
            close_old_connections()
            if not run_round(errands):
                stop.wait(ERRANDS_IDLE)
    finally:
        connections.close_all()


def work_until_idle() -> None:
    """Do what is due until nothing is; for `manage.py worker --until-idle`."""
    route = get_route()
    steps = [Stepper(step) for step in steps_of(route)]
    errands = [Stepper(errand) for errand in errands_of()]
    # Mail first, always: errands have their turn when no mail is left.
    while run_round(steps) or seconds_until_post(route) is not None or run_round(errands):
        threading.Event().wait(rest_of(route))


def run_round(steps: Sequence[Step]) -> bool:
    """Give every step its turn; whether any of them has more to do."""
    return sum(step() for step in steps) > 0


def seldom(step: Step, seconds: float = SELDOM, clock: Callable[[], float] = time.monotonic) -> Step:
    """`step`, but at most once in so many seconds: between two posts it would only cost time."""
    due_at = clock()

    def step_if_due() -> bool:
        nonlocal due_at
        if clock() < due_at:
            return False
        due_at = clock() + seconds
        return step()

    step_if_due.__name__ = name_of(step)
    return step_if_due


def take_over_first(stop: threading.Event) -> None:
    """Take over before anything else, however long the database is away, or until `stop` is set.

    A post or a sign of life before that would hide that nobody was here for long (R-137): after a machine has started,
    its worker is often faster than its database.
    """
    first = Stepper(take_over)
    first()
    while first.is_failing and not stop.wait(IDLE):
        close_old_connections()
        first()


def take_over() -> bool:
    """Free what workers of this machine left behind that run no more, and look at what the time away has changed."""
    hold_after_downtime()
    renew_instants()
    log.info("%s batches of workers that are gone are taken over", release_stale_claims())
    return False


class Stepper:
    """A step that cannot end the worker: what it raises is logged, and it rests for a while, longer each time.

    So a database that is gone, or a fault in one step, costs that step's turns and not the others' (R-138). Nothing is
    lost: each step starts from what the database says.
    """

    def __init__(
        self,
        step: Step,
        clock: Callable[[], float] = time.monotonic,
        *,
        on_work: Callable[[str], None] = lambda name: None,
    ) -> None:
        """`on_work` hears the step's name each time that it has found something to do and there is more."""
        self._step, self._clock, self._on_work = step, clock, on_work
        self.name = name_of(step)
        self._failures, self._rests_until = 0, 0.0

    @property
    def is_failing(self) -> bool:
        """Whether the step failed the last time."""
        return self._failures > 0

    def __call__(self) -> bool:
        """Run the step if it does not rest; whether there is more."""
        if self._clock() < self._rests_until:
            return False
        try:
            with span(self.name) as work:
                more = self._step()
                if not more:
                    # An idle worker looks twenty times a second; nobody wants to see that.
                    work.drop()
        except Exception:
            self._failures += 1
            rest = min(LONGEST_REST, 2.0 ** (self._failures - 1))
            self._rests_until = self._clock() + rest
            log.exception("the step %s failed; it is tried again in %.0f s", self.name, rest)
            return False
        self._failures = 0
        if more:
            self._on_work(self.name)
        return more


def name_of(step: Step) -> str:
    """What a step is called in logs, spans and heartbeats: its function's name."""
    function = step.func if isinstance(step, partial) else step
    return str(getattr(function, "__name__", type(function).__name__))
