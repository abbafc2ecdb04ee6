"""Prepared databases, and the table of what the faults came to."""

from __future__ import annotations

import datetime
from collections.abc import Callable, Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest

from newsletter.config.failpoints import Point
from newsletter.sandbox import SandboxServer
from tests.faults.judge import Judgement
from tests.faults.play import POSTGRESQL, SQLITE, prepared_database
from tests.sandboxes import running_sandbox

HEAD = """# What the faults came to

Each line is a fault that struck real processes while an issue was on its way to its readers, at the first of the
provider's posts, in the middle and at the last wherever that makes a difference, on SQLite and on PostgreSQL, with one
worker and with four. Afterwards everything was started again, and a judge that shares no code with the system compared
the provider's ledger with our tables.

- *Killed at* a point: SIGKILL to whoever reaches it – the editor's process, a worker, the web server. The points are
  named in `newsletter/config/failpoints.py`.
- *Asleep at* a point: the worker is stopped there, as a machine that sleeps; another takes over once the lease is over;
  then the first wakes up and goes on where it was.
- *Network*: a proxy between worker and provider spoils answers *before* or *after* the provider has done its work. The
  30 s of silence, the lease and the waits between attempts are shortened.
- *Clock*: it jumps while posts are taken and not answered.
- *Database*: it goes away, takes nothing more, is full, or is put back as it was when half of the issue was out.

*Held* are readers of whom it cannot be known whether the mail went out; each of them is in a batch that says why, and
waits for a receipt or a person. *Readers* are those whom the tables call accepted or held when the play ends: in a send
that waits for a person after a backup was put back, the others wait, too, and nobody got it twice.

Written by `make test-faults` on {day}: {plays} plays, {failed} failed.

| fault | plays | readers | duplicates | lost | held, with the reason |
|---|--:|--:|--:|--:|--:|
"""

#: What the first word of a fault may be, in the order of the table.
KINDS = ("killed", "asleep", "network:", "clock:", "database:")

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


def _rank(fault: str) -> tuple[int, int, str]:
    points, words = [point.value for point in Point], fault.split()
    kind = KINDS.index(words[0]) if words[0] in KINDS else len(KINDS)
    return kind, next((points.index(word) for word in words if word in points), len(points)), fault


def _line(fault: str, plays: list[dict[str, Any]]) -> str:
    def total(name: str) -> int:
        return sum(play[name] for play in plays)

    readers = total("accepted") + total("unknown")
    return f"| {fault} | {len(plays)} | {readers} | {total('duplicates')} | {total('lost')} | {total('unknown')} |"
