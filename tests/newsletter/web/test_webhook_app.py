"""The application in front of Django: which paths it takes, how much it reads, and its database connections."""

from __future__ import annotations

import io
import threading
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from django.db import connection, connections
from django.test import Client

from newsletter.events.inbox import store_event
from newsletter.models import Event
from newsletter.providers.base import SignedEvent
from newsletter.web.webhook_app import WebhookApplication
from newsletter.web.webhooks import MAX_BODY_SIZE
from tests.newsletter.web.webhook_doors import BODY, DOORS, Reply, ask, headers, request

APPLICATION = DOORS["application"]


# --- Paths ---------------------------------------------------------------------------------------------------------


def passes_on(path: str) -> bool:
    """Whether a request to this path reaches what is behind the application."""
    passed: list[str] = []

    def behind(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        passed.append(environ["PATH_INFO"])
        start_response("200 OK", [])
        return []

    ask(WebhookApplication(behind), {**request(method="GET"), "PATH_INFO": path})
    return passed == [path]


@pytest.mark.parametrize(
    "path",
    [
        "",
        "/",
        "/webhooks",
        "/webhooks/",
        "/webhooks//",
        "/webhooks/resend",
        "//webhooks/resend/",
        "/webhooks/resend//",
        "/webhooks/resend/x/",
        "/webhooks/resend/\n",
        "/webhooks/re send/",
        "/webhooks/../admin/",
        "/Webhooks/resend/",
        "/a/webhooks/resend/",
        "/webhooks/\xc3\xa9/",
    ],
)
def test_only_the_exact_paths_are_taken(path: str) -> None:
    assert passes_on(path)


@pytest.mark.parametrize("path", ["/webhooks/resend/", "/webhooks/postbox/", "/webhooks/a-b_9/"])
def test_every_path_of_a_provider_is_taken(path: str) -> None:
    assert not passes_on(path)


@pytest.mark.django_db
@pytest.mark.parametrize("path", ["/webhooks/resend", "/webhooks/resend/x/", "/webhooks/"])
def test_django_stores_nothing_from_any_other_path(path: str) -> None:
    answer = Client().post(path, BODY, content_type="application/json", headers=headers())
    assert answer.status_code in (301, 404, 405)
    assert not Event.objects.exists()


@pytest.mark.django_db
def test_the_host_and_the_scheme_do_not_matter() -> None:
    environ = {**request(), "HTTP_HOST": "scanner.example", "wsgi.url_scheme": "http"}
    assert ask(APPLICATION, environ).status == 200


# --- Reading -------------------------------------------------------------------------------------------------------


class Endless(io.RawIOBase):
    """A stream that a server never ends."""

    taken = 0

    def read(self, size: int = -1) -> bytes:
        assert size >= 0, "this would never return"
        self.taken += size
        return b"a" * size


def test_no_more_is_read_of_an_endless_body_than_is_needed_to_refuse_it() -> None:
    stream = Endless()
    environ = {**request(), "wsgi.input": stream, "wsgi.input_terminated": True, "CONTENT_LENGTH": ""}
    assert ask(APPLICATION, environ).status == 413
    assert stream.taken == MAX_BODY_SIZE + 1


@pytest.mark.django_db
def test_no_more_is_read_than_was_declared() -> None:
    stream = Endless()
    assert ask(APPLICATION, {**request(), "wsgi.input": stream, "CONTENT_LENGTH": "77"}).status == 400
    assert stream.taken == 77


# --- Connections ---------------------------------------------------------------------------------------------------


@pytest.fixture
def in_thread() -> Iterator[Callable[[Callable[[], Any]], Any]]:
    """Runs functions one after the other in a thread of the web server, which keeps its connection."""
    with ThreadPoolExecutor(1) as threads:
        yield lambda function: threads.submit(function).result()
        threads.submit(connections.close_all).result()


InThread = Callable[[Callable[[], Any]], Any]


def post(event_id: str) -> Reply:
    return ask(APPLICATION, request(changes=headers(event_id=event_id)))


def backend() -> int:
    """PostgreSQL's process of this thread's connection."""
    assert connection.connection is not None, "the connection is kept"
    return int(connection.connection.info.backend_pid)


def kill(pid: int) -> None:
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_terminate_backend(%s, 5000)", [pid])


@pytest.mark.postgresql
@pytest.mark.django_db(transaction=True)
def test_a_thread_keeps_its_connection_and_its_statement(in_thread: InThread) -> None:
    assert in_thread(lambda: post("msg_1")).status == 200
    pid = in_thread(backend)
    assert in_thread(lambda: post("msg_2")).status == 200
    assert in_thread(backend) == pid

    def statements() -> int:
        with connection.cursor() as cursor:
            cursor.execute("SELECT count(*) FROM pg_prepared_statements WHERE statement LIKE 'INSERT%'")
            return int(cursor.fetchone()[0])

    assert in_thread(statements) == 1


@pytest.mark.postgresql
@pytest.mark.django_db(transaction=True)
def test_a_connection_that_was_lost_is_opened_again_for_the_same_event(in_thread: InThread) -> None:
    assert in_thread(lambda: post("msg_1")).status == 200
    lost = in_thread(backend)
    kill(lost)
    assert in_thread(lambda: post("msg_2")).status == 200
    assert in_thread(backend) != lost
    assert Event.objects.count() == 2


@pytest.mark.postgresql
@pytest.mark.django_db(transaction=True)
def test_a_connection_that_is_too_old_is_replaced(in_thread: InThread) -> None:
    assert in_thread(lambda: post("msg_1")).status == 200
    before = in_thread(backend)

    def grow_old() -> None:
        connection.close_at = 0.0

    in_thread(grow_old)
    assert in_thread(lambda: post("msg_2")).status == 200
    assert in_thread(backend) != before


@pytest.mark.postgresql
@pytest.mark.django_db(transaction=True)
def test_a_read_only_database_is_a_503_until_it_can_be_written_to(
    in_thread: InThread, caplog: pytest.LogCaptureFixture
) -> None:
    def set_read_only(value: str) -> None:
        with connection.cursor() as cursor:
            cursor.execute(f"SET default_transaction_read_only = {value}")

    assert in_thread(lambda: post("msg_1")).status == 200
    in_thread(lambda: set_read_only("on"))
    answer = in_thread(lambda: post("msg_2"))
    assert (answer.status, answer.headers["Retry-After"]) == (503, "30")
    (line,) = [record for record in caplog.records if record.name == "newsletter.web.webhook_app"]
    assert ("read-only" in line.getMessage(), line.exc_info) == (True, None)
    in_thread(lambda: set_read_only("off"))
    assert in_thread(lambda: post("msg_2")).status == 200
    assert Event.objects.count() == 2


@pytest.mark.postgresql
@pytest.mark.django_db(transaction=True)
def test_an_event_is_committed_before_it_is_answered(in_thread: InThread) -> None:
    assert in_thread(lambda: post("msg_1")).status == 200
    assert [event.event_id for event in Event.objects.all()] == ["msg_1"], "another connection sees it"


@pytest.mark.postgresql
@pytest.mark.django_db(transaction=True)
def test_an_event_that_comes_eight_times_at_once_is_stored_once() -> None:
    together = threading.Barrier(8)

    def post_together(number: int) -> int:
        together.wait(30)
        try:
            return post("msg_1").status
        finally:
            connections.close_all()

    with ThreadPoolExecutor(8) as threads:
        assert list(threads.map(post_together, range(8))) == [200] * 8
    assert Event.objects.count() == 1


@pytest.mark.django_db
def test_a_transaction_of_the_caller_stays_open() -> None:
    store_event("resend", SignedEvent(event_id="msg_1", body=BODY.decode()))
    assert connection.in_atomic_block
    assert Event.objects.count() == 1
