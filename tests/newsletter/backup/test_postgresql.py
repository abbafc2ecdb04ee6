"""Loading a dump into PostgreSQL: all of it, or nothing."""

from __future__ import annotations

import multiprocessing
import signal
import subprocess
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import IO

import psycopg
import pytest
from django.db import connection

from newsletter.backup import postgresql
from tests.installation import wait_until

pytestmark = [pytest.mark.postgresql, pytest.mark.django_db]

#: Rows of the dump: several pipes full.
ROWS = 200_000
#: A dump empties the search path.
AFTER = "INSERT INTO public.newsletter_things VALUES (-1, 'stopped')"
FILL = f"""
    CREATE TABLE newsletter_things (id bigint PRIMARY KEY, word text);
    INSERT INTO newsletter_things SELECT n, 'restored' FROM generate_series(1, {ROWS}) AS n
"""


def address_of(parameters: dict[str, str]) -> str:
    return psycopg.conninfo.make_conninfo("", **parameters)


@pytest.fixture
def scratch(monkeypatch: pytest.MonkeyPatch) -> Iterator[dict[str, str]]:
    """A database of its own, which the module takes for ours; its parameters."""
    parameters = {key: value for key, value in postgresql._parameters().items() if key in {"host", "port", "user"}}
    name = f"scratch_{uuid.uuid4().hex}"
    with psycopg.connect(address_of({**parameters, "dbname": "postgres"}), autocommit=True) as server:
        server.execute(f'CREATE DATABASE "{name}"'.encode())
        monkeypatch.setattr(postgresql, "_parameters", lambda: {**parameters, "dbname": name})
        yield {**parameters, "dbname": name}
        server.execute(f'DROP DATABASE "{name}" WITH (FORCE)'.encode())


@pytest.fixture
def dump(scratch: dict[str, str], tmp_path: Path) -> Path:
    """A dump with ROWS rows; the database has a single one now."""
    target = tmp_path / "dump"
    with psycopg.connect(address_of(scratch), autocommit=True) as database:
        database.execute(FILL.encode())
        subprocess.run(
            ["pg_dump", "--format=custom", f"--file={target}", f"--dbname={address_of(scratch)}"], check=True
        )
        database.execute(b"DELETE FROM newsletter_things; INSERT INTO newsletter_things VALUES (1, 'present')")
    return target


def words_in(scratch: dict[str, str]) -> dict[str, int]:
    with psycopg.connect(address_of(scratch)) as database:
        return dict(database.execute(b"SELECT word, count(*) FROM newsletter_things GROUP BY word").fetchall())


def wait_for_the_server(scratch: dict[str, str]) -> None:
    """Wait until no other program is connected."""

    def is_alone() -> bool:
        with psycopg.connect(address_of(scratch)) as database:
            query = b"SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()"
            return database.execute(query).fetchone() == (1,)

    wait_until(is_alone, "psql has left", 30)


def test_a_dump_is_loaded_with_what_comes_after_it(scratch: dict[str, str], dump: Path) -> None:
    postgresql.load(dump, before=postgresql.DROP_OURS, after=AFTER)
    assert words_in(scratch) == {"restored": ROWS, "stopped": 1}


def test_a_dump_that_breaks_off_leaves_the_database_as_it_was(scratch: dict[str, str], dump: Path) -> None:
    dump.write_bytes(dump.read_bytes()[: dump.stat().st_size // 2])
    with pytest.raises(postgresql.ProgramFailed):
        postgresql.load(dump, before=postgresql.DROP_OURS, after=AFTER)
    assert words_in(scratch) == {"present": 1}


def test_a_statement_that_fails_leaves_the_database_as_it_was(scratch: dict[str, str], dump: Path) -> None:
    with pytest.raises(postgresql.ProgramFailed, match="psql failed"):
        postgresql.load(dump, before=postgresql.DROP_OURS, after="INSERT INTO no_such_table VALUES (1)")
    assert words_in(scratch) == {"present": 1}


@pytest.mark.parametrize("octets", [0, 500, 1_000_000], ids=["nothing", "the head", "half"])
def test_a_load_that_is_interrupted_leaves_the_database_as_it_was(
    scratch: dict[str, str], dump: Path, monkeypatch: pytest.MonkeyPatch, octets: int
) -> None:
    def copy_and_stop(source: IO[bytes], target: IO[bytes]) -> None:
        target.write(source.read(octets))
        raise KeyboardInterrupt

    monkeypatch.setattr(postgresql, "_copy", copy_and_stop)
    with pytest.raises(KeyboardInterrupt):
        postgresql.load(dump, before=postgresql.DROP_OURS, after=AFTER)
    wait_for_the_server(scratch)
    assert words_in(scratch) == {"present": 1}


@pytest.mark.parametrize("whole", [False, True], ids=["half", "all but the end"])
def test_a_killed_load_leaves_the_database_as_it_was(
    scratch: dict[str, str], dump: Path, monkeypatch: pytest.MonkeyPatch, whole: bool
) -> None:
    context = multiprocessing.get_context("fork")
    reached = context.Event()

    def copy_and_wait(source: IO[bytes], target: IO[bytes]) -> None:
        target.write(source.read() if whole else source.read(1_000_000))
        target.flush()
        reached.set()
        signal.pause()

    monkeypatch.setattr(postgresql, "_copy", copy_and_wait)
    connection.close()
    process = context.Process(
        target=postgresql.load, args=(dump,), kwargs={"before": postgresql.DROP_OURS, "after": AFTER}
    )
    process.start()
    assert reached.wait(60)
    assert process.pid is not None
    process.kill()
    process.join()
    wait_for_the_server(scratch)
    assert words_in(scratch) == {"present": 1}
