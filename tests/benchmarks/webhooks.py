"""The webhook inbox as it is shipped: gunicorn with gunicorn.conf.py, PostgreSQL that waits for the disk, 8 clients.

They are connections of two processes: `python -m tests.benchmarks.webhooks HOST:PORT SECRET EVENTS CONNECTIONS`. Each
signs its events, writes a line, waits for one, posts its events, and prints the seconds that each of them took.
"""

from __future__ import annotations

import json
import selectors
import socket
import statistics
import subprocess
import sys
import tempfile
import time
import uuid
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import psycopg

from tests.benchmarks.cpu import postgresql_cpu_seconds, tree_cpu_seconds
from tests.benchmarks.rows import Row
from tests.installation import SeparateInstallation
from tests.postgresql import cluster, server_programs
from tests.raw_http import head_of, webhook_headers

EVENTS, QUICK_EVENTS = 40_000, 5_000
#: Not measured: new connections, the preparing of statements, the first pages of the table.
WARM_UP = 1_000
#: Processes of clients, and connections of each.
CLIENTS, CONNECTIONS = 2, 4


@dataclass(frozen=True, slots=True)
class Measurement:
    """CPU and wall time are in seconds; `waits` has the seconds of each event."""

    app: float
    database: float
    wall: float
    waits: list[float]

    def rows(self) -> list[Row]:
        """The lines of the table."""
        count, percentiles = len(self.waits), statistics.quantiles(self.waits, n=100)
        return [
            Row("Webhooks: accepted", count / self.wall, "events/s", ">= 2,500"),
            Row("Webhooks: CPU of the web server", self.app * 1000 / count, "ms/event", "<= 0.45"),
            Row("Webhooks: CPU of PostgreSQL", self.database * 1000 / count, "ms/event", "<= 0.25"),
            Row("Webhooks: median time of a response", percentiles[49] * 1000, "ms"),
            Row("Webhooks: 99th percentile", percentiles[98] * 1000, "ms", "<= 25"),
        ]


def measure(*, quick: bool = False, large: bool = False) -> list[Row]:
    """Post signed events of 500 bytes to a new installation."""
    programs = server_programs()
    if programs is None:
        return [Row("Webhooks: not measured, because PostgreSQL is not installed", 0, "")]
    with tempfile.TemporaryDirectory(prefix="newsletter-bench-") as folder, cluster(programs, durable=True) as url:
        installation = SeparateInstallation(Path(folder), url)
        installation.run("manage.py", "migrate", "--verbosity", "0")
        secret = installation.prepare_site(1).webhook_secret
        with installation.processes:
            server = installation.processes.start_web().pid
            _post(installation, secret, WARM_UP)
            events = QUICK_EVENTS if quick else EVENTS
            app, database = tree_cpu_seconds(server), postgresql_cpu_seconds(url)
            wall, waits = _post(installation, secret, events)
            measured = Measurement(
                app=tree_cpu_seconds(server) - app,
                database=postgresql_cpu_seconds(url) - database,
                wall=wall,
                waits=waits,
            )
        with psycopg.connect(url) as connection:
            stored = connection.execute("SELECT count(*) FROM newsletter_event").fetchone()
        assert stored == (events + WARM_UP,)
    return measured.rows()


def _post(installation: SeparateInstallation, secret: str, events: int) -> tuple[float, list[float]]:
    """Let all clients together post so many events; the seconds of all, and of each."""
    host = installation.environment["SITE_URL"].removeprefix("http://")
    arguments = [host, secret, str(events // CLIENTS), str(CONNECTIONS)]
    command = [sys.executable, "-m", "tests.benchmarks.webhooks", *arguments]
    with ExitStack() as stack:
        clients = [
            stack.enter_context(
                subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1)
            )
            for _ in range(CLIENTS)
        ]
        for client in clients:
            assert client.stdout is not None
            assert client.stdout.readline() == "ready\n"
        began = time.perf_counter()
        for client in clients:
            assert client.stdin is not None
            client.stdin.write("go\n")
        answers = [client.stdout.readline() for client in clients if client.stdout is not None]
        wall = time.perf_counter() - began
        return wall, [wait for answer in answers for wait in json.loads(answer)]


def signed_request(host: str, secret: str) -> bytes:
    """A whole request with an event of 500 bytes."""
    event = {
        "type": "email.delivered",
        "created_at": "2026-11-28T07:00:00.000Z",
        "data": {
            "created_at": "2026-11-28T06:59:58.000Z",
            "email_id": str(uuid.uuid4()),
            "from": "Harbour Notes <notes@mail.example.org>",
            "to": ["reader-123456@readers.example"],
            "subject": "Taller cranes at quay 3",
            "tags": {"delivery": "123456", "edition": "12", "env": "outside"},
            "headers": [{"name": "List-Id", "value": "<harbour-notes.digest.example.org>"}],
        },
    }
    body = json.dumps(event).encode()
    headers = webhook_headers(secret, body, f"msg_{uuid.uuid4().hex}")
    return head_of("POST", "/webhooks/resend/", {"Host": host, "Content-Length": str(len(body)), **headers}) + (
        b"\r\n" + body
    )


def _run(host: str, secret: str, events: int, connections: int) -> None:
    """In a client: post the events, one at a time on each connection."""
    requests = [signed_request(host, secret) for _ in range(events)]
    name, _, port = host.rpartition(":")
    waits: list[float] = []
    with selectors.DefaultSelector() as selector:
        opened = [socket.create_connection((name, int(port))) for _ in range(connections)]
        print("ready", flush=True)
        sys.stdin.readline()
        for number, connection in enumerate(opened):
            connection.sendall(requests.pop())
            selector.register(connection, selectors.EVENT_READ, (number, time.perf_counter()))
        while len(waits) < events:
            for key, _ in selector.select():
                connection = opened[key.data[0]]
                answer = connection.recv(4096)
                while not answer.endswith(b"\r\n\r\nok"):
                    more = connection.recv(4096)
                    assert more, answer
                    answer += more
                assert answer.startswith(b"HTTP/1.1 200 "), answer
                waits.append(time.perf_counter() - key.data[1])
                if requests:
                    connection.sendall(requests.pop())
                    selector.modify(connection, selectors.EVENT_READ, (key.data[0], time.perf_counter()))
        for connection in opened:
            connection.close()
    print(json.dumps([round(wait, 6) for wait in waits]), flush=True)


if __name__ == "__main__":
    _run(sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4]))
