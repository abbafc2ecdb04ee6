"""A database that is away, read-only, full or busy is a 503 in words; a wrong query stays a 500."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
from django.contrib.auth.models import User
from django.contrib.sessions.backends.db import SessionStore
from django.db import (
    DataError,
    Error,
    IntegrityError,
    InterfaceError,
    InternalError,
    OperationalError,
    ProgrammingError,
    connection,
)
from django.db.utils import DatabaseErrorWrapper
from django.test import Client

from newsletter.monitoring import probes
from newsletter.web import webhooks
from newsletter.web.database_outage import is_outage
from subscribers.consent.tokens import confirm_url, preferences_url, unsubscribe_url
from tests.newsletter.web.webhook_doors import DOORS, ask, request
from tests.people import ada
from tests.publications import make_newsletter

pytestmark = pytest.mark.django_db

OUTAGES: list[Error] = [
    OperationalError("connection refused"),
    OperationalError("the connection is closed"),
    OperationalError("database is locked"),
    InterfaceError("connection already closed"),
]
MISTAKES: list[Error] = [
    ProgrammingError("syntax error"),
    DataError("value too long"),
    IntegrityError("a duplicate"),
    InternalError("current transaction is aborted"),
]


def caused_by(kind: type[Error], cause: Exception) -> Error:
    """As Django raises it."""
    error = kind(*cause.args)
    error.__cause__ = cause
    return error


def postgresql_error(code: str) -> Error:
    """The error with this SQLSTATE, of Django's class for it."""
    cause = psycopg.errors.lookup(code)("refused")
    kinds = (OperationalError, InternalError, ProgrammingError, DataError, IntegrityError)
    kind = next(kind for kind in kinds if isinstance(cause, getattr(psycopg, kind.__name__)))
    return caused_by(kind, cause)


@pytest.mark.parametrize(
    "code", ["25006", "25P03", "08006", "57P01", "57P03", "53300", "53100", "58030", "55P03", "40P01"]
)
def test_postgresql_outages_are_known_by_their_code(code: str) -> None:
    assert is_outage(postgresql_error(code))


@pytest.mark.parametrize("code", ["42P01", "42601", "25P02", "54001", "22P05", "23505", "XX000"])
def test_mistakes_in_postgresql_queries_are_no_outages(code: str) -> None:
    assert not is_outage(postgresql_error(code))


@pytest.fixture
def file(tmp_path: Path) -> Iterator[sqlite3.Connection]:
    opened = sqlite3.connect(tmp_path / "a.sqlite3", isolation_level=None, timeout=0)
    opened.execute("CREATE TABLE a (b TEXT)")
    yield opened
    opened.close()


def failure_of(opened: sqlite3.Connection, query: str, values: tuple[object, ...] = ()) -> Error:
    """The error of a query, as Django raises it."""
    with pytest.raises(Error) as raised, DatabaseErrorWrapper(SqliteNames()):
        opened.execute(query, values)
    return raised.value


class SqliteNames:
    """What Django's wrapper needs to know of a connection."""

    Database = sqlite3
    errors_occurred = False


def test_sqlite_outages_are_known_by_their_code(file: sqlite3.Connection, tmp_path: Path) -> None:
    with pytest.raises(OperationalError) as missing, DatabaseErrorWrapper(SqliteNames()):
        sqlite3.connect(tmp_path / "no such folder" / "a.sqlite3")
    assert is_outage(missing.value)
    file.execute("PRAGMA max_page_count = 2")
    assert is_outage(failure_of(file, "INSERT INTO a VALUES (zeroblob(100000))"))
    other = sqlite3.connect(tmp_path / "a.sqlite3", isolation_level=None, timeout=0)
    other.execute("BEGIN IMMEDIATE")
    assert is_outage(failure_of(file, "INSERT INTO a VALUES (1)"))
    other.close()
    file.execute("PRAGMA query_only = ON")
    assert is_outage(failure_of(file, "INSERT INTO a VALUES (1)"))


def test_mistakes_in_sqlite_queries_are_no_outages(file: sqlite3.Connection) -> None:
    assert not is_outage(failure_of(file, "SELECT * FROM nothing"))
    assert not is_outage(failure_of(file, "SELEC"))
    assert not is_outage(failure_of(file, "SELECT ?", (object(),)))


