"""A worker is killed at the end of a week: each subscriber gets the issue once, by itself or in the digest.

A half of the subscribers get the digest, and a half of each half change to the other frequency when the week ends.
`make test-faults` runs all cases; `make test` runs the first test only.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from newsletter.config.failpoints import Point
from newsletter.sandbox import SandboxServer
from tests.faults import stage
from tests.faults.conftest import Record
from tests.faults.judge import SEND_STATES, Judgement, rows_of
from tests.faults.play import POSTGRESQL, SQLITE, Play, play, prepared_database, shared_number
from tests.faults.stage import RECIPIENTS
from tests.faults.test_killed import Case
from tests.sandboxes import running_sandbox

#: How many mails each half got, and how many changed their frequency.
DELIVERIES = (
    "SELECT s.issue_id, COUNT(*) FROM newsletter_delivery d JOIN newsletter_send s ON s.id = d.send_id GROUP BY 1"
)
CHANGED = "SELECT COUNT(*) FROM subscribers_subscription WHERE frequency_since IS NOT NULL AND next_frequency = ''"


@pytest.fixture(scope="session")
def sqlite_weekly(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with prepared_database(SQLITE, tmp_path_factory.mktemp("weekly"), prepare=stage.prepare_weekly) as url:
        yield url


@pytest.fixture(scope="session")
def postgresql_weekly(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with prepared_database(POSTGRESQL, tmp_path_factory.mktemp("weekly"), prepare=stage.prepare_weekly) as url:
        yield url


@pytest.fixture(params=[SQLITE, POSTGRESQL])
def weekly(request: pytest.FixtureRequest) -> str:
    """A prepared database of either kind."""
    return str(request.getfixturevalue(f"{request.param.lower()}_weekly"))


def kill(run: Play, case: Case) -> Judgement:
    """Send the issue and end the week while it is sent; a worker is killed and replaced; wait until both are sent."""
    run.publish()
    hits = shared_number()
    for _ in range(case.workers):
        run.start(stage.work, failpoint=case.failpoint, hits=hits)
    run.wait_for(lambda: rows_of(run.stage.database, SEND_STATES) != [("scheduled",)], "the issue starts")
    ending = run.start(stage.end_week)
    ending.join(60)
    assert ending.exitcode == 0, run.log_tails()
    run.running.remove(ending)
    run.wait_for(lambda: run.replace_the_dead() > 0, f"a process dies at {case.point.value}")
    run.wait_for(
        lambda: rows_of(run.stage.database, SEND_STATES) == [("sent",)] * 2, "the issue and its digest are sent"
    )
    return run.judgement()


def check(run: Play) -> None:
    """A half got the issue and a half the digest; all changes of the frequency apply."""
    assert sorted(count for _issue, count in rows_of(run.stage.database, DELIVERIES)) == [RECIPIENTS // 2] * 2
    assert rows_of(run.stage.database, CHANGED) == [(RECIPIENTS // 2,)]


@pytest.mark.own_database
def test_a_worker_killed_at_the_end_of_a_week_sends_the_issue_and_its_digest_once(
    sqlite_weekly: str, tmp_path: Path
) -> None:
    with running_sandbox() as sandbox, play(sqlite_weekly, tmp_path, sandbox) as run:
        expected = Judgement(accepted=RECIPIENTS, duplicates=0, lost=0, unknown=0, faults=())
        assert kill(run, Case(point=Point.DIGEST_UNCOMMITTED, hit=1, workers=1)) == expected
        check(run)


@pytest.mark.faults
@pytest.mark.parametrize("workers", [1, 4])
@pytest.mark.parametrize("point", [Point.DIGEST_UNCOMMITTED, Point.DIGEST_COMMITTED])
def test_every_subscriber_gets_the_issue_once_when_a_worker_is_killed_at_the_end_of_a_week(
    weekly: str, tmp_path: Path, sandbox: SandboxServer, point: Point, workers: int, record: Record
) -> None:
    with play(weekly, tmp_path, sandbox) as run:
        judgement = kill(run, Case(point=point, hit=1, workers=workers))
        check(run)
    record(f"killed at {point.value}", judgement)
    assert judgement.accepted == RECIPIENTS
