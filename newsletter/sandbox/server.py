"""The HTTP server of the sandbox: sockets and threads."""

from __future__ import annotations

import contextlib
import http
import http.server
import logging
import os
import re
import socket
import socketserver
import struct
import threading
import time
from collections.abc import Callable, Sequence
from types import TracebackType
from typing import Any, Self, cast
from urllib.parse import parse_qsl, urlsplit

from newsletter.sandbox.api import Api
from newsletter.sandbox.control import Control, changed_options
from newsletter.sandbox.database import Stopping
from newsletter.sandbox.exchange import Ending, Request, Response, json_response
from newsletter.sandbox.faults import Fault
from newsletter.sandbox.inbox import Inbox
from newsletter.sandbox.ledger import Ledger
from newsletter.sandbox.options import SandboxOptions
from newsletter.sandbox.received import ReceivedFile
from newsletter.sandbox.refusals import Refusal, refusal
from newsletter.sandbox.team import Team
from newsletter.sandbox.webhooks import WebhookWorkers

log = logging.getLogger(__name__)

HOST = "127.0.0.1"
#: Host names that browsers on this machine may use. Any other name may be a DNS rebinding attack.
_LOOPBACK_NAMES = frozenset({"127.0.0.1", "localhost", "[::1]"})
_STOP_SECONDS = 5.0
_DRAINED_BYTES = 1 << 16
#: As much of a body that is too large is read before it is refused; after that the connection is reset.
_MAX_DRAINED_BYTES = 200_000_000
_CHUNK_LINE_BYTES = 4096
_CHUNK_SIZE = re.compile(rb"[0-9A-Fa-f]{1,8}")
_MAX_TRAILERS = 20
#: Up to a petabyte. Python refuses to read numbers of several thousand digits.
_CONTENT_LENGTH = re.compile(r"[0-9]{1,15}")


class SandboxServer:
    """A sandbox in this process: `with SandboxServer(SandboxOptions(port=0)) as sandbox: … sandbox.url …`.

    Everything that `/sandbox/` offers over HTTP has a method or attribute here. Raises OSError if the port is in use.
    """

    def __init__(self, options: SandboxOptions | None = None, *, clock: Callable[[], float] = time.time) -> None:
        self._team = Team(options or SandboxOptions(), clock)
        try:
            self._http = _HttpServer(self._team)
        except OSError as error:
            self._team.database.close()
            raise OSError(f"Port {self._team.options.port} cannot be used: {error.strerror}.") from error
        self._workers = WebhookWorkers(self._team)
        self._thread = threading.Thread(target=self._http.serve_forever, args=(0.02,), name="sandbox", daemon=True)

    @property
    def url(self) -> str:
        """Such as `http://127.0.0.1:8026`, without a trailing slash."""
        return f"http://{HOST}:{self._http.server_address[1]}"

    @property
    def ledger(self) -> Ledger:
        """The accepted mails."""
        return self._team.ledger

    @property
    def team(self) -> Team:
        """All stores, for tests."""
        return self._team

    def start(self) -> Self:
        """Serve in threads of this process. Returns immediately."""
        self._thread.start()
        self._workers.start()
        return self

    def stop(self) -> None:
        """Stop serving and posting, and close the ledger. A ledger file keeps pending events."""
        self._team.stop()
        if self._thread.is_alive():
            self._http.shutdown()
            self._thread.join(_STOP_SECONDS)
            self._workers.join(_STOP_SECONDS)
        self._http.server_close()
        self._http.close_connections()
        self._team.database.close()

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def plan(self, *faults: Fault | str) -> None:
        """Plan faults for the next calls; a string is the kind of a fault."""
        self._team.faults.plan(*(Fault(fault) if isinstance(fault, str) else fault for fault in faults))

    def configure(self, **changes: Any) -> None:
        """Change options while running, such as `webhook_url`. Raises ValueError for an invalid value."""
        try:
            self._team.options = changed_options(self._team.options, changes)
        except Refusal as error:
            raise ValueError(error.message) from error

    def receive(
        self, sender: str, to: Sequence[str], *files: ReceivedFile, subject: str = "", original: bytes | None = None
    ) -> str:
        """Receive a mail with these attachments, and the whole mail where it is kept; its id."""
        return self._team.receive(sender, to, subject, files, original)

    def wait_for_webhooks(self, timeout: float = 10.0) -> None:
        """Wait until every event, including future ones, was delivered or has failed. Raises TimeoutError.

        It also waits for the events of scheduled mails.
        """
        with self._team.database.changed:
            if not self._team.database.changed.wait_for(lambda: not self._team.events.waiting(), timeout):
                raise TimeoutError(f"{self._team.events.waiting()} events were not posted within {timeout} s.")


