"""A run: an issue is sent while a fault is injected, until nothing is left to do. Then the judge compares."""

from __future__ import annotations

import multiprocessing
import os
import signal
import sqlite3
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import replace
from functools import cache, partial
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

import psycopg

from newsletter.config.configuration import PROJECT_ROOT
from newsletter.sandbox import SandboxServer
from tests.faults import stage
from tests.faults.judge import SEND_STATES, Judgement, judge, rows_of
from tests.faults.stage import RECIPIENTS, Stage

SQLITE, POSTGRESQL = "SQLite", "PostgreSQL"

HEARTBEATS = "SELECT name, seen_at FROM newsletter_workerheartbeat"
#: The mails that the provider accepted: our delivery and its own id.
MAILS = "SELECT json_extract(envelope, '$.tags.delivery'), uid FROM mails"


@cache
def _fork_server() -> Any:
    """The fork server. It finds this project through PYTHONPATH."""
    os.environ["PYTHONPATH"] = str(PROJECT_ROOT)
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["tests.faults.ready", "tests.faults.stage"])
    return context


def shared_number(kind: str = "i") -> Any:
    """A number that processes share; 0 at the start."""
    return _fork_server().Value(kind, 0)


class Play:
    """One issue in one database, and the processes that work on it."""

    def __init__(self, stage: Stage, sandbox: SandboxServer) -> None:
        self.stage, self.sandbox = stage, sandbox
        self.running: list[BaseProcess] = []

    def start(self, role: Callable[..., None], *arguments: object, **changes: Any) -> BaseProcess:
        """Start a process; `changes` are fields of its stage."""
        process: BaseProcess = _fork_server().Process(target=role, args=(replace(self.stage, **changes), *arguments))
        process.start()
        self.running.append(process)
        return process

    def run_to_end(self, role: Callable[..., None], *arguments: object, **changes: Any) -> int:
        """Run a process until it ends; its exit status."""
        process = self.start(role, *arguments, **changes)
        process.join(90)
        assert process.exitcode is not None, f"The process did not end. {self.log_tails()}"
        return process.exitcode

    def publish(self) -> None:
        """Schedule the issue; it is due at once."""
        assert self.run_to_end(stage.publish) == 0, self.log_tails()
        self.running.clear()

    def replace_the_dead(self) -> int:
        """Start a worker for each killed process, as a service manager does; how many."""
        dead = [process for process in self.running if process.exitcode is not None]
        for process in dead:
            assert process.exitcode == -signal.SIGKILL, f"A process ended with {process.exitcode}. {self.log_tails()}"
            self.running.remove(process)
            self.start(stage.work)
        return len(dead)

    def is_sent(self) -> bool:
        """Whether the send is over."""
        return rows_of(self.stage.database, SEND_STATES) == [("sent",)]

    def wait_for(self, condition: Callable[[], bool], what: str, seconds: float = 90.0) -> None:
        """Wait until `condition` holds; fails with the end of the processes' logs."""
        deadline = time.monotonic() + seconds
        while not condition():
            assert time.monotonic() < deadline, f"Timed out after {seconds:.0f} s: {what}. {self.log_tails()}"
            time.sleep(0.1)

    def wait_for_all_processes(self) -> None:
        """Wait until every process has written three heartbeats, with at least two rounds of all steps in between."""
        for _ in range(3):
            before = self._heartbeats()
            self.wait_for(partial(self._all_have_beaten_since, before), "every process has written a heartbeat")

    def _all_have_beaten_since(self, before: dict[str, object]) -> bool:
        now = self._heartbeats()
        return all(now.get(name) != at for name, at in before.items())

    def _heartbeats(self) -> dict[str, object]:
        beats = {name.rpartition(":")[2]: at for name, at in rows_of(self.stage.database, HEARTBEATS)}
        return {str(process.pid): beats.get(str(process.pid)) for process in self.running if process.exitcode is None}

    def judgement(self, recipients: int = RECIPIENTS) -> Judgement:
        """The judge's comparison as of now."""
        addresses = {f"reader-{number}@readers.example" for number in range(recipients)}
        return judge(self.stage.database, self.sandbox.ledger.summary(), self._mails(), addresses)

    def _mails(self) -> dict[int, list[str]]:
        mails: dict[int, list[str]] = {}
        for delivery, mail in self.sandbox.team.database.rows(MAILS):
            mails.setdefault(int(delivery), []).append(mail)
        return mails

    def log_tails(self) -> str:
        """The end of each process's log."""
        texts = [path.read_text(errors="replace")[-1500:] for path in sorted(self.stage.logs.glob("*.log"))]
        return "\n".join(["", *texts])

    def kill_all(self) -> None:
        """Kill all running processes."""
        for process in self.running:
            process.kill()
        for process in self.running:
            process.join()
        self.running.clear()


@contextmanager
def play(
    prepared: str, folder: Path, sandbox: SandboxServer, *, provider_url: str = "", **fields: Any
) -> Iterator[Play]:
    """A run on a copy of a prepared database; its processes are killed at the end."""
    with copy_of(prepared, folder) as database:
        run = Play(Stage(database=database, provider_url=provider_url or sandbox.url, logs=folder, **fields), sandbox)
        try:
            yield run
        finally:
            run.kill_all()


@contextmanager
def prepared_database(
    kind: str, folder: Path, recipients: int = RECIPIENTS, prepare: Callable[[Stage, int], None] = stage.prepare
) -> Iterator[str]:
    """A database with tables, a draft and subscribers, to be copied for each run."""
    server = os.environ.get("TEST_DATABASE_URL", "")
    name = f"faults_{uuid.uuid4().hex[:12]}"
    url = f"sqlite:///{folder}/prepared.sqlite3" if kind == SQLITE else f"{server.rpartition('/')[0]}/{name}"
    if kind == POSTGRESQL:
        on_the_server(f"CREATE DATABASE {name}")
    process = _fork_server().Process(
        target=prepare, args=(Stage(database=url, provider_url="", logs=folder), recipients)
    )
    process.start()
    process.join()
    logs = "".join(path.read_text()[-3000:] for path in folder.glob("*.log"))
    assert process.exitcode == 0, logs
    yield url
    if kind == POSTGRESQL:
        on_the_server(f"DROP DATABASE {name} WITH (FORCE)")


@contextmanager
def copy_of(prepared: str, folder: Path) -> Iterator[str]:
    """A copy for one run."""
    if prepared.startswith("sqlite:///"):
        with (
            closing(sqlite3.connect(prepared.removeprefix("sqlite:///"))) as source,
            closing(sqlite3.connect(folder / "play.sqlite3")) as target,
        ):
            # Unlike a copy of the file, this includes what a killed process left in the write-ahead log.
            source.backup(target)
        yield f"sqlite:///{folder}/play.sqlite3"
        return
    server, _, template = prepared.rpartition("/")
    name = f"faults_{uuid.uuid4().hex[:12]}"
    on_the_server(f"CREATE DATABASE {name} TEMPLATE {template} STRATEGY FILE_COPY")
    yield f"{server}/{name}"
    on_the_server(f"DROP DATABASE {name} WITH (FORCE)")


def on_the_server(statement: str) -> None:
    """Execute a statement as PostgreSQL's administrator."""
    with psycopg.connect(os.environ["TEST_DATABASE_URL"], autocommit=True) as connection:
        connection.execute(statement.encode())
