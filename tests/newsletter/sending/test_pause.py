"""A pause takes effect within two seconds, however many workers there are and whatever they wait for."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

import pytest
from django.db import connection

from newsletter.models import Batch, BatchState, Issue
from newsletter.providers.base import Provider
from newsletter.sandbox import SandboxServer
from newsletter.sending.control import pause_send, resume_send
from newsletter.sending.post import post_batch, seconds_until_post
from newsletter.sending.switch import resume_sending, stop_all_sending
from tests import people
from tests.publications import expand_audiences, make_issue, send_of, start_sending
from tests.sandboxes import provider_of, running_sandbox

WORKERS, BATCHES = 12, 60


def pause(issue: Issue) -> None:
    pause_send(send_of(issue), by="Edda", text="A wrong link.")


def resume(issue: Issue) -> None:
    resume_send(send_of(issue), by="Edda")


def stop_all(issue: Issue) -> None:
    stop_all_sending(by="Edda", text="A wrong link.")


def resume_all(issue: Issue) -> None:
    resume_sending(by="Edda")


@pytest.mark.django_db(transaction=True)
@pytest.mark.postgresql
@pytest.mark.parametrize(
    ("stop", "start"),
    [pytest.param(pause, resume, id="the send"), pytest.param(stop_all, resume_all, id="all sending")],
)
def test_no_batch_is_posted_from_two_seconds_after_a_pause_until_the_send_is_resumed(
    monkeypatch: pytest.MonkeyPatch, stop: Callable[[Issue], None], start: Callable[[Issue], None]
) -> None:
    # So slow that each worker holds a batch and waits for a permit when the pause comes.
    with running_sandbox(rate_limit=4) as sandbox:
        pause_and_resume(sandbox, provider_of(sandbox, monkeypatch), stop, start)


def pause_and_resume(
    sandbox: SandboxServer, provider: Provider, pause: Callable[[Issue], None], resume: Callable[[Issue], None]
) -> None:
    issue = make_issue()
    people.make_subscriptions(BATCHES, issue.newsletter)
    start_sending(issue)
    expand_audiences(batch_size=1)
    stop = threading.Event()
    workers = [threading.Thread(target=post_until, args=[stop, provider]) for _ in range(WORKERS)]
    for worker in workers:
        worker.start()
    try:
        wait_for(lambda: count_accepted() >= 2)
        pause(issue)
        time.sleep(2)  # the promise itself, not a wait for a result
        messages = sandbox.ledger.summary()["messages"]
        wait_for(lambda: not Batch.objects.filter(state=BatchState.CLAIMED).exists())
        assert sandbox.ledger.summary()["messages"] == messages < BATCHES
        resume(issue)
        wait_for(lambda: count_accepted() > messages)
    finally:
        stop.set()
        for worker in workers:
            worker.join()
    assert sandbox.ledger.summary()["messages"] == sandbox.ledger.summary()["recipients"]


def post_until(stop: threading.Event, provider: Provider) -> None:
    try:
        while not stop.is_set():
            if not post_batch((provider,)):
                stop.wait(min(0.1, seconds_until_post((provider,)) or 0.1))
    finally:
        connection.close()


def count_accepted() -> int:
    return Batch.objects.filter(state=BatchState.ACCEPTED).count()


def wait_for(condition: Callable[[], bool], seconds: float = 20.0) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "Timed out."
        time.sleep(0.05)
