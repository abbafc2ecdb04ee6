"""HTTP without a client library: requests that no library sends, such as half ones."""

from __future__ import annotations

import base64
import contextlib
import hmac
import socket
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from http.client import HTTPResponse
from typing import Any
from urllib.parse import urlsplit


@dataclass(frozen=True)
class Answer:
    """A response that has arrived whole, and the seconds that it took."""

    status: int
    headers: Mapping[str, str]
    body: bytes
    seconds: float

    @property
    def text(self) -> str:
        """The body as text."""
        return self.body.decode()


def head_of(method: str, path: str, headers: Mapping[str, str]) -> bytes:
    """The head of a request, without the empty line that ends it."""
    lines = [f"{method} {path} HTTP/1.1", *(f"{name}: {value}" for name, value in headers.items())]
    return "".join(f"{line}\r\n" for line in lines).encode()


def in_chunks(body: bytes, size: int = 7) -> Iterator[bytes]:
    """The body with `Transfer-Encoding: chunked` (RFC 9112 §7.1)."""
    for start in range(0, len(body), size):
        chunk = body[start : start + size]
        yield b"%x\r\n%s\r\n" % (len(chunk), chunk)
    yield b"0\r\n\r\n"


def send(connection: socket.socket, *parts: bytes) -> Answer:
    """Send the bytes in these parts, and read one response."""
    began = time.monotonic()
    for part in parts:
        connection.sendall(part)
    is_head = b"".join(parts[:1]).startswith(b"HEAD ")
    with HTTPResponse(connection, method="HEAD" if is_head else None) as response:
        response.begin()
        body = response.read()
        headers = {name.lower(): value for name, value in response.getheaders()}
        return Answer(response.status, headers, body, time.monotonic() - began)


class RawClient:
    """Sends requests to one site."""

    def __init__(self, site_url: str) -> None:
        parts = urlsplit(site_url)
        self._address = (parts.hostname or "", parts.port or 80)
        self.host = parts.netloc

    def connect(self) -> socket.socket:
        """A new connection."""
        return socket.create_connection(self._address, timeout=30)

    def get(self, path: str, **headers: str) -> Answer:
        """One GET request on its own connection."""
        with self.connect() as connection:
            head = head_of("GET", path, {"Host": self.host, "Connection": "close", **headers})
            return send(connection, head + b"\r\n")

    def post_in_chunks(self, path: str, body: bytes, headers: Mapping[str, str] | None = None) -> Answer:
        """One POST request with a chunked body on its own connection."""
        chunked = {"Host": self.host, "Transfer-Encoding": "chunked", "Connection": "close", **(headers or {})}
        with self.connect() as connection:
            return send(connection, head_of("POST", path, chunked) + b"\r\n", *in_chunks(body))

    @contextmanager
    def slow_clients(self, count: int) -> Iterator[list[socket.socket]]:
        """Connections that send ten bytes a second: half of them in a head, half in a body, none to its end."""
        head = head_of("POST", "/webhooks/resend/", {"Host": self.host, "Content-Length": "5000"})
        clients = [self.connect() for _ in range(count)]
        done = threading.Event()

        def drip() -> None:
            while not done.wait(0.1):
                for client in clients:
                    with contextlib.suppress(OSError):  # the server has given up on it
                        client.sendall(b"x")

        for number, client in enumerate(clients):
            client.sendall(head if number % 2 else head + b"\r\n")
        thread = threading.Thread(target=drip, name="slow clients")
        thread.start()
        try:
            yield clients
        finally:
            done.set()
            thread.join()
            for client in clients:
                client.close()


def webhook_headers(secret: str, body: bytes, event_id: str, *, at: float | None = None) -> dict[str, str]:
    """The headers of a signed webhook (Standard Webhooks). `at` is its time, now by default."""
    timestamp = str(int(time.time() if at is None else at))
    key = base64.b64decode(secret.removeprefix("whsec_"))
    digest = hmac.digest(key, f"{event_id}.{timestamp}.".encode() + body, "sha256")
    signature = "v1," + base64.b64encode(digest).decode()
    signed: dict[str, Any] = {"svix-id": event_id, "svix-timestamp": timestamp, "svix-signature": signature}
    return {"Content-Type": "application/json", **signed}
