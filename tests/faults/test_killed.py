"""A process is killed at every failpoint, in the first, middle and last batch: no mail is lost or repeated.

`make test-faults` runs all cases; `make test` runs the first test only.
"""

from __future__ import annotations

import signal
from dataclasses import dataclass
from pathlib import Path

import pytest

from newsletter.config.failpoints import Point
from newsletter.demo.environment import free_port
from newsletter.sandbox import SandboxServer
from tests.faults import stage
from tests.faults.conftest import Record
from tests.faults.judge import Judgement, events_lost
from tests.faults.play import Play, play, shared_number
from tests.faults.stage import BATCHES, CHUNK, EVENTS, RECIPIENTS
from tests.sandboxes import running_sandbox

#: Prefixes of the points that a send reaches once.
ONCE = ("freeze-", "start-", "finish-")


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """A process is killed at `point` when all of the `workers` together reach it for the `hit`-th time."""

    point: Point
    hit: int
    workers: int

    @property
    def failpoint(self) -> str:
        """The value of the setting FAILPOINT."""
        return f"{self.point.value}:{self.hit}:kill"

    def __str__(self) -> str:
        return f"{self.point.value}-{self.hit}-{self.workers}w"


def hits_of(point: Point) -> list[int]:
    """The first, a middle and the last time that the point is reached."""
    name = point.value
    if name.startswith(ONCE):
        return [1]
    if name.startswith("event-"):
        return [1, RECIPIENTS // 2, RECIPIENTS]
    times = {"chunk": RECIPIENTS // CHUNK + 1, "events": -(-RECIPIENTS // EVENTS)}.get(name.partition("-")[0], BATCHES)
    return [1, times // 2, times]


#: Points that a send by SMTP alone reaches, a weekly digest, outgoing webhooks, missed events, clicks, recurring drafts
#: (tests/newsletter/sending/test_recurring_drafts.py), and imports of
#: archives: see test_killed_by_smtp.py, test_weekly.py, tests/newsletter/notifications/test_killed.py,
#: test_missed_events.py, tests/newsletter/engagement/test_judge.py and tests/newsletter/archive_import/test_killed.py.
OTHERS = ("progress-", "mail-", "digest-", "webhook", "log-", "hits-", "archive-", "draft-")
POINTS = [point for point in Point if not point.value.startswith(OTHERS)]
CASES = [
    Case(point=point, hit=hit, workers=workers) for point in POINTS for hit in hits_of(point) for workers in (1, 4)
]
OF_EVENTS = [case for case in CASES if case.point.value.startswith("event")]
OF_THE_ISSUE = [case for case in CASES if case not in OF_EVENTS]


def kill(run: Play, case: Case) -> Judgement:
    """Send the issue; a process is killed and replaced; wait until the issue is sent."""
    failpoint = {"failpoint": case.failpoint, "hits": shared_number()}
    if case.point.value.startswith("freeze-"):
        assert run.run_to_end(stage.publish, **failpoint) == -signal.SIGKILL, run.log_tails()
        failpoint = {}
    run.publish()
    for _ in range(case.workers):
        run.start(stage.work, **failpoint)
    if failpoint:
        run.wait_for(lambda: run.replace_the_dead() > 0, f"a process dies at {case.point.value}")
    run.wait_for(run.is_sent, "the issue is sent")
    return run.judgement()


@pytest.mark.own_database
def test_a_worker_killed_while_it_posts_loses_and_repeats_no_mail(sqlite_prepared: str, tmp_path: Path) -> None:
    for point, hit, workers in (
        (Point.CLAIM_COMMITTED, 1, 1),
        (Point.REQUEST_HALF_SENT, BATCHES // 2, 4),
        (Point.ANSWER_BEGUN, BATCHES // 2, 1),
        (Point.OUTCOME_UNCOMMITTED, BATCHES, 1),
    ):
        case = Case(point=point, hit=hit, workers=workers)
        folder = tmp_path / str(case)
        folder.mkdir()
        with running_sandbox() as sandbox, play(sqlite_prepared, folder, sandbox) as run:
            expected = Judgement(accepted=RECIPIENTS, duplicates=0, lost=0, unknown=0, faults=())
            assert kill(run, case) == expected, str(case)


@pytest.mark.faults
@pytest.mark.parametrize("case", OF_THE_ISSUE, ids=str)
def test_every_recipient_gets_the_issue_once_when_a_process_is_killed(
    prepared: str, tmp_path: Path, sandbox: SandboxServer, case: Case, record: Record
) -> None:
    with play(prepared, tmp_path, sandbox) as run:
        judgement = kill(run, case)
    record(f"killed at {case.point.value}", judgement)
    assert judgement.accepted == RECIPIENTS


@pytest.mark.faults
@pytest.mark.parametrize("case", OF_EVENTS, ids=str)
def test_no_event_is_lost_when_a_process_is_killed(prepared: str, tmp_path: Path, case: Case, record: Record) -> None:
    port = free_port(0)
    address = f"http://127.0.0.1:{port}/webhooks/resend/"
    with (
        running_sandbox(address, webhook_events=frozenset({"email.delivered"})) as sandbox,
        play(prepared, tmp_path, sandbox) as run,
    ):
        kill_during_events(run, case, port)
        run.wait_for(run.is_sent, "the issue is sent")
        run.wait_for(lambda: events_lost(run.stage.database, RECIPIENTS) == 0, "all events are applied")
        judgement = run.judgement()
    record(f"killed at {case.point.value}", judgement)
    assert judgement.accepted == RECIPIENTS


def kill_during_events(run: Play, case: Case, port: int) -> None:
    """The web server that stores events is killed and replaced, or the worker that applies them."""
    failpoint = {"failpoint": case.failpoint, "hits": shared_number()}
    is_in_web_server = case.point in (Point.EVENT_UNSTORED, Point.EVENT_STORED)
    run.publish()
    web = run.start(stage.serve, port, **(failpoint if is_in_web_server else {}))
    for _ in range(case.workers):
        run.start(stage.work, **({} if is_in_web_server else failpoint))
    if is_in_web_server:
        run.wait_for(lambda: web.exitcode == -signal.SIGKILL, f"the web server dies at {case.point.value}")
        run.running.remove(web)
        run.start(stage.serve, port)
    else:
        run.wait_for(lambda: run.replace_the_dead() > 0, f"a worker dies at {case.point.value}")
