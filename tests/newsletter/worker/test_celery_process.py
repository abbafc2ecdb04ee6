"""The Celery process: runs every step of the worker, each under the ticks of its queue."""

from __future__ import annotations

import datetime
from collections.abc import Iterator
from pathlib import Path

import pytest
from django.db import OperationalError
from pytest_django import Settings

from newsletter.models import Batch, BatchState, DatabaseMark, Newsletter, sending_stopped
from newsletter.monitoring.heartbeat import Queue
from newsletter.sandbox import SandboxServer
from newsletter.sending import database_mark
from newsletter.worker import celery_process, loop
from newsletter.worker.celery_process import CeleryProcess
from subscribers.addresses import parse_address
from subscribers.models import Evidence, TransactionalMail
from subscribers.signup.queue import process_signups, store_signup
from tests import people
from tests.publications import expand_audiences, make_issue, make_newsletter, start_sending
from tests.sandboxes import provider_of, running_sandbox

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


@pytest.fixture
def sandbox(monkeypatch: pytest.MonkeyPatch, settings: Settings) -> Iterator[SandboxServer]:
    settings.EMAIL_BACKEND = "newsletter.providers.email_backend.ProviderEmailBackend"
    with running_sandbox() as server:
        provider_of(server, monkeypatch)
        yield server


@pytest.fixture
def _marks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(database_mark, "mark_folder", lambda: tmp_path)


@pytest.fixture
def _a_mail_waits(sandbox: SandboxServer, _marks: None) -> None:
    write_a_mail("new@example.org", make_newsletter())


def write_a_mail(address: str, newsletter: Newsletter | None = None) -> None:
    store_signup(newsletter or Newsletter.objects.get(), parse_address(address), Evidence(form="tests"))
    process_signups()


def fail(*_: object, **options: object) -> bool:
    raise OperationalError("terminating connection due to administrator command")


def go_back() -> None:
    """What a failover that lost writes does with the mark."""
    second = datetime.timedelta(seconds=1)
    DatabaseMark.objects.update(marked_at=DatabaseMark.objects.get().marked_at - second)


@pytest.mark.usefixtures("_a_mail_waits")
def test_no_transactional_mail_is_sent_from_a_database_that_went_back_before_the_first_tick(
    sandbox: SandboxServer,
) -> None:
    process = a_celery_process()
    go_back()
    process.work_for(5, Queue.TRANSACTIONAL)
    assert sending_stopped()
    assert sandbox.ledger.summary()["messages"] == 0


@pytest.mark.usefixtures("_a_mail_waits")
def test_no_transactional_mail_is_sent_from_a_database_that_went_back_with_an_error(
    sandbox: SandboxServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    process = a_celery_process()
    process.work_for(5, Queue.TRANSACTIONAL)
    assert sandbox.ledger.summary()["messages"] == 1
    write_a_mail("second@example.org")

    go_back()
    with monkeypatch.context() as patch:
        patch.setattr("subscribers.signup.queue.delete_old_signups", fail)
        process.work_for(5, Queue.TRANSACTIONAL)
    assert sending_stopped()
    assert sandbox.ledger.summary()["messages"] == 1


@pytest.mark.usefixtures("_marks")
def test_no_batch_is_posted_from_a_database_that_went_back_with_an_error(
    sandbox: SandboxServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Before the next turn of the step that marks the database."""
    monkeypatch.setattr(loop, "IDLE_COOLDOWN", 0.0)
    process = a_celery_process()
    process.work_for(5, Queue.SENDING)
    people.make_subscriptions(2, make_newsletter())
    start_sending(make_issue(newsletter=Newsletter.objects.get()))
    expand_audiences()
    go_back()
    with monkeypatch.context() as patch:
        patch.setattr("newsletter.worker.steps.expand_audience", fail)
        process.work_for(5, Queue.SENDING)
    assert Batch.objects.get().state == BatchState.HELD
    assert sandbox.ledger.summary()["messages"] == 0


def test_the_heartbeat_names_the_queues_that_ticked_lately(monkeypatch: pytest.MonkeyPatch) -> None:
    active, idle = a_celery_process(), a_celery_process()
    active.work_for(5, Queue.EVENTS)
    active.work_for(5, Queue.SENDING)
    assert (active.active_queues(), idle.active_queues()) == ([Queue.SENDING, Queue.EVENTS], [])
    monkeypatch.setattr(celery_process, "ACTIVE_SECONDS", 0.0)
    assert active.active_queues() == [], "old ticks do not count"
