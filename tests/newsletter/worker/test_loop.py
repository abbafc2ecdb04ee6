"""The loop: every step has its turn, no error ends the others, and an idle worker leaves the database alone."""

from __future__ import annotations

import datetime
import logging
import socket
import threading
from collections.abc import Callable

import pytest
from django.conf import settings
from django.db import DatabaseError, close_old_connections, connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from newsletter.models import (
    Batch,
    BatchState,
    Issue,
    Reason,
    Restore,
    RestoreSource,
    SendState,
    WorkerHeartbeat,
)
from newsletter.monitoring.heartbeat import Queue
from newsletter.sending.after_restore import begin_restore
from newsletter.sending.batch import claim_batch
from newsletter.sending.control import resume_send
from newsletter.sending.schedule import send_now
from newsletter.worker import loop
from newsletter.worker.loop import (
    IDLE_COOLDOWN,
    IDLE_SECONDS,
    LONGEST_BACKOFF,
    MAIN_THREAD_QUEUES,
    DatabaseCheck,
    StepLoop,
    StepRunner,
    run_background_jobs,
    run_each,
    runners_of,
    work,
    work_until_idle,
)
from newsletter.worker.steps import Step, nothing_waits
from subscribers.addresses import parse_address
from subscribers.models import Evidence, TransactionalMail, TransactionalMailState
from subscribers.signup.queue import store_signup
from tests import people
from tests.publications import expand_audiences, just_now, make_issue, start_sending
from tests.sandboxes import provider_of, running_sandbox


class Clock:
    """A clock that a test sets."""

    seconds = 0.0

    def __call__(self) -> float:
        return self.seconds


class Faulty:
    """The work of a step that fails a few times, then works."""

    def __init__(self, failures: int, error: Exception) -> None:
        self.failures, self.error, self.runs = failures, error, 0

    def __call__(self) -> bool:
        self.runs += 1
        if self.runs <= self.failures:
            raise self.error
        return True


class Scripted:
    """The work of a step that answers as given, then that there is nothing to do."""

    def __init__(self, *answers: bool) -> None:
        self.answers, self.runs = list(answers), 0

    def __call__(self) -> bool:
        self.runs += 1
        return self.answers.pop(0) if self.answers else False


def a_step(
    run: Callable[[], bool],
    *,
    name: str = "step",
    queue: Queue = Queue.SENDING,
    every: float = 0,
    due_in: Callable[[], float | None] = nothing_waits,
    needs_check: bool = False,
) -> Step:
    return Step(name, queue, every, run, due_in, needs_check)


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def _one_connection(monkeypatch: pytest.MonkeyPatch) -> None:
    """Keep the connection that holds this test's transaction."""
    monkeypatch.setattr(loop, "close_old_connections", lambda: None)


# Steps that fail


@pytest.mark.parametrize("error", [DatabaseError("read-only"), ValueError("odd"), TypeError("odd")], ids=repr)
def test_a_step_that_fails_is_retried_after_one_then_two_seconds(error: Exception, clock: Clock) -> None:
    faulty = Faulty(2, error)
    runner = StepRunner(a_step(faulty), clock=clock)
    assert [runner.run(), runner.run(), faulty.runs] == [False, False, 1]
    clock.seconds = 1.0
    assert [runner.run(), faulty.runs] == [False, 2]
    clock.seconds = 2.0
    assert [runner.run(), faulty.runs] == [False, 2]
    clock.seconds = 3.0
    assert runner.run()


def test_a_step_that_fails_for_weeks_is_retried_every_minute(clock: Clock, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.CRITICAL, loop.__name__)
    faulty = Faulty(2_000, ValueError("odd"))
    runner = StepRunner(a_step(faulty), clock=clock)
    for _ in range(2_000):
        runner.run()
        clock.seconds += LONGEST_BACKOFF
    assert runner.run()
    assert faulty.runs == 2_001


def test_a_failing_step_leaves_the_others_their_turn() -> None:
    healthy = Scripted(True)
    assert run_each([StepRunner(a_step(Faulty(9, ValueError("odd")))), StepRunner(a_step(healthy))])
    assert healthy.runs == 1


def test_the_log_names_the_step_that_failed(caplog: pytest.LogCaptureFixture) -> None:
    StepRunner(a_step(Faulty(1, ValueError("odd")), name="sweep")).run()
    (record,) = caplog.records
    assert record.getMessage() == "Step failed"
    assert (record.__dict__["step"], record.__dict__["retry_seconds"]) == ("sweep", 1.0)


