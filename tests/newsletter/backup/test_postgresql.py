"""PostgreSQL's programs get every parameter of DATABASE_URL, and no other schema is read or changed."""

from __future__ import annotations

import stat
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest
from django.db import connection, connections

from newsletter.backup import postgresql
from newsletter.backup.postgresql import DROP_OURS, ProgramFailed, dump, load, snapshot
from newsletter.settings import database_settings, with_timeouts
from tests.installation import new_database

Connect = Callable[[str], str]


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


@pytest.mark.django_db
@pytest.mark.postgresql
def test_a_dump_that_cannot_be_read_to_its_end_changes_nothing(connect: Connect, tmp_path: Path) -> None:
    url = connect("")
    with psycopg.connect(url) as direct:
        direct.execute("CREATE TABLE newsletter_one AS SELECT md5(n::text) AS name FROM generate_series(1, 9000) AS n")
    dumped(tmp_path / "dump")
    content = (tmp_path / "dump").read_bytes()
    (tmp_path / "dump").write_bytes(content[: len(content) // 2])
    with pytest.raises(ProgramFailed, match="pg_restore failed"):
        load(tmp_path / "dump", before=DROP_OURS, after="CREATE TABLE newsletter_two (name text);")
    assert names(url, "SELECT count(*) FROM newsletter_one") == [9000]


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
