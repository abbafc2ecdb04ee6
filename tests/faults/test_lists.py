"""An issue to two lists, with an excluded segment: a worker is killed in its expansion, and nobody is lost or repeated.

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
from tests.faults.judge import Judgement
from tests.faults.play import POSTGRESQL, SQLITE, play, prepared_database
from tests.faults.stage import RECIPIENTS
from tests.faults.test_killed import Case, kill
from tests.sandboxes import running_sandbox

#: The own list takes three chunks, then it is over, then the other list begins.
OWN_LIST, LISTS_CHANGE, OTHER_LIST = 1, 3, 4


@pytest.fixture(scope="session")
def sqlite_lists(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with prepared_database(SQLITE, tmp_path_factory.mktemp("lists"), prepare=stage.prepare_lists) as url:
        yield url


@pytest.fixture(scope="session")
def postgresql_lists(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with prepared_database(POSTGRESQL, tmp_path_factory.mktemp("lists"), prepare=stage.prepare_lists) as url:
        yield url


@pytest.fixture(params=[SQLITE, POSTGRESQL])
def lists(request: pytest.FixtureRequest) -> str:
    """A prepared database of either kind."""
    return str(request.getfixturevalue(f"{request.param.lower()}_lists"))


@pytest.mark.own_database
def test_a_worker_killed_between_two_lists_loses_and_repeats_no_mail(sqlite_lists: str, tmp_path: Path) -> None:
    with running_sandbox() as sandbox, play(sqlite_lists, tmp_path, sandbox) as run:
        expected = Judgement(accepted=RECIPIENTS, duplicates=0, lost=0, unknown=0, faults=())
        assert kill(run, Case(point=Point.CHUNK_UNCOMMITTED, hit=LISTS_CHANGE, workers=1)) == expected


@pytest.mark.faults
@pytest.mark.parametrize("workers", [1, 4])
@pytest.mark.parametrize("hit", [OWN_LIST, LISTS_CHANGE, OTHER_LIST])
@pytest.mark.parametrize("point", [Point.CHUNK_UNCOMMITTED, Point.CHUNK_COMMITTED])
def test_every_recipient_of_two_lists_gets_the_issue_once_when_a_worker_is_killed(
    lists: str, tmp_path: Path, sandbox: SandboxServer, point: Point, hit: int, workers: int, record: Record
) -> None:
    with play(lists, tmp_path, sandbox) as run:
        judgement = kill(run, Case(point=point, hit=hit, workers=workers))
    record(f"killed at {point.value}", judgement)
    assert judgement.accepted == RECIPIENTS
