"""A server of this machine that stands in for Google's token endpoint and Postmaster Tools API v2."""

from __future__ import annotations

import base64
import json
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs

from newsletter.outbound.google import GoogleHosts

TOKEN = "ya29.a-token"


@dataclass
class Answer:
    """A status with a JSON body, or with any bytes."""

    status: int = 200
    content: Any = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict)

    @property
    def body(self) -> bytes:
        return self.content if isinstance(self.content, bytes) else json.dumps(self.content).encode()


class GoogleServer:
    """Answers by path; `queries` and `forms` hold what it was asked."""

    def __init__(self) -> None:
        self.token = Answer(content={"access_token": TOKEN, "expires_in": 3600, "token_type": "Bearer"})
        self.stats: list[Answer] = [Answer(content={})]
        self.compliance = Answer(content={})
        self.queries: list[dict[str, Any]] = []
        self.paths: list[str] = []
        self.forms: list[dict[str, list[str]]] = []
        self.tokens: list[str] = []
        server = ThreadingHTTPServer(("127.0.0.1", 0), _Handler)
        server.daemon_threads = True
        server.google = self  # type: ignore[attr-defined]
        self._server, self._thread = server, threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
        self.origin = f"http://127.0.0.1:{server.server_address[1]}"
        self.hosts = GoogleHosts(token_url=f"{self.origin}/token", api_url=self.origin)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        if not self._thread.is_alive():
            return
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def answer(self, method: str, path: str, body: bytes, headers: Mapping[str, str]) -> Answer:
        self.paths.append(f"{method} {path}")
        if path == "/token":
            self.forms.append(parse_qs(body.decode()))
            return self.token
        self.tokens.append(headers.get("Authorization", ""))
        if path.endswith("domainStats:query"):
            self.queries.append(json.loads(body))
            return self.stats.pop(0) if len(self.stats) > 1 else self.stats[0]
        return self.compliance


class _Handler(BaseHTTPRequestHandler):
    def do_POST(self) -> None:
        google: GoogleServer = self.server.google  # type: ignore[attr-defined]
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        answer = google.answer(self.command, self.path, body, dict(self.headers))
        self.send_response(answer.status)
        for name, value in answer.headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(answer.body)))
        self.end_headers()
        self.wfile.write(answer.body)

    do_GET = do_POST

    def log_message(self, format: str, *args: object) -> None:
        """Quiet."""


@contextmanager
def google_running() -> Iterator[GoogleServer]:
    """A server that runs until the block ends."""
    google = GoogleServer()
    google.start()
    try:
        yield google
    finally:
        google.stop()


def claims_of(assertion: str) -> dict[str, Any]:
    """The claims of a JWT, without looking at its signature."""
    part = assertion.split(".")[1]
    claims: dict[str, Any] = json.loads(base64.urlsafe_b64decode(part + "=" * (-len(part) % 4)))
    return claims
