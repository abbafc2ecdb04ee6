"""Peers of the sandbox in these tests: a client of its API, a receiver of its webhooks, and a clock."""

from __future__ import annotations

import http.server
import threading
from collections import deque
from dataclasses import dataclass, field
from typing import Any, cast

import orjson
import resend
import urllib3

from newsletter.sandbox import SandboxServer

ADA = "ada@readers.test"
BEN = "ben@readers.test"
CLEO = "cleo@readers.test"

SECRET = "whsec_" + "c2FuZGJveC1zZWNyZXQtb25l" * 2
NEXT_SECRET = "whsec_" + "c2FuZGJveC1zZWNyZXQtdHdv" * 2

Json = dict[str, Any]


def mail(to: str | list[str] = ADA, **fields: Any) -> Json:
    """A valid mail; None removes a field."""
    fields = {
        "from": "The Digest <digest@letters.test>",
        "to": to,
        "subject": "Eleven stories",
        "html": '<p>Read <a href="https://stories.test/one?a=1&amp;b=2">the first</a>.</p>',
        "text": "Read the first: https://stories.test/one?a=1&b=2",
        **fields,
    }
    return {name: value for name, value in fields.items() if value is not None}


class Clock:
    """A clock that advances only by `advance`."""

    def __init__(self, now: float = 1_790_000_000.0) -> None:
        self.now = now

    def __call__(self) -> float:
        return self.now

    def advance(self, seconds: float) -> None:
        """Advance the clock."""
        self.now += seconds


@dataclass
class Caller:
    """A client with an API key and a keep-alive connection."""

    url: str
    key: str | None = "re_sandbox"
    agent: str | None = "tests/1.0"
    pool: urllib3.PoolManager = field(default_factory=lambda: urllib3.PoolManager(retries=False, timeout=20))

    def call(
        self, method: str, path: str, body: object = None, headers: dict[str, str] | None = None
    ) -> urllib3.BaseHTTPResponse:
        """One call; `body` is sent as JSON, and bytes unchanged."""
        sent = body if isinstance(body, bytes) or body is None else orjson.dumps(body)
        known = {
            # Otherwise urllib3 adds its own User-Agent.
            "user-agent": self.agent or urllib3.util.SKIP_HEADER,
            "content-type": "application/json",
            **({"authorization": f"Bearer {self.key}"} if self.key else {}),
            **(headers or {}),
        }
        return self.pool.request(method, self.url + path, body=sent, headers=known, redirect=False)

    def send(self, *mails: Json, key: str | None = None, **headers: str) -> urllib3.BaseHTTPResponse:
        """POST /emails/batch."""
        names = {name.replace("_", "-"): value for name, value in headers.items()}
        return self.call("POST", "/emails/batch", list(mails), {**names, **({"idempotency-key": key} if key else {})})

    def send_one(self, one: Json, key: str | None = None) -> urllib3.BaseHTTPResponse:
        """POST /emails."""
        return self.call("POST", "/emails", one, {"idempotency-key": key} if key else None)

    def ledger(self, query: str = "") -> Json:
        """The sandbox's summary of the accepted mails."""
        summary: Json = self.call("GET", f"/sandbox/ledger{query}").json()
        return summary

    def close(self) -> None:
        """Close the connections."""
        self.pool.clear()


@dataclass(frozen=True)
class Received:
    """One POST that the receiver got."""

    headers: dict[str, str]
    body: bytes

    @property
    def event(self) -> Json:
        """The parsed body."""
        event: Json = orjson.loads(self.body)
        return event

    @property
    def id(self) -> str:
        """The event's id, the same on every try."""
        return self.headers["svix-id"]

    def verified(self, secret: str = SECRET) -> Json:
        """The event, verified by Resend's SDK. Raises ValueError if the signature is invalid."""
        return verify(self.body, self.headers, secret)


def verify(body: bytes, headers: dict[str, str], secret: str) -> Json:
    """Verify an event with Resend's SDK. Raises ValueError if the signature is invalid."""
    signed: resend.VerifyWebhookOptions = {
        "payload": body.decode(),
        "headers": {
            "id": headers["svix-id"],
            "timestamp": headers["svix-timestamp"],
            "signature": headers["svix-signature"],
        },
        "webhook_secret": secret,
    }
    return cast(Json, resend.Webhooks.verify(signed))


class Receiver:
    """A webhook endpoint on a free port. It answers the planned statuses, then 200."""

    def __init__(self) -> None:
        self.received: list[Received] = []
        self.answers: deque[int] = deque()
        self.arrived = threading.Condition()
        self._server = _ReceiverServer(self)
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True)
        self._thread.start()

    @property
    def url(self) -> str:
        """The URL to post to."""
        return f"http://127.0.0.1:{self._server.server_address[1]}/webhooks/resend/"

    def store(self, received: Received) -> int:
        """Store a POST and return the status of the answer."""
        with self.arrived:
            self.received.append(received)
            self.arrived.notify_all()
            return self.answers.popleft() if self.answers else 200

    def wait_for(self, count: int, timeout: float = 10.0) -> list[Received]:
        """All received events, as soon as there are `count`."""
        with self.arrived:
            assert self.arrived.wait_for(lambda: len(self.received) >= count, timeout), f"only {len(self.received)}"
            return list(self.received)

    @property
    def types(self) -> list[str]:
        """Types of the received events, in order."""
        return [received.event["type"] for received in self.received]

    def close(self) -> None:
        """Stop listening."""
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()


class _ReceiverServer(http.server.ThreadingHTTPServer):
    block_on_close = False

    def __init__(self, receiver: Receiver) -> None:
        self.receiver = receiver
        super().__init__(("127.0.0.1", 0), _ReceiverHandler)


class _ReceiverHandler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: _ReceiverServer

    def do_POST(self) -> None:
        """Receive an event."""
        body = self.rfile.read(int(self.headers["content-length"]))
        headers = {name.lower(): value for name, value in self.headers.items()}
        self.send_response(self.server.receiver.store(Received(headers, body)))
        self.send_header("content-length", "0")
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:
        """Do not log."""


def wait_until(sandbox: SandboxServer, condition: Any, timeout: float = 10.0) -> None:
    """Wait until a condition of a sandbox is true."""
    changed = sandbox.team.database.changed
    with changed:
        assert changed.wait_for(condition, timeout), "the condition is not true in time"
