"""Dumps and loads with PostgreSQL's programs: with every parameter of DATABASE_URL, our schema only, all or nothing."""

from __future__ import annotations

import multiprocessing
import signal
import stat
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO, Any

import psycopg
import pytest
from django.db import connection, connections

from newsletter.backup import postgresql
from newsletter.backup.postgresql import DROP_OURS, ProgramFailed, dump, load, snapshot
from newsletter.settings import database_settings, with_timeouts
from tests.installation import new_database, wait_until

Connect = Callable[[str], str]

#: Rows of the dump: several pipes full.
ROWS = 200_000
#: A dump empties the search path.
AFTER = "INSERT INTO public.newsletter_things VALUES (-1, 'stopped')"
FILL = f"""
    CREATE TABLE newsletter_things (id bigint PRIMARY KEY, word text);
    INSERT INTO newsletter_things SELECT n, 'restored' FROM generate_series(1, {ROWS}) AS n
"""


@pytest.fixture
def connect(tmp_path: Path) -> Iterator[Connect]:
    """Lets Django use a database of its own, with these parameters in its URL; the URL without them."""
    usual = connections["default"]
    with new_database(tmp_path) as url:

        def use(parameters: str) -> str:
            configured = with_timeouts(database_settings(f"{url}?{parameters}"))
            connections["default"] = usual.copy()
            connections["default"].settings_dict = {**usual.settings_dict, **configured}
            return url

        yield use
        connection.close()
        connections["default"] = usual


def names(url: str, sql: str) -> list[Any]:
    with psycopg.connect(url) as direct:
        return [row[0] for row in direct.execute(sql).fetchall()]


def dumped(target: Path) -> str:
    with snapshot() as name:
        dump(target, name)
    return subprocess.run(["pg_restore", "--list", target], check=True, capture_output=True, text=True).stdout


@pytest.mark.django_db
@pytest.mark.postgresql
def test_only_the_schema_of_the_search_path_is_backed_up_and_replaced(connect: Connect, tmp_path: Path) -> None:
    url = connect("options=-csearch_path%3Ddigest")
    with psycopg.connect(url) as direct:
        direct.execute("CREATE SCHEMA digest CREATE TABLE newsletter_one (name text)")
        direct.execute("INSERT INTO digest.newsletter_one VALUES ('in the backup')")
        direct.execute("CREATE TABLE public.newsletter_two (name text)")
    listing = dumped(tmp_path / "dump")
    assert "newsletter_one" in listing
    assert "newsletter_two" not in listing
    with psycopg.connect(url) as direct:
        direct.execute("CREATE TABLE digest.newsletter_later (name text)")
    load(tmp_path / "dump", before=DROP_OURS, after="INSERT INTO digest.newsletter_one VALUES ('after it');")
    assert names(url, "SELECT name FROM digest.newsletter_one ORDER BY name") == ["after it", "in the backup"]
    tables = names(url, "SELECT relname FROM pg_class WHERE relname ~ '^newsletter_' ORDER BY relname")
    assert tables == ["newsletter_one", "newsletter_two"]


@pytest.mark.django_db
@pytest.mark.postgresql
def test_a_dump_of_the_usual_schema_does_not_create_it(connect: Connect, tmp_path: Path) -> None:
    """Every new database has it, so that a restore by hand would fail."""
    url = connect("")
    with psycopg.connect(url) as direct:
        direct.execute('CREATE SCHEMA "An ""other"" one" CREATE TABLE newsletter_one (name text)')
        direct.execute("CREATE TABLE newsletter_two (name text)")
    listing = dumped(tmp_path / "dump")
    assert "newsletter_two" in listing
    assert "newsletter_one" not in listing
    assert " SCHEMA " not in listing


@pytest.mark.django_db
@pytest.mark.postgresql
def test_a_schema_that_does_not_exist_is_named_as_the_reason(connect: Connect, tmp_path: Path) -> None:
    connect("options=-csearch_path%3Ddigest")
    with pytest.raises(ProgramFailed, match="Create it: CREATE SCHEMA"):
        load(tmp_path / "dump", before="", after="")


def parameters(monkeypatch: pytest.MonkeyPatch, query: str) -> None:
    given = database_settings(f"postgresql://ada:hunter2@db.example.org:5433/digest?{query}")
    user = {"dbname": given["NAME"], "user": given["USER"], "password": given["PASSWORD"], "host": given["HOST"]}
    of_django = {"context": object(), "cursor_factory": psycopg.Cursor, "pool": True}
    everything = {**with_timeouts(given)["OPTIONS"], **user, "port": given["PORT"], **of_django}
    monkeypatch.setattr(postgresql, "connection", type("Given", (), {"get_connection_params": lambda _: everything})())


