"""The worker: the loop over all steps. Imports sending and receipts; `manage.py worker` and the demo run it."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from functools import partial

from django.db import OperationalError, close_old_connections

from newsletter.providers import get_provider
from newsletter.providers.base import Provider
from newsletter.receipts.apply import apply_receipts
from newsletter.sending.address import address_next
from newsletter.sending.batch import release_claims_of_the_dead
from newsletter.sending.control import drop_cancelled, finish_issues
from newsletter.sending.post import post_next
from newsletter.sending.reconcile import settle_proven
from newsletter.sending.schedule import start_due_issues
from newsletter.sending.throttle import Throttle
from subscribers.notices import send_due_notices
from subscribers.signups import answer_signups

log = logging.getLogger(__name__)

#: Seconds between looks while there is nothing to do.
IDLE = 0.5

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
        drop_cancelled,
        finish_issues,
    ]


def work(stop: threading.Event) -> None:
    """Do what is due until `stop` is set. May be killed at any moment; the next start goes on."""
    provider, throttle = get_provider(), Throttle()
    released = release_claims_of_the_dead()
    log.info("worker started; %s batches of workers that are gone are taken over", released)
    steps = steps_of(provider, throttle)
    while not stop.is_set():
        close_old_connections()
        if not run_round(steps):
            stop.wait(min(IDLE, throttle.delay()) or IDLE)


def work_until_idle() -> None:
    """Do what is due until nothing is; for tests and for `manage.py worker --until-idle`."""
    provider, throttle = get_provider(), Throttle()
    steps = steps_of(provider, throttle)
    while run_round(steps) or throttle.delay():
        threading.Event().wait(throttle.delay())


def run_round(steps: list[Step]) -> bool:
    """Give every step its turn; whether any of them has more to do."""
    return sum(run_step(step) for step in steps) > 0


def run_step(step: Step) -> bool:
    """One step; a database that is briefly gone or locked costs this turn only (R-138)."""
    try:
        return step()
    except OperationalError:
        log.exception("the database did not answer; trying again")
        close_old_connections()
        return False
