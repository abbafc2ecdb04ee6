"""The worker: every step has its turn, none ends the others, and an idle one leaves the database alone."""

from __future__ import annotations

import threading
from collections.abc import Callable

import pytest
from django.db import DatabaseError, connection
from django.test.utils import CaptureQueriesContext

from newsletter import worker
from newsletter.models import Issue, IssueStatus
from newsletter.providers import get_route
from newsletter.sending.schedule import send_now
from newsletter.worker import LONGEST_REST, Stepper, run_errands, run_round, steps_of, work, work_until_idle
from subscribers.addresses import parse_address
from subscribers.models import Evidence, TransactionalMail, TransactionalMailState
from subscribers.signup.queue import store_signup
from tests import people
from tests.publications import make_issue
from tests.sandboxes import provider_of, running_sandbox


class Faulty:
    """A step that fails a few times, then works."""

    def __init__(self, failures: int, error: Exception) -> None:
        self.failures, self.error, self.turns = failures, error, 0

    def __call__(self) -> bool:
        self.turns += 1
        if self.turns <= self.failures:
            raise self.error
        return True


@pytest.mark.parametrize("error", [DatabaseError("read-only"), ValueError("odd"), TypeError("odd")], ids=repr)
def test_a_step_that_fails_rests_and_is_tried_again(error: Exception) -> None:
    seconds = [0.0]
    faulty = Faulty(2, error)
    step = Stepper(faulty, clock=lambda: seconds[0])
    assert [step(), step(), faulty.turns] == [False, False, 1], "it rests for a second"
    seconds[0] = 1.0
    assert [step(), faulty.turns] == [False, 2]
    seconds[0] = 2.0
    assert [step(), faulty.turns] == [False, 2], "it rests for two"
    seconds[0] = 3.0
    assert step()


def test_the_rest_has_an_end() -> None:
    seconds = [0.0]
    faulty = Faulty(50, ValueError("odd"))
    step = Stepper(faulty, clock=lambda: seconds[0])
    for _ in range(50):
        step()
        seconds[0] += LONGEST_REST
    assert step()


def test_one_faulty_step_costs_the_others_nothing() -> None:
    healthy = Faulty(0, ValueError())
    assert run_round([Stepper(Faulty(9, ValueError("odd"))), Stepper(healthy)])
    assert healthy.turns == 1


@pytest.mark.django_db
def test_an_idle_worker_writes_nothing() -> None:
    steps = steps_of(get_route())
    run_round(steps)
    with CaptureQueriesContext(connection) as queries:
        run_round(steps)
    writes = [query["sql"] for query in queries if query["sql"].split()[0] in {"UPDATE", "INSERT", "DELETE", "BEGIN"}]
    assert writes == []


@pytest.mark.django_db
def test_a_worker_takes_an_issue_from_start_to_sent(monkeypatch: pytest.MonkeyPatch) -> None:
    issue = make_issue()
    people.make_subscriptions(3, issue.newsletter)
    send_now(issue, by="Edda")
    with running_sandbox() as sandbox:
        provider_of(sandbox, monkeypatch)
        work_until_idle()
        assert sandbox.ledger.summary()["messages"] == 3
    assert Issue.objects.get().status == IssueStatus.SENT


@pytest.mark.django_db
def test_who_signs_up_while_an_issue_goes_out_waits_for_one_batch_at_most(monkeypatch: pytest.MonkeyPatch) -> None:
    issue = make_issue()
    people.make_subscriptions(350, issue.newsletter)
    send_now(issue, by="Edda")
    with running_sandbox() as sandbox:
        provider_of(sandbox, monkeypatch)
        steps = steps_of(get_route())
        while sandbox.ledger.summary()["messages"] == 0:
            run_round(steps)
        store_signup(issue.newsletter, parse_address("new@example.org"), Evidence(form="tests"))
        before = sandbox.ledger.summary()["messages"]
        run_round(steps)
        mails = sandbox.ledger.summary()
        assert mails["messages"] > before
        assert TransactionalMail.objects.filter(state=TransactionalMailState.SENT).exists(), (
            "its step comes before the next post (R-122)"
        )
        assert mails["messages"] < 350, "the issue is still on its way"


@pytest.mark.django_db
def test_errands_are_run_until_told_to_stop_and_one_that_fails_costs_the_others_nothing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    stop, ran = threading.Event(), []

    def errand() -> bool:
        ran.append(threading.current_thread().name)
        if len(ran) == 3:
            stop.set()
        return True

    monkeypatch.setattr(worker, "errands_of", lambda: [Faulty(9, ValueError("odd")), errand])
    thread = threading.Thread(target=run_errands, args=[stop], name="errands")
    thread.start()
    thread.join(10)
    assert ran == ["errands"] * 3


@pytest.mark.django_db
def test_mail_does_not_wait_for_an_errand(monkeypatch: pytest.MonkeyPatch) -> None:
    stop, under_way, over = threading.Event(), threading.Event(), threading.Event()

    def slow_errand() -> bool:
        under_way.set()
        return not over.wait(10)

    def post() -> bool:
        if under_way.is_set():
            stop.set()
            over.set()
        return True

    monkeypatch.setattr(worker, "errands_of", lambda: [slow_errand])
    monkeypatch.setattr(worker, "steps_of", lambda route: [post])
    work(stop)
    assert over.is_set(), "the step had its turn while the errand was under way"


@pytest.mark.django_db
def test_a_worker_until_idle_looks_at_feeds_when_no_mail_is_left(monkeypatch: pytest.MonkeyPatch) -> None:
    order: list[str] = []

    def turns(name: str, *more: bool) -> Callable[[], bool]:
        left = iter(more)

        def turn() -> bool:
            order.append(name)
            return next(left)

        return turn

    monkeypatch.setattr(worker, "steps_of", lambda route: [turns("mail", True, True, False, False)])
    monkeypatch.setattr(worker, "errands_of", lambda: [turns("feed", True, False)])
    work_until_idle()
    assert order == ["mail", "mail", "mail", "feed", "mail", "feed"]


@pytest.mark.django_db
def test_nothing_is_posted_before_a_worker_has_taken_over_though_the_database_was_away(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    stop, order = threading.Event(), []
    faulty = Faulty(1, DatabaseError("the system is starting up"))

    def take_over() -> bool:
        faulty()
        order.append("take over")
        return False

    def post() -> bool:
        order.append("post")
        stop.set()
        return False

    monkeypatch.setattr(worker, "take_over", take_over)
    monkeypatch.setattr(worker, "steps_of", lambda route: [post])
    work(stop)
    assert (faulty.turns, order) == (2, ["take over", "post"])


@pytest.mark.django_db
def test_a_worker_that_is_told_to_stop_stops() -> None:
    stop = threading.Event()
    stop.set()
    work(stop)
