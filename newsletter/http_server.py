"""The web server: a worker class for gunicorn that takes requests off the network with waitress.

gunicorn starts and replaces processes. Its own workers read each request in a thread, so that a few clients that send a
byte a second hold all threads. waitress reads heads and bodies, and writes responses, in one loop; a thread only gets
requests that have arrived whole. It has no time limit for a whole request, which this module adds.
"""

from __future__ import annotations

import logging
import os
import socket
import time
from typing import Any

from gunicorn.workers.base import Worker
from waitress import wasyncore
from waitress.adjustments import Adjustments
from waitress.channel import HTTPChannel
from waitress.server import BaseWSGIServer, TcpWSGIServer, UnixWSGIServer
from waitress.task import ThreadedTaskDispatcher
from waitress.utilities import Error

from newsletter.config.request_body import MAX_BODY_BYTES

#: In seconds, from the first byte of a request to the end of its head.
HEAD_SECONDS = 15.0

#: In seconds, from the first byte of a request to the end of its body; each second's worth of MIN_BODY_RATE bytes that
#: arrives extends it. Apache's mod_reqtimeout calls this `body=20,MinRate=500`.
BODY_SECONDS, MIN_BODY_RATE = 20.0, 2_000

#: In seconds: how long a connection may stay open without a request, or with a response that is not being read.
IDLE_SECONDS = 20

MAX_HEAD_BYTES = 32 * 1024

#: Per process. With the files of bodies and the database it stays below the usual limit of 1,024 open files.
MAX_CONNECTIONS = 500

#: Answered in a thread of its own, because it means that the process answers, and not that a database does.
HEALTH_PATH = "/healthz"


class RequestTimeout(Error):
    """The response to a request that did not arrive in time (RFC 9110 §15.5.9)."""

    code, reason = 408, "Request Timeout"


class Connection(HTTPChannel):
    """A client's connection, with a deadline for each request."""

    request: Any

    #: When the first byte of the request that is being read arrived (monotonic).
    request_began = 0.0

    def received(self, data: bytes) -> bool:
        """Read what has arrived, and note when a request began."""
        before = self.request
        result: bool = super().received(data)
        if self.request is not before:
            self.request_began = time.monotonic()
        return result

    def is_late(self, now: float) -> bool:
        """Whether a request has begun and should have arrived by `now` (monotonic)."""
        request = self.request
        if request is None:
            return False
        allowed = HEAD_SECONDS
        if request.headers_finished:
            allowed = BODY_SECONDS + int(request.body_bytes_received) / MIN_BODY_RATE
        return now > self.request_began + allowed

    def give_up(self) -> None:
        """Answer 408 instead of reading the request any further, and close the connection."""
        with self.requests_lock:
            request, self.request = self.request, None
            if not request.headers_finished:
                request.parse_header(b"GET / HTTP/1.0\r\n")  # as waitress does for a head that is too large
            request.error = RequestTimeout("")
            self.requests.append(request)
            if len(self.requests) == 1:
                self.server.add_task(self)

    @property
    def is_busy(self) -> bool:
        """Whether a whole request or a response is on its way."""
        return bool(self.requests) or bool(self.total_outbufs_len)


class _Deadlines(BaseWSGIServer):
    """A listening socket. waitress calls `maintenance` at most once a second."""

    channel_class = Connection

    def maintenance(self, now: float) -> None:
        super().maintenance(now)
        for connection in list(self.active_channels.values()):
            if connection.is_late(time.monotonic()):
                connection.give_up()


class TcpServer(_Deadlines, TcpWSGIServer):
    """A listening TCP socket."""


class UnixServer(_Deadlines, UnixWSGIServer):
    """A listening Unix socket."""


class Threads(ThreadedTaskDispatcher):
    """The threads that run the application, and one more for HEALTH_PATH."""

    def __init__(self, count: int) -> None:
        super().__init__()
        self.set_thread_count(count)
        self.for_health = ThreadedTaskDispatcher()
        self.for_health.set_thread_count(1)

    def add_task(self, task: Connection) -> None:
        """Queue the first request of a connection."""
        request = task.requests[0]
        is_health = request.error is None and request.path == HEALTH_PATH
        (self.for_health.add_task if is_health else super().add_task)(task)


class BufferingWorker(Worker):
    """One process of the web server."""

    def run(self) -> None:
        """Serve until gunicorn says to stop, or has ended itself; then finish the requests that have arrived."""
        # Each request that waits for a thread would be a line.
        logging.getLogger("waitress.queue").setLevel(logging.ERROR)
        connections: dict[int, Any] = {}
        threads = Threads(self.cfg.threads)
        servers = [self._listen(each.sock, connections, threads) for each in self.sockets]
        while self.alive and self.ppid == os.getppid():
            self._serve_for_a_second(connections)
        for server in servers:
            # Not `server.close()`, which would also close what threads wake the loop with.
            wasyncore.dispatcher.close(server)
        deadline = time.monotonic() + self.cfg.graceful_timeout
        while time.monotonic() < deadline and any(server_is_busy(server) for server in servers):
            self._serve_for_a_second(connections)

    def _serve_for_a_second(self, connections: dict[int, Any]) -> None:
        self.notify()
        wasyncore.loop(timeout=1.0 if self.alive else 0.05, use_poll=True, map=connections, count=1)

    def _listen(self, sock: socket.socket, connections: dict[int, Any], threads: Threads) -> BaseWSGIServer:
        server = UnixServer if sock.family == socket.AF_UNIX else TcpServer
        settings = Adjustments(
            sockets=[sock],
            # Django reads X-Forwarded-For and X-Forwarded-Proto, as far as TRUSTED_PROXIES says.
            clear_untrusted_proxy_headers=False,
            max_request_header_size=MAX_HEAD_BYTES,
            max_request_body_size=MAX_BODY_BYTES + 1,  # the first size that waitress refuses
            connection_limit=MAX_CONNECTIONS,
            channel_timeout=IDLE_SECONDS,
            cleanup_interval=1,
            backlog=self.cfg.backlog,
            log_socket_errors=False,
            ident=None,
        )
        place = (sock.family, sock.type, sock.proto, sock.getsockname())
        return server(
            self.wsgi, connections, True, sock, dispatcher=threads, adj=settings, bind_socket=False, sockinfo=place
        )


def server_is_busy(server: BaseWSGIServer) -> bool:
    """Whether any connection has a whole request or a response on its way."""
    return any(connection.is_busy for connection in server.active_channels.values())
