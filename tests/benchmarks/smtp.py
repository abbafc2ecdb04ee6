"""Sending by SMTP: CPU seconds of a worker and of PostgreSQL; mails of 60 to 74 KB go to a sink on this machine."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time

from tests.benchmarks.cpu import postgresql_cpu_seconds, tree_cpu_seconds
from tests.benchmarks.rows import Row
from tests.benchmarks.smtp_sink import running_smtp_sink
from tests.postgresql import cluster, server_programs

RECIPIENTS = 10_000


def measure() -> list[Row]:
    """Send one issue to 10,000 recipients on each database that is installed, with the worker's own loop."""
    with tempfile.TemporaryDirectory(prefix="newsletter-bench-") as folder:
        rows = _measure_database("SQLite", f"sqlite:///{folder}/bench.sqlite3")
    programs = server_programs()
    if programs is None:
        return [*rows, Row("SMTP on PostgreSQL: not measured, because it is not installed", 0, "")]
    with cluster(programs) as url:
        return [*rows, *_measure_database("PostgreSQL", url)]


def _measure_database(database: str, url: str) -> list[Row]:
    with running_smtp_sink() as sink:
        environment = {
            **os.environ,
            "TEST_DATABASE_URL": url,
            "DJANGO_SETTINGS_MODULE": "tests.settings",
            "SINK_PORT": str(sink.port),
        }
        command = [sys.executable, "-m", "tests.benchmarks.smtp"]
        with subprocess.Popen(
            command, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        ) as child:
            assert child.stdin is not None
            assert child.stdout is not None
            child.stdout.readline()
            is_postgresql = not url.startswith("sqlite")
            server = postgresql_cpu_seconds(url) if is_postgresql else 0.0
            cpu, started, (mails, octets) = tree_cpu_seconds(child.pid), time.perf_counter(), sink.counts()
            child.stdin.write("go\n")
            child.stdin.flush()
            memory = json.loads(child.stdout.readline())["memory"]
            seconds = time.perf_counter() - started
            cpu = tree_cpu_seconds(child.pid) - cpu
            server = postgresql_cpu_seconds(url) - server if is_postgresql else 0.0
            after = sink.counts()
        mails, octets = after[0] - mails, after[1] - octets
    of_the_server = Row("SMTP: CPU of PostgreSQL", server * 100_000 / mails, "s/100,000", "<= 20")
    return [
        Row(f"SMTP, {database}: CPU of the worker", cpu * 100_000 / mails, "s/100,000", "<= 40"),
        *([of_the_server] if is_postgresql else []),
        Row(f"SMTP, {database}: one worker", mails / seconds, "messages/s", ">= 1,000"),
        Row(f"SMTP, {database}: memory of the worker", memory, "MB", "<= 200"),
        Row(f"SMTP, {database}: size of a mail", octets / mails / 1e3, "KB"),
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

    settings.PROVIDER, settings.EMAIL_HOST, settings.EMAIL_USE_TLS = "smtp", "127.0.0.1", False
    settings.EMAIL_PORT = int(os.environ["SINK_PORT"])
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