def test_programs_get_every_parameter_and_none_of_djangos_own(monkeypatch: pytest.MonkeyPatch) -> None:
    query = (
        "sslmode=verify-full&options=-csearch_path%3Ddigest&passfile=/srv/pass&application_name=a%20b&pgbouncer=true"
    )
    parameters(monkeypatch, query)
    with postgresql._access() as (address, environment):
        assert psycopg.conninfo.conninfo_to_dict(address) == {
            "dbname": "digest", "user": "ada", "host": "db.example.org", "port": "5433", "connect_timeout": "5",
            "tcp_user_timeout": "10000", "sslmode": "verify-full", "options": "-csearch_path=digest",
            "passfile": "/srv/pass", "application_name": "a b",
        }  # fmt: skip
        assert environment["PGPASSWORD"] == "hunter2"


def test_no_secret_is_in_the_list_of_processes(monkeypatch: pytest.MonkeyPatch) -> None:
    parameters(monkeypatch, "sslkey=/srv/key.pem&sslpassword=hunter3")
    with postgresql._access() as (address, environment):
        assert "hunter" not in address
        assert psycopg.conninfo.conninfo_to_dict(address)["service"] == "newsletter"
        file = Path(environment["PGSERVICEFILE"])
        assert stat.S_IMODE(file.stat().st_mode) == 0o600
        assert file.read_text() == "[newsletter]\nsslpassword=hunter3\n"
    assert not file.exists()


@pytest.fixture
def installed(connect: Connect) -> str:
    """The URL of a database with ROWS rows."""
    url = connect("")
    with psycopg.connect(url, autocommit=True) as direct:
        direct.execute(FILL.encode())
    return url


@pytest.fixture
def backup(installed: str, tmp_path: Path) -> Path:
    """A dump with ROWS rows; the database has a single one now."""
    target = tmp_path / "dump"
    dumped(target)
    with psycopg.connect(installed, autocommit=True) as direct:
        direct.execute(b"DELETE FROM newsletter_things; INSERT INTO newsletter_things VALUES (1, 'present')")
    return target


def words_in(installed: str) -> dict[str, int]:
    with psycopg.connect(installed) as database:
        return dict(database.execute(b"SELECT word, count(*) FROM newsletter_things GROUP BY word").fetchall())


def wait_for_the_server(installed: str) -> None:
    """Wait until no other program is connected."""

    def is_alone() -> bool:
        with psycopg.connect(installed) as database:
            query = b"SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()"
            return database.execute(query).fetchone() == (1,)

    wait_until(is_alone, "psql has left", 30)


@pytest.mark.django_db
@pytest.mark.postgresql
def test_a_dump_is_loaded_with_what_comes_after_it(installed: str, backup: Path) -> None:
    postgresql.load(backup, before=postgresql.DROP_OURS, after=AFTER)
    assert words_in(installed) == {"restored": ROWS, "stopped": 1}


@pytest.mark.django_db
@pytest.mark.postgresql
def test_a_dump_that_breaks_off_leaves_the_database_as_it_was(installed: str, backup: Path) -> None:
    backup.write_bytes(backup.read_bytes()[: backup.stat().st_size // 2])
    with pytest.raises(postgresql.ProgramFailed):
        postgresql.load(backup, before=postgresql.DROP_OURS, after=AFTER)
    assert words_in(installed) == {"present": 1}


@pytest.mark.django_db
@pytest.mark.postgresql
def test_a_statement_that_fails_leaves_the_database_as_it_was(installed: str, backup: Path) -> None:
    with pytest.raises(postgresql.ProgramFailed, match="psql failed"):
        postgresql.load(backup, before=postgresql.DROP_OURS, after="INSERT INTO no_such_table VALUES (1)")
    assert words_in(installed) == {"present": 1}


@pytest.mark.django_db
@pytest.mark.postgresql
@pytest.mark.parametrize("octets", [0, 500, 1_000_000], ids=["nothing", "the head", "half"])
def test_a_load_that_is_interrupted_leaves_the_database_as_it_was(
    installed: str, backup: Path, monkeypatch: pytest.MonkeyPatch, octets: int
) -> None:
    def copy_and_stop(source: IO[bytes], target: IO[bytes]) -> None:
        target.write(source.read(octets))
        raise KeyboardInterrupt

    monkeypatch.setattr(postgresql, "_copy", copy_and_stop)
    with pytest.raises(KeyboardInterrupt):
        postgresql.load(backup, before=postgresql.DROP_OURS, after=AFTER)
    wait_for_the_server(installed)
    assert words_in(installed) == {"present": 1}


@pytest.mark.django_db
@pytest.mark.postgresql
@pytest.mark.parametrize("whole", [False, True], ids=["half", "all but the end"])
def test_a_killed_load_leaves_the_database_as_it_was(
    installed: str, backup: Path, monkeypatch: pytest.MonkeyPatch, whole: bool
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
        target=postgresql.load, args=(backup,), kwargs={"before": postgresql.DROP_OURS, "after": AFTER}
    )
    process.start()
    assert reached.wait(60)
    assert process.pid is not None
    process.kill()
    process.join()
    wait_for_the_server(installed)
    assert words_in(installed) == {"present": 1}