@pytest.mark.parametrize("door", DOORS)
@pytest.mark.parametrize("error", [*OUTAGES, *MISTAKES], ids=str)
def test_a_webhook_during_an_outage_is_asked_to_come_again(
    error: Error, door: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(webhooks, "store_event", lambda *arguments: (_ for _ in ()).throw(error))
    answer = ask(DOORS[door], request())
    if error in MISTAKES:
        assert answer.status == 500
        return
    assert (answer.status, answer.headers["Retry-After"], answer.headers["Cache-Control"]) == (503, "30", "no-store")
    assert (answer.headers["Content-Type"], answer.text) == (
        "text/plain; charset=utf-8",
        "The database is unavailable. Try again later.",
    )
    (line,) = caplog.records
    assert (line.levelname, line.exc_info) == ("ERROR", None)
    assert str(error) in line.getMessage()


def test_errors_outside_of_views_are_told_apart_too(monkeypatch: pytest.MonkeyPatch) -> None:
    client = Client(raise_request_exception=False)
    for error, status in ((OUTAGES[0], 503), (MISTAKES[0], 500)):
        monkeypatch.setattr(probes, "metrics_text", lambda error=error: (_ for _ in ()).throw(error))
        assert client.get("/metrics", headers={"Host": "localhost"}).status_code == status


def test_a_login_whose_session_cannot_be_stored_is_a_503(monkeypatch: pytest.MonkeyPatch) -> None:
    User.objects.create_superuser("edda", "edda@example.org", "quay-side-lantern-7")
    monkeypatch.setattr(SessionStore, "save", lambda *arguments, **options: (_ for _ in ()).throw(OUTAGES[0]))
    answer = Client(raise_request_exception=False).post(
        "/admin/login/", {"username": "edda", "password": "quay-side-lantern-7"}
    )
    assert (answer.status_code, answer["Retry-After"]) == (503, "30")


@pytest.fixture
def read_only(paths: dict[str, str]) -> Iterator[None]:
    """A read-only database, for one failing statement: PostgreSQL then refuses all others in the test's transaction."""
    is_postgresql = connection.vendor == "postgresql"
    with connection.cursor() as cursor:
        if is_postgresql:
            # The checks of foreign keys that are still due would lock rows.
            cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")
        cursor.execute("SET TRANSACTION READ ONLY" if is_postgresql else "PRAGMA query_only = ON")
        yield
        if not is_postgresql:
            cursor.execute("PRAGMA query_only = OFF")


@pytest.fixture
def paths() -> dict[str, str]:
    """The pages that write, made before the database turns read-only."""
    make_newsletter()
    key = ada().key
    urls = {"unsubscribe": unsubscribe_url(key), "preferences": preferences_url(key), "confirm": confirm_url(key, 1)}
    return {name: url.removeprefix("http://127.0.0.1:8000") for name, url in urls.items()}


@pytest.mark.parametrize(
    ("page", "fields"),
    [
        ("unsubscribe", {"action": "unsubscribe"}),
        ("unsubscribe", {"List-Unsubscribe": "One-Click"}),
        ("preferences", {"action": "pause", "weeks": "4"}),
        ("preferences", {"action": "unsubscribe"}),
    ],
)
@pytest.mark.parametrize("language", ["en", "de"])
def test_a_button_in_a_read_only_database_is_a_page_in_words(
    page: str, fields: dict[str, str], language: str, paths: dict[str, str], read_only: None
) -> None:
    answer = Client().post(paths[page], fields, headers={"Accept-Language": language})
    assert (answer.status_code, answer["Retry-After"]) == (503, "30")
    assert answer["Content-Type"] == "text/html; charset=utf-8"
    assert answer["Content-Language"] == language
    assert b"<h1>" in answer.content
    assert not answer.cookies


def test_pages_without_writes_are_shown_from_a_read_only_database(paths: dict[str, str], read_only: None) -> None:
    for path in ("/", "/harbour-notes/issues/", "/subscribe/harbour-notes/", *paths.values()):
        assert Client().get(path).status_code == 200
