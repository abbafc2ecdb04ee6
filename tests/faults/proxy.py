"""A proxy between a worker and the provider that injects network faults.

It knows just enough HTTP to find the end of a message. A fault named `…-before` happens before the provider gets the
request, every other one after the provider has processed it.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import struct
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from urllib.parse import urlsplit

FAULTS = (
    "reset-before", "reset-after", "html-502-before", "html-502-after", "silence-before", "silence-after",
    "cut-head", "cut-body", "duplicate", "duplicate-late", "slow",
)  # fmt: skip
#: Seconds. Longer than the workers of these tests wait for an answer.
SILENCE = 3.0
BAD_GATEWAY = b"HTTP/1.1 502 Bad Gateway\r\ncontent-type: text/html\r\ncontent-length: 16\r\n\r\n<html>502</html>"


class Proxy:
    """Listens while its thread runs. `plan` maps posts, counted from 1, to faults. Port 0 takes a free port."""

    def __init__(self, upstream: str, plan: Mapping[int, str], port: int = 0) -> None:
        parts = urlsplit(upstream)
        self._host, self._port = parts.hostname or "", parts.port or 80
        self._plan = plan
        self.posts = self.broken = 0
        self._listener = socket.create_server(("127.0.0.1", port))
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}"
        self._loop = asyncio.new_event_loop()
        self._stopped = asyncio.Event()
        self._thread = threading.Thread(target=self._run, name="proxy", daemon=True)

    def start(self) -> None:
        """Accept connections."""
        self._thread.start()

    def stop(self) -> None:
        """Drop all connections."""
        self._loop.call_soon_threadsafe(self._stopped.set)
        self._thread.join()

    def _run(self) -> None:
        # The end of the loop drops open connections.
        with asyncio.Runner(loop_factory=lambda: self._loop) as runner:
            runner.run(self._listen())

    async def _listen(self) -> None:
        server = await asyncio.start_server(self._serve, sock=self._listener)
        await self._stopped.wait()
        server.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        client = _Client(writer)
        try:
            with contextlib.suppress(asyncio.IncompleteReadError, asyncio.CancelledError, ConnectionError):
                while await self._exchange(reader, client):
                    pass
        finally:
            writer.close()

    async def _exchange(self, reader: asyncio.StreamReader, client: _Client) -> bool:
        """Pass on one request and its answer; whether the connection stays open."""
        request = await _message(reader)
        fault = self._next_fault() if request.startswith(b"POST") else ""
        if fault.endswith("-before"):
            return await client.send(b"", fault=fault.removesuffix("-before"))
        upstream_reader, upstream = await asyncio.open_connection(self._host, self._port)
        with contextlib.closing(upstream):
            upstream.write(request)
            answer = await _message(upstream_reader)
        return await client.send(answer, fault=fault.removesuffix("-after"))

    def _next_fault(self) -> str:
        self.posts += 1
        fault = self._plan.get(self.posts, "")
        self.broken += bool(fault)
        return fault


async def _message(reader: asyncio.StreamReader) -> bytes:
    """A complete request or answer."""
    head = await reader.readuntil(b"\r\n\r\n")
    lines = head.lower().split(b"\r\n")
    length = next((int(line.partition(b":")[2]) for line in lines if line.startswith(b"content-length:")), 0)
    return head + await reader.readexactly(length)


@dataclass(slots=True)
class _Client:
    """The connection of a worker."""

    writer: asyncio.StreamWriter
    late: bytes = b""
    """Sent before the next answer: a copy of the last one."""

    async def send(self, answer: bytes, *, fault: str) -> bool:
        """Write the answer as the fault changes it; whether the connection stays open."""
        if fault == "reset":
            connection = self.writer.get_extra_info("socket")
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            self.writer.transport.abort()
        elif fault == "silence":
            await asyncio.sleep(SILENCE)
        elif fault == "cut-head":
            self.writer.write(answer[:20])
        elif fault == "cut-body":
            self.writer.write(answer[: answer.index(b"\r\n\r\n") + 40])
        elif fault == "slow":
            await self._send_slowly(answer)
        else:
            whole = {"html-502": BAD_GATEWAY, "duplicate": answer * 2}.get(fault, answer)
            self.writer.write(self.late + whole)
            self.late = answer if fault == "duplicate-late" else b""
        await self.writer.drain()
        return fault in ("", "html-502", "duplicate", "duplicate-late", "slow")

    async def _send_slowly(self, answer: bytes) -> None:
        for start in range(0, len(answer), 64):
            self.writer.write(answer[start : start + 64])
            await self.writer.drain()
            await asyncio.sleep(0.005)


@contextmanager
def proxy_to(upstream: str, plan: Mapping[int, str], port: int = 0) -> Iterator[Proxy]:
    """A proxy in a thread of this process."""
    proxy = Proxy(upstream, plan, port)
    proxy.start()
    try:
        yield proxy
    finally:
        proxy.stop()
