"""The Celery process: runs every step of the worker, each under the ticks of its queue."""

from __future__ import annotations

import pytest

from newsletter.monitoring.heartbeat import Queue
from newsletter.worker import celery_process
from newsletter.worker.celery_process import CeleryProcess
from subscribers.addresses import parse_address
from subscribers.models import Evidence, TransactionalMail
from subscribers.signup.queue import store_signup
from tests.publications import make_newsletter

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def _one_connection(monkeypatch: pytest.MonkeyPatch) -> None:
    """Keep the connection that holds the test's transaction."""
    monkeypatch.setattr(celery_process, "close_old_connections", lambda: None)


def a_celery_process() -> CeleryProcess:
    """A process that has recovered."""
    made = CeleryProcess()
    made.recover()
    return made


def test_confirmation_mails_are_sent_by_their_own_queue() -> None:
    store_signup(make_newsletter(), parse_address("new@example.org"), Evidence(form="tests"))
    process = a_celery_process()
    assert not process.work_for(5, Queue.SENDING)
    assert not TransactionalMail.objects.exists()
    process.work_for(5, Queue.TRANSACTIONAL)
    assert TransactionalMail.objects.get().recipient == "new@example.org"


def test_a_tick_before_the_process_has_recovered_does_nothing() -> None:
    store_signup(make_newsletter(), parse_address("new@example.org"), Evidence(form="tests"))
    process = CeleryProcess()
    assert not process.work_for(5, Queue.TRANSACTIONAL)
    assert not TransactionalMail.objects.exists()
    process.recover()
    process.work_for(5, Queue.TRANSACTIONAL)
    assert TransactionalMail.objects.exists()


def test_the_heartbeat_names_the_queues_that_ticked_lately(monkeypatch: pytest.MonkeyPatch) -> None:
    active, idle = a_celery_process(), a_celery_process()
    active.work_for(5, Queue.EVENTS)
    active.work_for(5, Queue.SENDING)
    assert (active.active_queues(), idle.active_queues()) == ([Queue.SENDING, Queue.EVENTS], [])
    monkeypatch.setattr(celery_process, "ACTIVE_SECONDS", 0.0)
    assert active.active_queues() == [], "old ticks do not count"