class _HttpServer(socketserver.ThreadingMixIn, socketserver.TCPServer):
    """One thread for each connection; connections are kept alive."""

    allow_reuse_address = True
    daemon_threads = True
    # The server closes idle connections when it stops, instead of waiting for clients.
    block_on_close = False
    request_queue_size = 128

    def __init__(self, team: Team) -> None:
        self.team = team
        self.api, self.control, self.inbox = Api(team), Control(team), Inbox(team)
        self._connections: set[socket.socket] = set()
        super().__init__((HOST, team.options.port), _Connection)

    def process_request(self, request: Any, client_address: Any) -> None:
        self._connections.add(request)
        super().process_request(request, client_address)

    def shutdown_request(self, request: Any) -> None:
        self._connections.discard(request)
        super().shutdown_request(request)

    def close_connections(self) -> None:
        """Close connections that clients keep alive, so that their threads end."""
        for connection in list(self._connections):
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)

    def answer(self, request: Request) -> Response:
        """Dispatch a request by its path."""
        if request.path.startswith("/sandbox/"):
            return self.control.answer(request)
        return self.inbox.answer(request) if self.inbox.has(request) else self.api.answer(request)


class _Connection(http.server.BaseHTTPRequestHandler):
    """Requests of one connection, one after the other."""

    protocol_version = "HTTP/1.1"
    server_version = "newsletter-sandbox"
    sys_version = ""
    disable_nagle_algorithm = True

    @property
    def _http(self) -> _HttpServer:
        return cast(_HttpServer, self.server)

    def _serve(self) -> None:
        try:
            request = self._read()
        except Refusal as error:
            self.close_connection = True
            self._write(json_response(error.body, error.status))
            return
        if request is None:
            # The client disconnected during its request.
            self.close_connection = True
            return
        try:
            self._write(self._http.answer(request))
        except (Stopping, ConnectionError):
            self.close_connection = True
        except Exception:
            log.exception("The sandbox failed to answer %s %s", request.method, request.path)
            failure = refusal("application_error")
            self._write(json_response(failure.body, failure.status))

    do_GET = do_HEAD = do_POST = do_PUT = do_PATCH = do_DELETE = do_OPTIONS = _serve

    def _read(self) -> Request | None:
        try:
            parts = urlsplit(self.path)
        except ValueError as error:
            raise refusal("validation_error", "The request target is malformed.", status=400) from error
        headers = {name.lower(): value for name, value in self.headers.items()}
        self._check_origin(parts.path, headers)
        body = self._read_body(headers)
        if body is None:
            return None
        method = "GET" if self.command == "HEAD" else self.command
        query = dict(parse_qsl(parts.query, keep_blank_values=True))
        return Request(method, parts.path, query, headers, body)

    def _check_origin(self, path: str, headers: dict[str, str]) -> None:
        """Prevent pages of other sites from using the sandbox through a browser on this machine."""
        host = headers.get("host", "")
        name = host.rpartition(":")[0] if host.rpartition(":")[2].isdigit() else host
        if name not in _LOOPBACK_NAMES:
            raise refusal("invalid_permission", "The sandbox accepts requests from this machine only.")
        origin = headers.get("origin")
        if origin is not None and self.command != "GET" and origin != f"http://{host}":
            raise refusal("invalid_permission", "The sandbox does not accept requests from other sites.")

    def _read_body(self, headers: dict[str, str]) -> bytes | None:
        """The complete body; None if the client disconnected before its end.

        More than one length is refused: which one counts would be a guess (RFC 9112 §6.3).
        """
        lengths = set(self.headers.get_all("content-length", ()))
        if len(lengths) > 1 or len(self.headers.get_all("transfer-encoding", ())) > 1:
            raise refusal("validation_error", "The request has more than one length.", status=400)
        if "transfer-encoding" in headers:
            return self._read_chunks(headers)
        length = headers.get("content-length", "0")
        if not _CONTENT_LENGTH.fullmatch(length):
            raise refusal("validation_error", "The request needs a Content-Length.", status=400)
        size = int(length)
        if size > self._http.team.options.max_body_bytes:
            self._drain(size)
            raise refusal("validation_error", "The request body is too large.", status=413)
        body = self.rfile.read(size)
        return body if len(body) == size else None

    def _read_chunks(self, headers: dict[str, str]) -> bytes | None:
        """A chunked body, as Resend's SDK for Go sends it; None if the client disconnected before its end.

        Source: RFC 9112 §7.1. Content-Length beside it is refused, since two lengths may be request smuggling (§6.1).
        """
        if headers["transfer-encoding"].strip().lower() != "chunked" or "content-length" in headers:
            raise refusal("validation_error", "The request needs a Content-Length or is chunked.", status=400)
        parts: list[bytes] = []
        left = self._http.team.options.max_body_bytes
        while size := self._chunk_size():
            left -= size
            if left < 0:
                self._drain_chunks(size)
                raise refusal("validation_error", "The request body is too large.", status=413)
            part = self.rfile.read(size + 2)
            if len(part) < size + 2:
                return None
            if not part.endswith(b"\r\n"):
                raise refusal("validation_error", "The chunks of the request body are malformed.", status=400)
            parts.append(part[:-2])
        return b"".join(parts) if size == 0 and self._skip_trailers() else None

    def _chunk_size(self) -> int | None:
        """The size of the next chunk, 0 for the last; None if the client disconnected. Extensions are ignored."""
        line = self.rfile.readline(_CHUNK_LINE_BYTES)
        size = line.partition(b";")[0].strip()
        if _CHUNK_SIZE.fullmatch(size) and line.endswith(b"\n"):
            return int(size, 16)
        if not line:
            return None
        raise refusal("validation_error", "The chunks of the request body are malformed.", status=400)

    def _skip_trailers(self) -> bool:
        """Whether the body ended; trailers are read and ignored, as all fields after the body may be."""
        for _number in range(_MAX_TRAILERS):
            line = self.rfile.readline(_CHUNK_LINE_BYTES)
            if line in (b"\r\n", b"\n", b""):
                return bool(line)
        raise refusal("validation_error", "The request has too many trailers.", status=400)

    def _drain_chunks(self, size: int | None) -> None:
        """Read the rest of a chunked body, whose next chunk has this size."""
        left = _MAX_DRAINED_BYTES
        # A malformed rest is too large, too.
        with contextlib.suppress(Refusal):
            while size:
                self._drain(min(size + 2, left))
                left -= size + 2
                size = self._chunk_size() if left > 0 else None
            if size == 0:
                self._skip_trailers()

    def _drain(self, size: int) -> None:
        # Otherwise a client that is still sending gets a connection reset instead of the answer.
        size = min(size, _MAX_DRAINED_BYTES)
        while size > 0:
            part = self.rfile.read(min(size, _DRAINED_BYTES))
            if not part:
                return
            size -= len(part)

    def _write(self, response: Response) -> None:
        if response.ending is Ending.RESET:
            self._reset()
            return
        if response.ending is Ending.SILENCE:
            self._http.team.stopping.wait(response.seconds)
            self.close_connection = True
            return
        body = response.body
        if response.ending is Ending.CUT:
            body = body[: len(body) // 2]
            self.close_connection = True
        head = self._head(response)
        self.wfile.write(head if self.command == "HEAD" else head + body)

    def _head(self, response: Response) -> bytes:
        """Status line and headers. A truncated body has the Content-Length of the complete one."""
        headers = {
            "date": self.date_time_string(),
            "content-type": response.content_type,
            "content-length": str(len(response.body)),
            **response.headers,
            **({"connection": "close"} if self.close_connection else {}),
        }
        lines = [f"HTTP/1.1 {response.status} {http.HTTPStatus(response.status).phrase}"]
        lines += [f"{name}: {value}" for name, value in headers.items()]
        return "\r\n".join([*lines, "", ""]).encode("latin-1")

    def _reset(self) -> None:
        """Close with a TCP reset: without linger, and by the descriptor, which `makefile` would keep open."""
        self.close_connection = True
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        os.close(self.connection.detach())

    def log_message(self, format: str, *args: Any) -> None:
        log.debug(format, *args)
