"""A provider that takes everything and remembers nothing, in a process of its own: `python -m tests.benchmarks.sink`.

Its work is not what is measured, so it does as little as an answer with one id per message allows.
"""

from __future__ import annotations

import itertools
import json
from http.server import BaseHTTPRequestHandler, HTTPServer

MESSAGE_START = b'{"from":'


class Sink(BaseHTTPRequestHandler):
    """Answers each batch with fresh ids."""

    protocol_version = "HTTP/1.1"
    numbers = itertools.count()

    def do_POST(self) -> None:
        """Read, count, answer."""
        body = self.rfile.read(int(self.headers["Content-Length"]))
        ids = [{"id": f"sink-{next(self.numbers)}"} for _ in range(body.count(MESSAGE_START))]
        answer = json.dumps({"data": ids}).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(answer)))
        self.send_header("ratelimit-limit", "100000")
        self.end_headers()
        self.wfile.write(answer)

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing."""


if __name__ == "__main__":
    with HTTPServer(("127.0.0.1", 0), Sink) as server:
        print(server.server_address[1], flush=True)
        server.serve_forever()
