"""The web server's deadlines and threads, in this process and with shortened times."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from types import SimpleNamespace
from typing import Any

import pytest
from waitress import wasyncore
from waitress.adjustments import Adjustments

from newsletter import http_server
from newsletter.http_server import TcpServer, Threads
from tests.raw_http import RawClient, head_of, send

SHORT, LONG = 0.3, 60.0


class Server:
    """A server in a thread of its own. `held` keeps the application's threads until it is set."""

    def __init__(self) -> None:
        self.held = threading.Event()
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.client = RawClient(f"http://127.0.0.1:{self._listener.getsockname()[1]}")
        self._connections: dict[int, Any] = {}
        settings = Adjustments(sockets=[self._listener], cleanup_interval=0, log_socket_errors=False)
        self._threads = Threads(2)
        place = (self._listener.family, self._listener.type, self._listener.proto, self._listener.getsockname())
        arguments = (self._application, self._connections, True, self._listener)
        TcpServer(*arguments, dispatcher=self._threads, adj=settings, bind_socket=False, sockinfo=place)
        self._stopped = threading.Event()
        self._loop = threading.Thread(target=self._run, name="server")
        self._loop.start()

    def _application(self, environ: dict[str, Any], start_response: Callable[..., object]) -> Iterable[bytes]:
        if environ["PATH_INFO"] == "/slow":
            self.held.wait(10)
        body = environ["wsgi.input"].read()
        start_response("200 OK", [("Content-Length", str(len(body)))])
        return [body]

    def _run(self) -> None:
        while not self._stopped.is_set():
            wasyncore.loop(timeout=0.02, use_poll=True, map=self._connections, count=1)

    def stop(self) -> None:
        self.held.set()
        self._stopped.set()
        self._loop.join()
        self._threads.shutdown()
        self._threads.for_health.shutdown()
        wasyncore.close_all(self._connections)


@pytest.fixture
def server() -> Iterator[Server]:
    running = Server()
    yield running
    running.stop()


def post(length: int) -> bytes:
    return head_of("POST", "/", {"Host": "here", "Content-Length": str(length)})


def test_a_head_that_takes_too_long_is_answered_with_408(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http_server, "HEAD_SECONDS", SHORT)
    with server.client.connect() as connection:
        answer = send(connection, post(5))
        assert (answer.status, answer.headers["connection"]) == (408, "close")
        assert connection.recv(1) == b"", "the connection is closed"


def test_a_body_that_takes_too_long_is_answered_with_408(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http_server, "HEAD_SECONDS", 0.0)
    monkeypatch.setattr(http_server, "BODY_SECONDS", SHORT)
    with server.client.connect() as connection:
        assert send(connection, post(5) + b"\r\n", b"abcd").status == 408


def test_a_chunked_body_without_an_end_is_answered_with_408(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http_server, "BODY_SECONDS", SHORT)
    with server.client.connect() as connection:
        head = head_of("POST", "/", {"Host": "here", "Transfer-Encoding": "chunked"})
        answer = send(connection, head + b"\r\n", b"3\r\nabc\r\n")
        assert (answer.status, answer.headers["connection"]) == (408, "close")


def test_a_deadline_counts_from_the_first_byte_of_each_request(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http_server, "HEAD_SECONDS", LONG)
    with server.client.connect() as connection:
        assert send(connection, post(3) + b"\r\nabc").body == b"abc"
        monkeypatch.setattr(http_server, "HEAD_SECONDS", SHORT)
        began = time.monotonic()
        assert send(connection, post(3)[:10]).status == 408
        assert time.monotonic() - began > SHORT


@pytest.mark.parametrize(
    ("is_head_read", "received", "seconds", "late"),
    [
        (False, 0, http_server.HEAD_SECONDS - 1, False),
        (False, 0, http_server.HEAD_SECONDS + 1, True),
        (True, 0, http_server.BODY_SECONDS - 1, False),
        (True, 0, http_server.BODY_SECONDS + 1, True),
        (True, 40 * http_server.MIN_BODY_RATE, http_server.BODY_SECONDS + 39, False),
        (True, 40 * http_server.MIN_BODY_RATE, http_server.BODY_SECONDS + 41, True),
    ],
)
def test_a_body_has_more_time_the_more_has_arrived(
    is_head_read: bool, received: int, seconds: float, late: bool
) -> None:
    request = SimpleNamespace(headers_finished=is_head_read, body_bytes_received=received)
    connection: Any = SimpleNamespace(request=request, request_began=100.0)
    assert http_server.Connection.is_late(connection, 100.0 + seconds) is late


def test_the_health_probe_is_answered_while_every_thread_is_busy(server: Server) -> None:
    slow = [server.client.connect() for _ in range(3)]
    for connection in slow:
        connection.sendall(head_of("GET", "/slow", {"Host": "here"}) + b"\r\n")
    assert server.client.get("/healthz").status == 200
    server.held.set()
    assert [send(connection).status for connection in slow] == [200, 200, 200]
    for connection in slow:
        connection.close()
