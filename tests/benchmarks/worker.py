"""One worker by API and by SMTP: its CPU seconds and PostgreSQL's, for mails of 60 KB to a sink on this machine."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from tests.benchmarks.cpu import postgresql_cpu_seconds, tree_cpu_seconds
from tests.benchmarks.rows import Row
from tests.benchmarks.sink import received_by, running_sink
from tests.benchmarks.smtp_sink import running_smtp_sink
from tests.postgresql import cluster, server_programs

RECIPIENTS = 10_000


@dataclass(frozen=True, slots=True)
class Target:
    """Where the mails go, and the goals in CPU seconds per 100,000 mails and in mails per second."""

    environment: dict[str, str]
    counts: Callable[[], tuple[float, float]]
    """Mails and octets so far."""
    worker_goal: str
    server_goal: str
    rate_goal: str = ""


@contextmanager
def _api() -> Iterator[Target]:
    def counts() -> tuple[float, float]:
        received = received_by(url)
        return received["messages"], received["bytes"]

    with running_sink() as url:
        yield Target({"SINK_URL": url}, counts, "<= 28", "<= 8")


@contextmanager
def _smtp() -> Iterator[Target]:
    with running_smtp_sink() as sink:
        yield Target({"SINK_PORT": str(sink.port)}, sink.counts, "<= 40", "<= 20", ">= 1,000")


TRANSPORTS = {"API": _api, "SMTP": _smtp}


def measure() -> list[Row]:
    """Send one issue to 10,000 recipients by each transport on each database that is installed."""
    return [row for transport in TRANSPORTS for row in _measure_transport(transport)]


def _measure_transport(transport: str) -> list[Row]:
    with tempfile.TemporaryDirectory(prefix="newsletter-bench-") as folder:
        rows = _measure_database(transport, "SQLite", f"sqlite:///{folder}/bench.sqlite3")
    programs = server_programs()
    if programs is None:
        return [*rows, Row(f"{transport} on PostgreSQL: not measured, because it is not installed", 0, "")]
    with cluster(programs) as url:
        return [*rows, *_measure_database(transport, "PostgreSQL", url)]


def _measure_database(transport: str, database: str, url: str) -> list[Row]:
    with TRANSPORTS[transport]() as target:
        environment = {
            **os.environ,
            "TEST_DATABASE_URL": url,
            "DJANGO_SETTINGS_MODULE": "tests.settings",
            **target.environment,
        }
        command = [sys.executable, "-m", "tests.benchmarks.worker"]
        with subprocess.Popen(
            command, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        ) as child:
            assert child.stdin is not None
            assert child.stdout is not None
            child.stdout.readline()
            is_postgresql = not url.startswith("sqlite")
            server = postgresql_cpu_seconds(url) if is_postgresql else 0.0
            cpu, started, before = tree_cpu_seconds(child.pid), time.perf_counter(), target.counts()
            child.stdin.write("go\n")
            child.stdin.flush()
            memory = json.loads(child.stdout.readline())["memory"]
            seconds = time.perf_counter() - started
            cpu = tree_cpu_seconds(child.pid) - cpu
            server = postgresql_cpu_seconds(url) - server if is_postgresql else 0.0
            mails, octets = (now - then for now, then in zip(target.counts(), before, strict=True))
    name = f"{transport}, {database}"
    of_server = Row(f"{name}: CPU of PostgreSQL", server * 100_000 / mails, "s/100,000", target.server_goal)
    return [
        Row(f"{name}: CPU of the worker", cpu * 100_000 / mails, "s/100,000", target.worker_goal),
        *([of_server] if is_postgresql else []),
        Row(f"{name}: one worker", mails / seconds, "messages/s", target.rate_goal),
        Row(f"{name}: memory of the worker", memory, "MB", "<= 200"),
        Row(f"{name}: size of a mail", octets / mails / 1e3, "KB"),
    ]


def _run() -> None:
    """In the child: prepare a database, wait for a line, and send everything."""
    import django

    django.setup()
    from django.conf import settings
    from django.core.management import call_command
    from django.db import connection

    from newsletter.models import Batch, ProviderThrottle
    from newsletter.providers import get_provider
    from newsletter.sending.expand import expand_audience
    from newsletter.sending.post import post_batch
    from newsletter.worker.loop import work_until_idle
    from subscribers.imports.confirmed import import_confirmed
    from tests.benchmarks.fleet import _memory
    from tests.publications import expand_audiences, make_issue, start_sending

    if port := os.environ.get("SINK_PORT"):
        settings.PROVIDER, settings.EMAIL_HOST, settings.EMAIL_USE_TLS = "smtp", "127.0.0.1", False
        settings.EMAIL_PORT = int(port)
    else:
        settings.PROVIDER_URL = os.environ["SINK_URL"]
    call_command("migrate", verbosity=0)
    issue = make_issue(stories=62)
    addresses = (f"reader-{number}@readers.example" for number in range(RECIPIENTS + 100))
    import_confirmed(issue.newsletter, addresses, proof="Made for a measurement.")
    start_sending(issue)
    provider = get_provider()
    expand_audiences(provider.batch_size)
    if connection.vendor == "postgresql":
        with connection.cursor() as cursor:
            cursor.execute("VACUUM ANALYZE")
    # Not measured: work that a process does once, and the first posts at the rate of an unknown server.
    assert post_batch((provider,))
    assert ProviderThrottle.objects.get().rate
    print("ready", flush=True)
    sys.stdin.readline()
    work_until_idle()
    print(json.dumps({"memory": _memory()}), flush=True)
    assert Batch.objects.filter(state="accepted").count() == RECIPIENTS // 100 + 1
    assert not expand_audience(provider.batch_size)


if __name__ == "__main__":
    _run()
