"""A worker is stopped, as on a machine that sleeps, and continues after others have finished its work."""

from __future__ import annotations

import os
import signal
import subprocess
from multiprocessing.process import BaseProcess
from pathlib import Path

import pytest

from newsletter.config.failpoints import Point
from newsletter.sandbox import SandboxServer
from tests.faults import stage
from tests.faults.conftest import Record
from tests.faults.judge import Judgement, rows_of
from tests.faults.play import Play, on_the_server, play
from tests.faults.stage import BATCHES, RECIPIENTS

pytestmark = pytest.mark.faults

#: Points at which a worker has a batch and no open transaction. The middle batch stands for all.
WITH_A_BATCH = (
    Point.CLAIM_COMMITTED, Point.BEFORE_FIRST_BYTE, Point.REQUEST_HALF_SENT, Point.REQUEST_SENT, Point.ANSWER_BEGUN,
    Point.ANSWER_READ,
)  # fmt: skip
OUTCOMES = """
    SELECT b.id, b.state, b.attempts, b.claimed_by, b.finished_at, d.id, d.state, d.provider_id
    FROM newsletter_batch b JOIN newsletter_delivery d ON d.id BETWEEN b.first_delivery AND b.last_delivery
    ORDER BY b.id, d.id
"""
ACCEPTED = "SELECT count(*) FROM newsletter_batch WHERE state = 'accepted'"


def stop_a_worker(run: Play, point: Point) -> BaseProcess:
    """Start a worker that is stopped at this point of its middle batch."""
    stopped = run.start(stage.work, failpoint=f"{point.value}:{BATCHES // 2}:stop")
    run.wait_for(lambda: is_stopped(stopped), f"a worker is stopped at {point.value}")
    return stopped


def is_stopped(process: BaseProcess) -> bool:
    """Whether a signal has stopped it."""
    state = subprocess.run(["ps", "-o", "state=", "-p", str(process.pid)], capture_output=True, text=True, check=False)
    return state.stdout.startswith("T")


def resume(process: BaseProcess) -> None:
    """Let it continue."""
    os.kill(process.pid or 0, signal.SIGCONT)


def finish_without(run: Play, stopped: BaseProcess) -> Judgement:
    """Another worker finishes the send; the stopped one continues after that and changes nothing."""
    run.start(stage.work)
    run.wait_for(run.is_sent, "the other worker has finished")
    before = rows_of(run.stage.database, OUTCOMES)
    resume(stopped)
    run.wait_for_all_processes()
    assert rows_of(run.stage.database, OUTCOMES) == before
    return run.judgement()


@pytest.mark.parametrize("point", WITH_A_BATCH, ids=lambda point: point.value)
def test_a_worker_stopped_for_longer_than_its_lease_changes_nothing_when_it_continues(
    prepared: str, tmp_path: Path, sandbox: SandboxServer, point: Point, record: Record
) -> None:
    with play(prepared, tmp_path, sandbox, lease=2.0, timeout=1.0) as run:
        run.publish()
        stopped = stop_a_worker(run, point)
        judgement = finish_without(run, stopped)
    record(f"stopped at {point.value}", judgement)
    assert judgement.accepted == RECIPIENTS


IN_A_TRANSACTION = pytest.mark.parametrize(
    "point", [Point.CLAIM_UNCOMMITTED, Point.OUTCOME_UNCOMMITTED], ids=lambda point: point.value
)


@IN_A_TRANSACTION
def test_a_worker_stopped_in_a_transaction_delays_its_own_batch_only(
    postgresql_prepared: str, tmp_path: Path, sandbox: SandboxServer, point: Point, record: Record
) -> None:
    """Not on SQLite, which has one writer: there all workers wait."""
    with play(postgresql_prepared, tmp_path, sandbox, lease=2.0, timeout=1.0) as run:
        run.publish()
        stopped = stop_a_worker(run, point)
        run.start(stage.work)
        run.wait_for(lambda: rows_of(run.stage.database, ACCEPTED) == [(BATCHES - 1,)], "all others are accepted")
        resume(stopped)
        run.wait_for(run.is_sent, "the issue is sent")
        judgement = run.judgement()
    record(f"stopped at {point.value}", judgement)
    assert judgement.accepted == RECIPIENTS


@IN_A_TRANSACTION
def test_a_server_that_ends_idle_transactions_releases_the_batch_of_a_stopped_worker(
    postgresql_prepared: str, tmp_path: Path, sandbox: SandboxServer, point: Point, record: Record
) -> None:
    """As docs/scale-out.md recommends for machines that vanish."""
    with play(postgresql_prepared, tmp_path, sandbox, lease=2.0, timeout=1.0) as run:
        name = run.stage.database.rpartition("/")[2]
        run.publish()
        on_the_server(f"ALTER DATABASE {name} SET idle_in_transaction_session_timeout = '2s'")
        stopped = stop_a_worker(run, point)
        judgement = finish_without(run, stopped)
    record(f"stopped at {point.value}, ended by the server", judgement)
    assert judgement.accepted == RECIPIENTS
