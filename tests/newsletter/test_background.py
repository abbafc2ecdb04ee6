"""The background: a process of a fleet runs every step of the worker, each under one kind of work."""

from __future__ import annotations

import pytest

from newsletter import background
from newsletter.background import NOTICES, RECEIPTS, BackgroundProcess
from newsletter.providers import get_route
from newsletter.worker import name_of, steps_of
from subscribers.addresses import parse_address
from subscribers.models import Evidence, TransactionalMail
from subscribers.signup.queue import store_signup
from tests.publications import make_newsletter


def a_background_process() -> BackgroundProcess:
    """A process that has taken over."""
    made = BackgroundProcess()
    made.take_over()
    return made


def test_the_steps_with_a_queue_of_their_own_are_steps_of_the_worker() -> None:
    names = {name_of(step) for step in steps_of(get_route())}
    assert names > NOTICES | RECEIPTS
    assert not NOTICES & RECEIPTS


@pytest.mark.django_db
def test_confirmation_mails_go_out_without_the_other_kinds_of_work(monkeypatch: pytest.MonkeyPatch) -> None:
    # It would close the connection that holds this test's transaction.
    monkeypatch.setattr(background, "close_old_connections", lambda: None)
    store_signup(make_newsletter(), parse_address("new@example.org"), Evidence(form="tests"))
    assert not a_background_process().work_for(5, "issues")
    assert not TransactionalMail.objects.exists()
    a_background_process().work_for(5, "notices")
    assert TransactionalMail.objects.get().recipient == "new@example.org"


@pytest.mark.django_db
def test_a_pulse_that_comes_before_the_process_has_taken_over_does_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(background, "close_old_connections", lambda: None)
    store_signup(make_newsletter(), parse_address("new@example.org"), Evidence(form="tests"))
    early = BackgroundProcess()
    assert not early.work_for(5, "notices")
    assert not TransactionalMail.objects.exists()
    early.take_over()
    early.work_for(5, "notices")
    assert TransactionalMail.objects.exists()


@pytest.mark.django_db
def test_the_heartbeat_names_the_kinds_of_work_that_pulses_came_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(background, "close_old_connections", lambda: None)
    woken, sleeping = a_background_process(), a_background_process()
    woken.work_for(5, "receipts")
    woken.work_for(5, "issues")
    assert (woken.woken_for(), sleeping.woken_for()) == (["issues", "receipts"], [])
    monkeypatch.setattr(background, "LATELY", 0.0)
    assert woken.woken_for() == [], "pulses that came long ago do not count"
