"""A pause takes hold within two seconds, however many workers there are and whatever they wait for (R-120)."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

import pytest
from django.db import connection

from newsletter.models import Batch, BatchState, Issue
from newsletter.providers.base import Provider
from newsletter.sandbox import SandboxServer
from newsletter.sending.control import pause_issue, resume_issue
from newsletter.sending.post import post_next, seconds_until_post
from tests import people
from tests.publications import address_everybody, make_issue, start_sending
from tests.sandboxes import provider_of, running_sandbox

WORKERS, BATCHES = 12, 60


@pytest.mark.django_db(transaction=True)
@pytest.mark.postgresql
def test_no_batch_goes_out_two_seconds_after_a_pause_and_a_resume_goes_on(monkeypatch: pytest.MonkeyPatch) -> None:
    # Slow enough that each worker holds a batch that waits for its slot when the pause comes.
    with running_sandbox(rate_limit=4) as sandbox:
        pause_and_resume(sandbox, provider_of(sandbox, monkeypatch))


def pause_and_resume(sandbox: SandboxServer, provider: Provider) -> None:
    issue = make_issue()
    people.make_subscriptions(BATCHES, issue.newsletter)
    start_sending(issue)
    address_everybody(batch_size=1)
    stop = threading.Event()
    workers = [threading.Thread(target=post_until, args=[stop, provider]) for _ in range(WORKERS)]
    for worker in workers:
        worker.start()
    try:
        wait_for(lambda: accepted() >= 2)
        pause_issue(issue, by="Edda", reason="A wrong link.")
        time.sleep(2)  # the promise itself, not a wait for something
        out = sandbox.ledger.summary()["messages"]
        wait_for(lambda: not Batch.objects.filter(state=BatchState.CLAIMED).exists())
        assert sandbox.ledger.summary()["messages"] == out < BATCHES
        resume_issue(Issue.objects.get(), by="Edda")
        wait_for(lambda: accepted() > out)
    finally:
        stop.set()
        for worker in workers:
            worker.join()
    assert sandbox.ledger.summary()["messages"] == sandbox.ledger.summary()["recipients"]


def post_until(stop: threading.Event, provider: Provider) -> None:
    try:
        while not stop.is_set():
            if not post_next((provider,)):
                stop.wait(min(0.1, seconds_until_post((provider,)) or 0.1))
    finally:
        connection.close()


def accepted() -> int:
    return Batch.objects.filter(state=BatchState.ACCEPTED).count()


def wait_for(condition: Callable[[], bool], seconds: float = 20.0) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "It did not happen in time."
        time.sleep(0.05)
