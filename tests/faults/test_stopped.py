"""A worker stands still as a machine that sleeps, and goes on when others have finished its work (R-113)."""

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
from tests.faults.stage import BATCHES, READERS

pytestmark = pytest.mark.faults

#: Where a worker has a batch and no transaction is open. Which batch it is makes no difference here: the middle one.
WITH_A_BATCH = (
    Point.CLAIM_COMMITTED, Point.BEFORE_FIRST_BYTE, Point.REQUEST_HALF_SENT, Point.REQUEST_SENT, Point.ANSWER_BEGUN,
    Point.ANSWER_READ,
)  # fmt: skip
OUTCOMES = """
    SELECT b.id, b.state, b.attempts, b.claimed_by, b.finished_at, d.id, d.status, d.provider_id
    FROM newsletter_batch b JOIN newsletter_delivery d ON d.id BETWEEN b.first_delivery AND b.last_delivery
    ORDER BY b.id, d.id
"""
ACCEPTED = "SELECT count(*) FROM newsletter_batch WHERE state = 'accepted'"


def fall_asleep(on_it: Play, point: Point) -> BaseProcess:
    """Start a worker that stands still at this point of its middle batch."""
    sleeper = on_it.start(stage.work, failpoint=f"{point.value}:{BATCHES // 2}:stop")
    on_it.wait_for(lambda: is_asleep(sleeper), f"a worker stands still at {point.value}")
    return sleeper


def is_asleep(process: BaseProcess) -> bool:
    """Whether it was stopped by a signal."""
    state = subprocess.run(["ps", "-o", "state=", "-p", str(process.pid)], capture_output=True, text=True, check=False)
    return state.stdout.startswith("T")


def wake(process: BaseProcess) -> None:
    """Let it go on."""
    os.kill(process.pid or 0, signal.SIGCONT)


def finish_without(on_it: Play, sleeper: BaseProcess) -> Judgement:
    """Another worker finishes the send; the sleeper wakes after that and changes nothing."""
    on_it.start(stage.work)
    on_it.wait_for(on_it.is_sent, "the other worker has finished")
    before = rows_of(on_it.scene.database, OUTCOMES)
    wake(sleeper)
    on_it.let_all_have_turns()
    assert rows_of(on_it.scene.database, OUTCOMES) == before
    return on_it.judgement()


@pytest.mark.parametrize("point", WITH_A_BATCH, ids=lambda point: point.value)
def test_a_worker_that_slept_past_its_lease_changes_nothing_when_it_wakes(
    prepared: str, tmp_path: Path, sandbox: SandboxServer, point: Point, record: Record
) -> None:
    with play(prepared, tmp_path, sandbox, lease=2.0, patience=1.0) as on_it:
        on_it.publish()
        sleeper = fall_asleep(on_it, point)
        judgement = finish_without(on_it, sleeper)
    record(f"asleep at {point.value}", judgement)
    assert judgement.accepted == READERS


IN_A_TRANSACTION = pytest.mark.parametrize(
    "point", [Point.CLAIM_UNCOMMITTED, Point.OUTCOME_UNCOMMITTED], ids=lambda point: point.value
)


@IN_A_TRANSACTION
def test_a_worker_asleep_in_a_transaction_holds_up_its_own_batch_only(
    postgresql_prepared: str, tmp_path: Path, sandbox: SandboxServer, point: Point, record: Record
) -> None:
    """On SQLite, which has one writer, everybody waits."""
    with play(postgresql_prepared, tmp_path, sandbox, lease=2.0, patience=1.0) as on_it:
        on_it.publish()
        sleeper = fall_asleep(on_it, point)
        on_it.start(stage.work)
        on_it.wait_for(lambda: rows_of(on_it.scene.database, ACCEPTED) == [(BATCHES - 1,)], "all others are out")
        wake(sleeper)
        on_it.wait_for(on_it.is_sent, "the issue is sent")
        judgement = on_it.judgement()
    record(f"asleep at {point.value}", judgement)
    assert judgement.accepted == READERS


@IN_A_TRANSACTION
def test_a_server_that_ends_idle_transactions_frees_what_a_worker_fell_asleep_with(
    postgresql_prepared: str, tmp_path: Path, sandbox: SandboxServer, point: Point, record: Record
) -> None:
    """As docs/scale-out.md advises, for machines that vanish without a word."""
    with play(postgresql_prepared, tmp_path, sandbox, lease=2.0, patience=1.0) as on_it:
        name = on_it.scene.database.rpartition("/")[2]
        on_it.publish()
        on_the_server(f"ALTER DATABASE {name} SET idle_in_transaction_session_timeout = '2s'")
        sleeper = fall_asleep(on_it, point)
        judgement = finish_without(on_it, sleeper)
    record(f"asleep at {point.value}, ended by the server", judgement)
    assert judgement.accepted == READERS
