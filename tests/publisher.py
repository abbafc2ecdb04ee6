"""A publisher for tests: a web server on this machine with given responses, which records its requests."""

from __future__ import annotations

import ssl
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from io import BufferedIOBase

from newsletter.outbound import FetchPolicy


@dataclass(frozen=True, slots=True)
class Answer:
    """The response for a path. `pour` writes the body itself, instead of `body` with its length."""

    body: bytes = b""
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)
    pour: Callable[[BufferedIOBase, threading.Event], object] | None = None


@dataclass(frozen=True, slots=True)
class Request:
    """A recorded request. The names of headers are in lower case."""

    method: str
    path: str
    headers: Mapping[str, str]


class Publisher:
    """A site at `url`: put responses into `pages`, read `requests`. `closing` is set when it stops."""

    def __init__(self, tls: ssl.SSLContext | None = None) -> None:
        self.pages: dict[str, Answer] = {}
        self.requests: list[Request] = []
        self.closing = threading.Event()
        self._server = _Server(("127.0.0.1", 0), PageHandler)
        self._server.publisher = self
        if tls is not None:
            self._server.socket = tls.wrap_socket(self._server.socket, server_side=True, do_handshake_on_connect=False)
        self.port = int(self._server.server_address[1])
        self.url = f"http://127.0.0.1:{self.port}"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True)

    def start(self) -> None:
        """Start to serve."""
        self._thread.start()

    def stop(self) -> None:
        """Stop, and end open responses."""
        self.closing.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    publisher: Publisher

    def handle_error(self, request: object, client_address: object) -> None:
        """Some tests close the connection: no traceback."""


class PageHandler(BaseHTTPRequestHandler):
    """Answers one request."""

    server: _Server

    def do_GET(self) -> None:
        publisher = self.server.publisher
        headers = {name.lower(): value for name, value in self.headers.items()}
        publisher.requests.append(Request(self.command, self.path, headers))
        answer = publisher.pages.get(self.path, Answer(b"Nothing here.", status=404))
        if answer.headers.get("ETag") and answer.headers["ETag"] == headers.get("if-none-match"):
            answer = Answer(status=304, headers=answer.headers)
        self.send_response(answer.status)
        for name, value in answer.headers.items():
            self.send_header(name, value)
        if answer.pour is None and answer.status != 304 and "Content-Length" not in answer.headers:
            self.send_header("Content-Length", str(len(answer.body)))
        self.end_headers()
        if answer.pour is not None:
            answer.pour(self.wfile, publisher.closing)
        elif self.command == "GET":
            self.wfile.write(answer.body)

    do_HEAD = do_GET

    def log_message(self, format: str, *args: object) -> None:
        """Quiet."""


@contextmanager
def publishing(tls: ssl.SSLContext | None = None) -> Iterator[Publisher]:
    """A publisher that runs until the block ends."""
    publisher = Publisher(tls)
    publisher.start()
    try:
        yield publisher
    finally:
        publisher.stop()


def local_policy(**fields: object) -> FetchPolicy:
    """A policy that allows this machine."""
    defaults: dict[str, object] = {"user_agent": "newsletter (+tests)", "allowed_hosts": frozenset({"127.0.0.1"})}
    return FetchPolicy(**(defaults | fields))  # type: ignore[arg-type]
