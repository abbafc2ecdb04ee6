"""The background process: runs every step of the worker, each under the ticks of its queue."""

from __future__ import annotations

import pytest

from newsletter.monitoring.heartbeat import Queue
from newsletter.worker import background
from newsletter.worker.background import BackgroundProcess
from subscribers.addresses import parse_address
from subscribers.models import Evidence, TransactionalMail
from subscribers.signup.queue import store_signup
from tests.publications import make_newsletter

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def _one_connection(monkeypatch: pytest.MonkeyPatch) -> None:
    """Keep the connection that holds the test's transaction."""
    monkeypatch.setattr(background, "close_old_connections", lambda: None)


def a_background_process() -> BackgroundProcess:
    """A process that has taken over."""
    made = BackgroundProcess()
    made.take_over()
    return made


def test_confirmation_mails_are_sent_by_their_own_queue() -> None:
    store_signup(make_newsletter(), parse_address("new@example.org"), Evidence(form="tests"))
    process = a_background_process()
    assert not process.work_for(5, Queue.SENDING)
    assert not TransactionalMail.objects.exists()
    process.work_for(5, Queue.TRANSACTIONAL)
    assert TransactionalMail.objects.get().recipient == "new@example.org"


def test_a_tick_before_the_process_has_taken_over_does_nothing() -> None:
    store_signup(make_newsletter(), parse_address("new@example.org"), Evidence(form="tests"))
    process = BackgroundProcess()
    assert not process.work_for(5, Queue.TRANSACTIONAL)
    assert not TransactionalMail.objects.exists()
    process.take_over()
    process.work_for(5, Queue.TRANSACTIONAL)
    assert TransactionalMail.objects.exists()


def test_the_heartbeat_names_the_queues_that_ticked_lately(monkeypatch: pytest.MonkeyPatch) -> None:
    active, idle = a_background_process(), a_background_process()
    active.work_for(5, Queue.EVENTS)
    active.work_for(5, Queue.SENDING)
    assert (active.active_queues(), idle.active_queues()) == ([Queue.SENDING, Queue.EVENTS], [])
    monkeypatch.setattr(background, "ACTIVE", 0.0)
    assert active.active_queues() == [], "old ticks do not count"
