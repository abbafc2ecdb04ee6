"""A proxy that stands between a worker and the provider, and spoils what it is told to.

Speaks as much HTTP as it needs to know where a message ends. A fault named `…-before` strikes when the request has
come and the provider has not seen it; every other one when the provider has done its work.
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
#: Seconds; longer than the worker of a play waits, as 90 s are longer than one in the field does.
SILENCE = 3.0
BAD_GATEWAY = b"HTTP/1.1 502 Bad Gateway\r\ncontent-type: text/html\r\ncontent-length: 16\r\n\r\n<html>502</html>"


class Proxy:
    """Listens while its thread runs. `plan` says which posts meet which fault, counted from 1; 0 takes a free port."""

    def __init__(self, upstream: str, plan: Mapping[int, str], port: int = 0) -> None:
        parts = urlsplit(upstream)
        self._host, self._port = parts.hostname or "", parts.port or 80
        self._plan = plan
        self.posts = self.spoilt = 0
        self._listener = socket.create_server(("127.0.0.1", port))
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}"
        self._loop = asyncio.new_event_loop()
        self._stopped = asyncio.Event()
        self._thread = threading.Thread(target=self._run, name="proxy", daemon=True)

    def start(self) -> None:
        """Take connections."""
        self._thread.start()

    def stop(self) -> None:
        """Drop all connections."""
        self._loop.call_soon_threadsafe(self._stopped.set)
        self._thread.join()

    def _run(self) -> None:
        # Its end drops what is still connected.
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
        """One request and its answer; whether the connection stays."""
        request = await _message(reader)
        fault = self._next_fault() if request.startswith(b"POST") else ""
        if fault.endswith("-before"):
            return await client.give(b"", spoilt_by=fault.removesuffix("-before"))
        upstream_reader, upstream = await asyncio.open_connection(self._host, self._port)
        with contextlib.closing(upstream):
            upstream.write(request)
            answer = await _message(upstream_reader)
        return await client.give(answer, spoilt_by=fault.removesuffix("-after"))

    def _next_fault(self) -> str:
        self.posts += 1
        fault = self._plan.get(self.posts, "")
        self.spoilt += bool(fault)
        return fault


async def _message(reader: asyncio.StreamReader) -> bytes:
    """A whole request or answer."""
    head = await reader.readuntil(b"\r\n\r\n")
    lines = head.lower().split(b"\r\n")
    length = next((int(line.partition(b":")[2]) for line in lines if line.startswith(b"content-length:")), 0)
    return head + await reader.readexactly(length)


@dataclass(slots=True)
class _Client:
    """The connection of a worker."""

    writer: asyncio.StreamWriter
    late: bytes = b""
    """What it gets before its next answer: a copy of the last one, for which it did not ask."""

    async def give(self, answer: bytes, *, spoilt_by: str) -> bool:
        """Write what the fault makes of the answer; whether the connection stays."""
        if spoilt_by == "reset":
            connection = self.writer.get_extra_info("socket")
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            self.writer.transport.abort()
        elif spoilt_by == "silence":
            await asyncio.sleep(SILENCE)
        elif spoilt_by == "cut-head":
            self.writer.write(answer[:20])
        elif spoilt_by == "cut-body":
            self.writer.write(answer[: answer.index(b"\r\n\r\n") + 40])
        elif spoilt_by == "slow":
            await self._drip(answer)
        else:
            whole = {"html-502": BAD_GATEWAY, "duplicate": answer * 2}.get(spoilt_by, answer)
            self.writer.write(self.late + whole)
            self.late = answer if spoilt_by == "duplicate-late" else b""
        await self.writer.drain()
        return spoilt_by in ("", "html-502", "duplicate", "duplicate-late", "slow")

    async def _drip(self, answer: bytes) -> None:
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
