"""A process is killed at every named point of an issue's way, in its first, middle and last batch, and nobody notices.

The whole matrix is `make test-faults`; the first test here is the short one that `make test` runs.
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
from tests.faults.stage import BATCHES, CHUNK, EVENTS, READERS
from tests.sandboxes import running_sandbox

#: Points that an issue reaches once.
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
    """The first time that it is reached, one in the middle, and the last."""
    name = point.value
    if name.startswith(ONCE):
        return [1]
    if name.startswith("event-"):
        return [1, READERS // 2, READERS]
    times = {"chunk": READERS // CHUNK + 1, "events": -(-READERS // EVENTS)}.get(name.partition("-")[0], BATCHES)
    return [1, times // 2, times]


CASES = [Case(point=point, hit=hit, workers=workers) for point in Point for hit in hits_of(point) for workers in (1, 4)]
OF_EVENTS = [case for case in CASES if case.point.value.startswith("event")]
OF_THE_ISSUE = [case for case in CASES if case not in OF_EVENTS]


def kill(on_it: Play, case: Case) -> Judgement:
    """Send the issue; a process is killed and replaced; wait until the issue is sent."""
    failpoint = {"failpoint": case.failpoint, "hits": shared_number()}
    if case.point.value.startswith("freeze-"):
        assert on_it.run(stage.publish, **failpoint) == -signal.SIGKILL, on_it.last_words()
        failpoint = {}
    on_it.publish()
    for _ in range(case.workers):
        on_it.start(stage.work, **failpoint)
    if failpoint:
        on_it.wait_for(lambda: on_it.replace_the_dead() > 0, f"a process dies at {case.point.value}")
    on_it.wait_for(on_it.is_sent, "the issue is sent")
    return on_it.judgement()


@pytest.mark.own_database
def test_a_worker_killed_at_the_most_delicate_failpoints_loses_and_repeats_no_mail(
    sqlite_prepared: str, tmp_path: Path
) -> None:
    for point, hit, workers in (
        (Point.CLAIM_COMMITTED, 1, 1),
        (Point.REQUEST_HALF_SENT, BATCHES // 2, 4),
        (Point.ANSWER_BEGUN, BATCHES // 2, 1),
        (Point.OUTCOME_UNCOMMITTED, BATCHES, 1),
    ):
        case = Case(point=point, hit=hit, workers=workers)
        folder = tmp_path / str(case)
        folder.mkdir()
        with running_sandbox() as sandbox, play(sqlite_prepared, folder, sandbox) as on_it:
            everybody = Judgement(accepted=READERS, duplicates=0, lost=0, unknown=0, faults=())
            assert kill(on_it, case) == everybody, str(case)


@pytest.mark.faults
@pytest.mark.parametrize("case", OF_THE_ISSUE, ids=str)
def test_every_recipient_gets_the_issue_once_when_a_process_is_killed(
    prepared: str, tmp_path: Path, sandbox: SandboxServer, case: Case, record: Record
) -> None:
    with play(prepared, tmp_path, sandbox) as on_it:
        judgement = kill(on_it, case)
    record(f"killed at {case.point.value}", judgement)
    assert judgement.accepted == READERS


@pytest.mark.faults
@pytest.mark.parametrize("case", OF_EVENTS, ids=str)
def test_no_event_is_lost_when_a_process_is_killed(prepared: str, tmp_path: Path, case: Case, record: Record) -> None:
    port = free_port(0)
    address = f"http://127.0.0.1:{port}/webhooks/resend/"
    with (
        running_sandbox(address, webhook_events=frozenset({"email.delivered"})) as sandbox,
        play(prepared, tmp_path, sandbox) as on_it,
    ):
        kill_during_events(on_it, case, port)
        on_it.wait_for(on_it.is_sent, "the issue is sent")
        on_it.wait_for(lambda: events_lost(on_it.scene.database, READERS) == 0, "all events are applied")
        judgement = on_it.judgement()
    record(f"killed at {case.point.value}", judgement)
    assert judgement.accepted == READERS


def kill_during_events(on_it: Play, case: Case, port: int) -> None:
    """The web server that stores events is killed and replaced, or the worker that applies them."""
    failpoint = {"failpoint": case.failpoint, "hits": shared_number()}
    is_in_web_server = case.point in (Point.EVENT_UNSTORED, Point.EVENT_STORED)
    on_it.publish()
    web = on_it.start(stage.serve, port, **(failpoint if is_in_web_server else {}))
    for _ in range(case.workers):
        on_it.start(stage.work, **({} if is_in_web_server else failpoint))
    if is_in_web_server:
        on_it.wait_for(lambda: web.exitcode == -signal.SIGKILL, f"the web server dies at {case.point.value}")
        on_it.running.remove(web)
        on_it.start(stage.serve, port)
    else:
        on_it.wait_for(lambda: on_it.replace_the_dead() > 0, f"a worker dies at {case.point.value}")
