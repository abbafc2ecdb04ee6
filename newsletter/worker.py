"""The worker: the loop over all steps. Imports sending and receipts; `manage.py worker` and the demo run it."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Sequence
from functools import partial

from django.db import close_old_connections

from newsletter.providers import get_provider
from newsletter.providers.base import Provider
from newsletter.receipts.apply import apply_receipts
from newsletter.sending.address import address_next
from newsletter.sending.batch import release_claims_of_the_dead, worker_name
from newsletter.sending.control import drop_cancelled, finish_issues
from newsletter.sending.post import post_next
from newsletter.sending.reconcile import hold_the_hopeless, settle_proven
from newsletter.sending.schedule import start_due_issues
from newsletter.sending.throttle import Throttle
from subscribers.notices import send_due_notices
from subscribers.signups import answer_signups

log = logging.getLogger(__name__)

#: Seconds between looks while there is nothing to do, and the longest rest of a step that fails.
IDLE, LONGEST_REST = 0.5, 60.0

Step = Callable[[], bool]


def steps_of(provider: Provider, throttle: Throttle) -> list[Step]:
    """Everything a worker does, in the order of an issue's way. Each does a bounded piece and says if there is more.

    Confirmation mails come first: a person waits for them, and no issue may hold them up (R-122).
    """
    return [
        answer_signups,
        send_due_notices,
        start_due_issues,
        partial(address_next, provider.batch_size),
        partial(post_next, provider, throttle),
        partial(apply_receipts, provider),
        settle_proven,
        partial(hold_the_hopeless, provider),
        drop_cancelled,
        finish_issues,
    ]


def work(stop: threading.Event) -> None:
    """Do what is due until `stop` is set. May be killed at any moment; the next start goes on."""
    provider, throttle = get_provider(), Throttle()
    steps = [Stepper(step) for step in steps_of(provider, throttle)]
    log.info("worker %s started", worker_name())
    Stepper(take_over)()
    while not stop.is_set():
        close_old_connections()
        if not run_round(steps):
            stop.wait(min(IDLE, throttle.delay() or IDLE))


def work_until_idle() -> None:
    """Do what is due until nothing is; for `manage.py worker --until-idle`."""
    provider, throttle = get_provider(), Throttle()
    steps = [Stepper(step) for step in steps_of(provider, throttle)]
    while run_round(steps) or throttle.delay():
        threading.Event().wait(throttle.delay())


def run_round(steps: Sequence[Step]) -> bool:
    """Give every step its turn; whether any of them has more to do."""
    return sum(step() for step in steps) > 0


def take_over() -> bool:
    """Free what workers of this machine left behind that run no more."""
    log.info("%s batches of workers that are gone are taken over", release_claims_of_the_dead())
    return False


class Stepper:
    """A step that cannot end the worker: what it raises is logged, and it rests for a while, longer each time.

    So a database that is gone, or a fault in one step, costs that step's turns and not the others' (R-138). Nothing is
    lost: each step starts from what the database says.
    """

    def __init__(self, step: Step, clock: Callable[[], float] = time.monotonic) -> None:
        self._step, self._clock = step, clock
        self._failures, self._rests_until = 0, 0.0

    def __call__(self) -> bool:
        """Run the step if it does not rest; whether there is more."""
        if self._clock() < self._rests_until:
            return False
        try:
            more = self._step()
        except Exception:
            self._failures += 1
            rest = min(LONGEST_REST, 2.0 ** (self._failures - 1))
            self._rests_until = self._clock() + rest
            log.exception("a step failed; it is tried again in %.0f s", rest)
            return False
        self._failures = 0
        return more