def test_the_heartbeat_gets_the_name_of_a_step_that_did_something() -> None:
    names: list[str] = []
    StepRunner(a_step(Scripted(True), name="sweep"), on_work=names.append).run()
    StepRunner(a_step(Scripted(), name="idle"), on_work=names.append).run()
    assert names == ["sweep"]


# Steps that find nothing


def test_a_step_that_found_nothing_rests_while_others_have_work(clock: Clock) -> None:
    idle, busy = Scripted(), Scripted(*[True] * 100)
    steps = StepLoop([StepRunner(a_step(idle), clock=clock), StepRunner(a_step(busy), clock=clock)])
    for _ in range(10):
        assert steps.run().wait == 0
    assert (idle.runs, busy.runs) == (1, 10)
    clock.seconds = IDLE_COOLDOWN
    steps.run()
    assert (idle.runs, busy.runs) == (2, 11)


def test_a_step_does_not_rest_when_no_other_has_work(clock: Clock) -> None:
    idle, busy = Scripted(False, True), Scripted(True, False)
    steps = StepLoop([StepRunner(a_step(idle), clock=clock), StepRunner(a_step(busy), clock=clock)])
    assert [steps.run().wait, steps.run().wait] == [0, 0], "the last work of one step may be the first of another"
    assert idle.runs == 2
    assert steps.run().is_idle
    assert (idle.runs, busy.runs) == (3, 3), "no step runs twice in a round"


def test_a_step_with_an_interval_runs_no_sooner_and_no_later(clock: Clock) -> None:
    step = Scripted()
    steps = StepLoop([StepRunner(a_step(step, every=0.1), clock=clock), StepRunner(a_step(lambda: True), clock=clock)])
    runs = []
    for seconds in (0.0, 0.05, 0.1, 0.15, 0.2):
        clock.seconds = seconds
        steps.run()
        runs.append(step.runs)
    assert runs == [1, 1, 2, 2, 3]


def test_a_batch_that_waits_for_a_permit_is_posted_as_soon_as_it_has_one(clock: Clock) -> None:
    wait: list[float | None] = [0.04]
    post, idle = Scripted(False, True), Scripted()
    waiting = a_step(post, due_in=lambda: wait[0])
    steps = StepLoop([StepRunner(waiting, clock=clock), StepRunner(a_step(idle), clock=clock)])
    assert steps.run().wait == 0.04
    clock.seconds = 0.04
    assert steps.run().wait == 0
    assert (post.runs, idle.runs) == (2, 1), "it does not rest, and the idle step is not run before it"
    wait[0] = 600.0
    clock.seconds = 1.0
    assert steps.run().wait == IDLE_SECONDS


def test_a_failing_post_is_not_retried_before_its_time_though_a_batch_is_due(clock: Clock) -> None:
    steps = StepLoop([StepRunner(a_step(Faulty(9, ValueError("odd")), due_in=lambda: 0.0), clock=clock)])
    assert steps.run().wait == IDLE_SECONDS


# The check that the database has not gone back


def after_an_error(fails: Callable[[StepRunner], object], clock: Clock) -> tuple[Scripted, Faulty, list[int]]:
    """Check, post, let a step fail, and try to post three times more, half a second after each other.

    Returns the post, the check, which fails once after the error, and how many posts there were each time.
    """
    check = Faulty(0, DatabaseError("the system is starting up"))
    post, counts = Scripted(*[True] * 9), list[int]()
    shared = DatabaseCheck(check, clock=clock)
    poster = StepRunner(a_step(post, needs_check=True), check=shared, clock=clock)
    poster.run()
    poster.run()
    assert (check.runs, post.runs) == (1, 2), "no query for each post"
    check.failures = 2
    fails(StepRunner(a_step(Faulty(1, DatabaseError("closed")), due_in=unavailable), check=shared, clock=clock))
    for _ in range(3):
        poster.run()
        counts.append(post.runs)
        clock.seconds += 0.5
    return post, check, counts


def unavailable() -> float | None:
    raise DatabaseError("closed")


def ask_when_due(runner: StepRunner) -> None:
    with pytest.raises(DatabaseError):
        runner.seconds_until_due()


@pytest.mark.parametrize("fails", [StepRunner.run, ask_when_due], ids=["step", "due"])
def test_after_a_database_error_nothing_is_posted_before_the_check_has_succeeded(
    fails: Callable[[StepRunner], object], clock: Clock
) -> None:
    _post, check, counts = after_an_error(fails, clock)
    assert (counts, check.runs) == ([2, 2, 3], 3), "the check is retried after a second"


