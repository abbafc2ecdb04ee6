"""Prepared databases, and the table of what the faults came to."""

from __future__ import annotations

import datetime
from collections.abc import Callable, Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest

from newsletter.sandbox import SandboxServer
from tests.faults.judge import Judgement
from tests.faults.play import POSTGRESQL, SQLITE, prepared_database
from tests.sandboxes import running_sandbox

HEAD = """# What the faults came to

Each line is a point on an issue's way at which a process was killed with SIGKILL: the editor's, a worker, or the web
server. Afterwards it was started again, and a judge that shares no code with the system compared the provider's ledger
with our tables. *Held* are readers of whom it cannot be known whether the mail went out; each of them is in a batch
that says why, and waits for a receipt or a person.

Written by `make test-faults` on {day}: {plays} plays, {failed} failed.

| fault | plays | readers | duplicates | lost | held, with the reason |
|---|--:|--:|--:|--:|--:|
"""

Record = Callable[[str, Judgement], None]


def pytest_addoption(parser: pytest.Parser) -> None:
    """Where the table goes."""
    parser.addoption("--faults-table", help="write the table of all plays to this file")


@pytest.fixture
def record(record_property: Callable[[str, Any], None]) -> Record:
    """Put a judgement into the table, and insist on what the system promises."""

    def write_down(fault: str, judgement: Judgement) -> None:
        record_property("fault", {"fault": fault, **asdict(judgement)})
        assert judgement.faults == ()
        assert (judgement.duplicates, judgement.lost) == (0, 0)

    return write_down


@pytest.fixture(scope="session")
def sqlite_prepared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with prepared_database(SQLITE, tmp_path_factory.mktemp("prepared")) as url:
        yield url


@pytest.fixture(scope="session")
def postgresql_prepared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with prepared_database(POSTGRESQL, tmp_path_factory.mktemp("prepared")) as url:
        yield url


@pytest.fixture(params=[SQLITE, POSTGRESQL])
def prepared(request: pytest.FixtureRequest) -> str:
    """A prepared database of either kind."""
    return str(request.getfixturevalue(f"{request.param.lower()}_prepared"))


@pytest.fixture
def sandbox() -> Iterator[SandboxServer]:
    with running_sandbox() as server:
        yield server


def pytest_terminal_summary(terminalreporter: Any, config: pytest.Config) -> None:
    """Print the table, and write it where it was asked for."""
    reports = [*terminalreporter.getreports("passed"), *terminalreporter.getreports("failed")]
    plays = [value for report in reports for name, value in report.user_properties if name == "fault"]
    if not plays:
        return
    failed = len(terminalreporter.getreports("failed"))
    lines = [_line(fault, [play for play in plays if play["fault"] == fault]) for fault in _in_order(plays)]
    terminalreporter.write_line("\n".join(["", *lines]))
    if target := config.getoption("--faults-table", default=None):
        day = datetime.datetime.now(datetime.UTC).date()
        Path(target).write_text(HEAD.format(day=day, plays=len(plays), failed=failed) + "\n".join(lines) + "\n")


def _in_order(plays: list[dict[str, Any]]) -> list[str]:
    return sorted({play["fault"] for play in plays}, key=_rank)


def _rank(fault: str) -> tuple[int, str]:
    from newsletter.drill import Point

    points = [point.value for point in Point]
    words = fault.split()
    place = next((points.index(word) for word in words if word in points), len(points))
    return (place if fault.startswith("killed") else len(points) + place, fault)


def _line(fault: str, plays: list[dict[str, Any]]) -> str:
    def total(name: str) -> int:
        return sum(play[name] for play in plays)

    readers = total("accepted") + total("unknown")
    return f"| {fault} | {len(plays)} | {readers} | {total('duplicates')} | {total('lost')} | {total('unknown')} |"
