"""A provider that accepts every message and only counts, in a process of its own: `python -m tests.benchmarks.sink`.

It does as little as an answer with one id per message allows, because its own work is not measured. GET returns the
number of messages and bytes, and the time of the first post in seconds since 1970.
"""

from __future__ import annotations

import itertools
import json
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

MESSAGE_START = b'{"from":'


class Sink(BaseHTTPRequestHandler):
    """Answers each batch with fresh ids."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    numbers = itertools.count()
    received = {"messages": 0, "bytes": 0, "first_at": 0.0}

    def do_POST(self) -> None:
        """Count the messages of a batch, and answer."""
        body = self.rfile.read(int(self.headers["Content-Length"]))
        count = body.count(MESSAGE_START)
        ids = [{"id": f"sink-{next(self.numbers)}"} for _ in range(count)]
        self.received["messages"] += count
        self.received["bytes"] += len(body)
        self.received["first_at"] = self.received["first_at"] or time.time()
        self._answer({"data": ids})

    def do_GET(self) -> None:
        """Answer with the counts."""
        self._answer(self.received)

    def _answer(self, value: Any) -> None:
        answer = json.dumps(value).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(answer)))
        self.send_header("ratelimit-limit", "100000")
        self.end_headers()
        self.wfile.write(answer)

    def log_message(self, format: str, *args: object) -> None:
        """Log nothing."""


@contextmanager
def running_sink() -> Iterator[str]:
    """A running sink; gives its URL."""
    command = [sys.executable, "-m", "tests.benchmarks.sink"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        yield f"http://127.0.0.1:{process.stdout.readline().strip()}"
        process.terminate()


def received_by(url: str) -> dict[str, float]:
    """The counts of the sink at this URL."""
    with urllib.request.urlopen(url, timeout=10) as answer:
        result: dict[str, float] = json.load(answer)
    return result


if __name__ == "__main__":
    with ThreadingHTTPServer(("127.0.0.1", 0), Sink) as server:
        print(server.server_address[1], flush=True)
        server.serve_forever()
