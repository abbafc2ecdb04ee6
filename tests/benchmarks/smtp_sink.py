"""A mail server that accepts every mail and counts, in a process of its own: `python -m tests.benchmarks.smtp_sink`.

It offers PIPELINING and looks at each mail's end only, because its own work is not measured. It writes its port, and,
for each line that it reads from its input, the number of mails and octets that it has accepted.
"""

from __future__ import annotations

import asyncio
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

END = b"\r\n.\r\n"
COUNTS = {"mails": 0, "octets": 0}


class Sink(asyncio.Protocol):
    """One connection."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Greet."""
        assert isinstance(transport, asyncio.Transport)
        self._transport, self._tail, self._in_mail = transport, b"", False
        transport.write(b"220 sink\r\n")

    def data_received(self, data: bytes) -> None:
        """Answer all commands and mails that are complete."""
        replies = []
        data = self._tail + data
        while True:
            if self._in_mail:
                end = data.find(END)
                if end < 0:
                    # Only the end of a mail matters.
                    COUNTS["octets"] += max(0, len(data) - len(END))
                    data = data[-len(END) :]
                    break
                COUNTS["octets"] += end
                COUNTS["mails"] += 1
                data, self._in_mail = data[end + len(END) :], False
                replies.append(b"250 accepted\r\n")
            else:
                line, found, rest = data.partition(b"\r\n")
                if not found:
                    break
                data = rest
                replies.append(self._answer(line[:4].upper()))
        self._tail = data
        self._transport.write(b"".join(replies))

    def _answer(self, verb: bytes) -> bytes:
        if verb == b"EHLO":
            return b"250-sink\r\n250-SIZE 10000000\r\n250 PIPELINING\r\n"
        if verb == b"DATA":
            self._in_mail = True
            return b"354 go on\r\n"
        if verb == b"QUIT":
            return b"221 bye\r\n"
        return b"250 ok\r\n"


class SmtpSink:
    """A running sink, at `port`."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process
        self.port = int(self._read())

    def counts(self) -> tuple[int, int]:
        """Mails and octets that it has accepted."""
        assert self._process.stdin is not None
        self._process.stdin.write("\n")
        self._process.stdin.flush()
        mails, octets = self._read().split()
        return int(mails), int(octets)

    def _read(self) -> str:
        assert self._process.stdout is not None
        return self._process.stdout.readline()


@contextmanager
def running_smtp_sink() -> Iterator[SmtpSink]:
    """A sink until the block ends."""
    command = [sys.executable, "-m", "tests.benchmarks.smtp_sink"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        yield SmtpSink(process)
        process.terminate()


async def _serve() -> None:
    loop = asyncio.get_running_loop()
    server = await loop.create_server(Sink, "127.0.0.1", 0)
    print(server.sockets[0].getsockname()[1], flush=True)
    loop.add_reader(sys.stdin, _report)
    await server.serve_forever()


def _report() -> None:
    if not sys.stdin.readline():
        sys.exit()
    print(COUNTS["mails"], COUNTS["octets"], flush=True)


if __name__ == "__main__":
    asyncio.run(_serve())
