"""The database goes away, is read-only, is full, or is restored from a backup: no recipient gets the issue twice."""

from __future__ import annotations

import random
import resource
import signal
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from newsletter.config.failpoints import Point
from newsletter.sandbox import SandboxServer
from tests.faults import stage
from tests.faults.conftest import Record
from tests.faults.judge import SEND_STATES, rows_of
from tests.faults.play import Play, copy_of, on_the_server, play, shared_number
from tests.faults.stage import BATCHES, RECIPIENTS
from tests.sandboxes import running_sandbox

pytestmark = pytest.mark.faults

#: Longer than Resend keeps keys.
A_DAY = 25 * 3600.0
#: A batch whose outcome cannot be recorded stays with its worker until the lease ends, which is longer than a post.
SHORT: dict[str, Any] = {"lease": 2.0, "timeout": 1.0}


def end_connections(name: str, turn: int) -> None:
    """As when the server restarts."""
    on_the_server(f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{name}'")


def turn_read_only(name: str, turn: int) -> None:
    """Every other turn, as when a failover has not promoted the new server yet."""
    on_the_server(f"ALTER DATABASE {name} SET default_transaction_read_only = {'off' if turn % 2 else 'on'}")
    end_connections(name, turn)


@pytest.mark.parametrize("workers", [1, 4], ids="{}w".format)
@pytest.mark.parametrize("strike", [end_connections, turn_read_only])
def test_every_recipient_gets_the_issue_when_the_database_goes_away_repeatedly(
    postgresql_prepared: str, tmp_path: Path, strike: Callable[[str, int], None], workers: int, record: Record
) -> None:
    # A slow provider, so that the posts are spread over all turns.
    with running_sandbox(rate_limit=5) as sandbox, play(postgresql_prepared, tmp_path, sandbox, **SHORT) as run:
        name = run.stage.database.rpartition("/")[2]
        run.publish()
        for _ in range(workers):
            run.start(stage.work)
        for turn in range(12):
            strike(name, turn)
            time.sleep(random.uniform(0.05, 0.4))  # a random interval between two faults, not a wait for a result
        run.wait_for(run.is_sent, "the issue is sent")
        judgement = run.judgement()
    record(f"database: {'connections terminated' if strike is end_connections else 'read-only'}, repeatedly", judgement)
    assert judgement.accepted == RECIPIENTS


@pytest.mark.parametrize("room", [0, 100_000, 300_000], ids="{}-bytes-left".format)
def test_every_recipient_gets_the_issue_when_the_disk_was_full(
    sqlite_prepared: str, tmp_path: Path, sandbox: SandboxServer, room: int, record: Record
) -> None:
    with play(sqlite_prepared, tmp_path, sandbox, **SHORT) as run:
        run.publish()
        # All that is written goes to this file first.
        size = (tmp_path / "play.sqlite3-wal").stat().st_size
        worker = run.start(stage.work, largest_file=size + room)
        run.wait_for(lambda: "disk" in run.log_tails(), "the disk is full")
        assert not run.is_sent()
        resource.prlimit(worker.pid or 0, resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
        run.wait_for(run.is_sent, "the issue is sent")
        judgement = run.judgement()
    record("database: disk full", judgement)
    assert judgement.accepted == RECIPIENTS


#: When backups are made: during the expansion of the audience, with a claimed batch, and between two batches.
HALF_WAY = pytest.mark.parametrize(
    ("point", "hit"),
    [(Point.CHUNK_COMMITTED, 2), (Point.CLAIM_COMMITTED, BATCHES // 2), (Point.OUTCOME_COMMITTED, BATCHES // 2)],
    ids=["expanding", "claimed", "between-two"],
)


def kill_half_way(run: Play, point: Point, hit: int) -> None:
    """Kill the only worker at this point, so that no process writes while the backup is made."""
    worker = run.start(stage.work, failpoint=f"{point.value}:{hit}:kill")
    run.wait_for(lambda: worker.exitcode == -signal.SIGKILL, f"the worker dies at {point.value}")
    run.kill_all()


@HALF_WAY
def test_a_backup_that_is_restored_at_once_sends_the_same_bytes_under_the_same_keys(
    prepared: str, tmp_path: Path, sandbox: SandboxServer, point: Point, hit: int, record: Record
) -> None:
    (tmp_path / "backup").mkdir()
    with play(prepared, tmp_path, sandbox) as run:
        run.publish()
        kill_half_way(run, point, hit)
        with copy_of(run.stage.database, tmp_path / "backup") as backup:
            run.start(stage.work)
            run.wait_for(run.is_sent, "the issue is sent")
            run.kill_all()
            run.stage = replace(run.stage, database=backup)
            run.start(stage.work)
            run.wait_for(run.is_sent, "the issue is sent once more")
            judgement = run.judgement()
            run.kill_all()
    record("database: backup restored at once (same keys, same bytes)", judgement)
    assert judgement.accepted == RECIPIENTS


@pytest.mark.parametrize("point", [Point.CLAIM_COMMITTED, Point.OUTCOME_COMMITTED], ids=lambda point: point.value)
def test_a_backup_that_is_restored_after_the_keys_expired_waits_for_an_operator(
    prepared: str, tmp_path: Path, point: Point, record: Record
) -> None:
    (tmp_path / "backup").mkdir()
    ahead = shared_number("d")
    with (
        running_sandbox(clock=lambda: time.time() + ahead.value) as sandbox,
        play(prepared, tmp_path, sandbox, ahead=ahead) as run,
    ):
        run.publish()
        kill_half_way(run, point, BATCHES // 2)
        with copy_of(run.stage.database, tmp_path / "backup") as backup:
            run.start(stage.work)
            run.wait_for(run.is_sent, "the issue is sent")
            run.kill_all()
            ahead.value, run.stage = A_DAY, replace(run.stage, database=backup)
            run.start(stage.work)
            run.wait_for(lambda: rows_of(backup, SEND_STATES) == [("paused",)], "the send is paused")
            run.wait_for_all_processes()
            judgement = run.judgement()
            run.kill_all()
        assert sandbox.ledger.summary()["messages"] == RECIPIENTS
    record("database: backup restored a day later (paused)", judgement)