def test_steps_that_send_nothing_do_not_wait_for_the_check(clock: Clock) -> None:
    other = Scripted(True)
    shared = DatabaseCheck(Faulty(9, ValueError("odd")), clock=clock)
    assert not StepRunner(a_step(Scripted(True), needs_check=True), check=shared, clock=clock).run()
    assert StepRunner(a_step(other), check=shared, clock=clock).run()


def test_a_post_that_is_due_waits_for_the_check_without_a_busy_loop(clock: Clock) -> None:
    shared = DatabaseCheck(Faulty(9, ValueError("odd")), clock=clock)
    waiting = a_step(Scripted(True), due_in=lambda: 0.0, needs_check=True)
    steps = StepLoop([StepRunner(waiting, check=shared, clock=clock)])
    assert steps.run().wait == IDLE_SECONDS


@pytest.mark.django_db(transaction=True)
@pytest.mark.postgresql
@pytest.mark.parametrize("how", ["closed", "killed"])
def test_a_new_connection_is_checked_before_anything_is_posted(how: str) -> None:
    """A database server may change between two queries, when no step meets an error."""
    checks, post = Scripted(), Scripted(True, True, True)

    def check() -> bool:
        connection.ensure_connection()
        return checks()

    poster = StepRunner(a_step(post, needs_check=True), check=DatabaseCheck(check))
    poster.run()
    poster.run()
    assert checks.runs == 1
    if how == "closed":
        connection.close()
    else:
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_backend_pid()")
            kill_backend(*cursor.fetchone())
        close_old_connections()
    poster.run()
    assert (checks.runs, post.runs) == (2, 3)


def kill_backend(pid: int) -> None:
    """As the end of its server does, but not before it has ended."""

    def kill() -> None:
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_terminate_backend(%s, 5000)", [pid])
        connection.close()

    thread = threading.Thread(target=kill)
    thread.start()
    thread.join()


# The worker


@pytest.mark.django_db
def test_an_idle_worker_writes_nothing() -> None:
    run_each(runners_of(*Queue))
    with CaptureQueriesContext(connection) as queries:
        run_each(runners_of(*Queue))
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
    assert Issue.objects.get().status == SendState.SENT


@pytest.mark.django_db
def test_a_confirmation_mail_waits_for_one_batch_of_an_issue_at_most(
    monkeypatch: pytest.MonkeyPatch, clock: Clock
) -> None:
    issue = make_issue()
    people.make_subscriptions(350, issue.newsletter)
    send_now(issue, by="Edda")
    with running_sandbox() as sandbox:
        provider_of(sandbox, monkeypatch)
        steps = StepLoop([StepRunner(runner.step, clock=clock) for runner in runners_of(*MAIN_THREAD_QUEUES)])
        while sandbox.ledger.summary()["messages"] == 0:
            steps.run()
        store_signup(issue.newsletter, parse_address("new@example.org"), Evidence(form="tests"))
        clock.seconds += IDLE_COOLDOWN
        before = sandbox.ledger.summary()["messages"]
        steps.run()
        mails = sandbox.ledger.summary()
        assert mails["messages"] > before
        assert TransactionalMail.objects.filter(state=TransactionalMailState.SENT).exists(), (
            "its step runs before the next post"
        )
        assert mails["messages"] < 350, "the issue is still being sent"


@pytest.mark.django_db
@pytest.mark.usefixtures("_one_connection")
def test_posts_follow_each_other_without_a_wait(monkeypatch: pytest.MonkeyPatch) -> None:
    stop, waits = threading.Event(), []
    posts = Scripted(*[True] * 50)

    def post() -> bool:
        more = posts()
        if not more:
            stop.set()
        return more

    def wait(seconds: float) -> bool:
        waits.append(seconds)
        return stop.is_set()

    monkeypatch.setattr(stop, "wait", wait)
    monkeypatch.setattr(loop, "STEPS", (a_step(lambda: False, name="idle"), a_step(post)))
    monkeypatch.setattr(loop, "run_background_jobs", lambda stop, queue: None)
    work(stop)
    assert (posts.runs, waits) == (51, [IDLE_SECONDS])


@pytest.mark.django_db
def test_background_jobs_run_until_the_worker_stops_and_survive_one_that_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    stop, threads = threading.Event(), []

    def job() -> bool:
        threads.append(threading.current_thread().name)
        if len(threads) == 3:
            stop.set()
        return True

    failing = a_step(Faulty(9, ValueError("odd")), queue=Queue.BACKGROUND)
    monkeypatch.setattr(loop, "STEPS", (failing, a_step(job, queue=Queue.BACKGROUND)))
    thread = threading.Thread(target=run_background_jobs, args=[stop], name="background")
    thread.start()
    thread.join(10)
    assert threads == ["background"] * 3


@pytest.mark.django_db
def test_mail_does_not_wait_for_a_background_job(monkeypatch: pytest.MonkeyPatch) -> None:
    stop, started, posted = threading.Event(), threading.Event(), threading.Event()

    def slow_job() -> bool:
        started.set()
        return not posted.wait(10)

    def post() -> bool:
        if started.is_set():
            stop.set()
            posted.set()
        return True

    monkeypatch.setattr(loop, "STEPS", (a_step(post), a_step(slow_job, queue=Queue.BACKGROUND)))
    work(stop)
    assert posted.is_set(), "the step ran while the job was running"


@pytest.mark.django_db
def test_a_worker_until_idle_checks_feeds_when_no_mail_is_left(monkeypatch: pytest.MonkeyPatch) -> None:
    order: list[str] = []

    def scripted(name: str, *answers: bool) -> Callable[[], bool]:
        script = Scripted(*answers)

        def run() -> bool:
            order.append(name)
            return script()

        return run

    mail, feed = scripted("mail", True, True), scripted("feed", True)
    monkeypatch.setattr(loop, "STEPS", (a_step(mail), a_step(feed, queue=Queue.BACKGROUND)))
    work_until_idle()
    assert order == ["mail", "mail", "mail", "feed", "mail", "feed"]


@pytest.mark.django_db
def test_nothing_is_posted_before_the_worker_has_recovered_even_if_the_database_starts_late(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    stop, order = threading.Event(), []
    faulty = Faulty(1, DatabaseError("the system is starting up"))

    def recover() -> bool:
        faulty()
        order.append("recover")
        return False

    def post() -> bool:
        order.append("post")
        stop.set()
        return False

    monkeypatch.setattr(loop, "recover", recover)
    monkeypatch.setattr(loop, "STEPS", (a_step(post),))
    work(stop)
    assert (faulty.runs, order) == (2, ["recover", "post"])


@pytest.mark.django_db
def test_a_worker_stops_when_it_is_told_to() -> None:
    stop = threading.Event()
    stop.set()
    work(stop)


@pytest.mark.django_db
def test_a_start_without_claims_of_dead_workers_logs_none(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    assert not loop.recover()
    assert "Claims of dead workers released" not in caplog.text


@pytest.mark.django_db
def test_a_worker_until_idle_pauses_sends_after_a_downtime_once(monkeypatch: pytest.MonkeyPatch) -> None:
    issue = make_issue()
    people.make_subscriptions(3, issue.newsletter)
    send = start_sending(issue)
    seen_at = timezone.now() - datetime.timedelta(minutes=settings.OVERDUE_MINUTES + 1)
    # Of a process of this machine that was killed.
    WorkerHeartbeat.objects.create(name=f"{socket.gethostname()}:0", started_at=seen_at, seen_at=seen_at)
    with running_sandbox() as sandbox:
        provider_of(sandbox, monkeypatch)
        work_until_idle()
        send.refresh_from_db()
        assert (send.state, send.hold_reason) == (SendState.PAUSED, Reason.DOWNTIME)
        assert sandbox.ledger.summary()["messages"] == 0
        resume_send(send, by="Edda")
        work_until_idle()
        assert sandbox.ledger.summary()["messages"] == 3
    assert not WorkerHeartbeat.objects.exists()


@pytest.mark.django_db
def test_a_worker_until_idle_finishes_an_interrupted_restore(monkeypatch: pytest.MonkeyPatch) -> None:
    issue = make_issue()
    people.make_subscriptions(3, issue.newsletter)
    start_sending(issue)
    begin_restore(backup_at=just_now(), source=RestoreSource.COMMAND, by="tests")
    with running_sandbox() as sandbox:
        provider_of(sandbox, monkeypatch)
        work_until_idle()
    assert Restore.objects.get().secured_at
    assert Batch.objects.get().state == BatchState.HELD


@pytest.mark.django_db
def test_a_worker_until_idle_continues_what_a_dead_worker_of_this_machine_left(monkeypatch: pytest.MonkeyPatch) -> None:
    issue = make_issue()
    people.make_subscriptions(3, issue.newsletter)
    start_sending(issue)
    expand_audiences()
    with running_sandbox() as sandbox:
        assert claim_batch(provider_of(sandbox, monkeypatch))
        Batch.objects.update(claimed_by=f"{socket.gethostname()}:0")
        monkeypatch.setattr("newsletter.sending.batch.is_running", lambda pid: False)
        work_until_idle()
        assert sandbox.ledger.summary()["messages"] == 3
