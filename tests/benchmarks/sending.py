"""Sending: the work of one worker from claim to recorded outcome, posting to a sink on this machine."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable

from tests.benchmarks.rows import Row
from tests.benchmarks.sink import running_sink
from tests.postgresql import cluster, server_programs

RECIPIENTS = 5_000


def measure() -> list[Row]:
    """Send one issue to 5,000 recipients on each database that is installed, each in a process of its own."""
    rows = []
    with tempfile.TemporaryDirectory(prefix="newsletter-bench-") as folder:
        rows += _measure_database("SQLite", f"sqlite:///{folder}/bench.sqlite3")
    programs = server_programs()
    if programs is None:
        return [*rows, Row("sending on PostgreSQL: not measured, because it is not installed", 0, "")]
    with cluster(programs) as url:
        return [*rows, *_measure_database("PostgreSQL", url)]


def _measure_database(database: str, url: str) -> list[Row]:
    environment = {**os.environ, "TEST_DATABASE_URL": url, "DJANGO_SETTINGS_MODULE": "tests.settings"}
    command = [sys.executable, "-m", "tests.benchmarks.sending"]
    done = subprocess.run(command, env=environment, check=True, stdout=subprocess.PIPE, text=True)
    expanding, posting, seconds, stored = (float(figure) for figure in done.stdout.split())
    return [
        Row(f"{database}: expand 1,000 recipients", expanding * 1e6 / RECIPIENTS, "ms CPU"),
        Row(f"{database}: claim to outcome, 1,000 messages", posting * 1e6 / RECIPIENTS, "ms CPU"),
        Row(f"{database}: claim to outcome, one worker", RECIPIENTS / seconds, "messages/s"),
        Row(f"{database}: stored payload", stored, "bytes/message"),
    ]


def _cpu(work: Callable[[], object]) -> float:
    before = time.process_time()
    work()
    return time.process_time() - before


def _run() -> None:
    """In the child: prepare a database, expand and post, and print the results."""
    import django

    django.setup()
    from django.conf import settings
    from django.core.management import call_command
    from django.db.models.functions import Length

    from newsletter.models import Batch, Send
    from newsletter.providers import get_provider
    from newsletter.sending.batch import claim_batch
    from newsletter.sending.recipients import deliveries_of
    from subscribers.imports.confirmed import import_confirmed
    from tests.publications import expand_audiences, make_issue, post_everything, start_sending

    call_command("migrate", verbosity=0)
    issue = make_issue(stories=40)
    addresses = (f"reader-{number}@readers.example" for number in range(RECIPIENTS))
    import_confirmed(issue.newsletter, addresses, proof="Made for a measurement.")
    start_sending(issue)
    with running_sink() as url:
        settings.PROVIDER_URL = url
        provider = get_provider()
        expanding = _cpu(expand_audiences)
        started = time.perf_counter()
        posting = _cpu(lambda: post_everything(provider))
        seconds = time.perf_counter() - started
    assert Batch.objects.filter(state="accepted").count() == RECIPIENTS // 100
    # Accepted batches no longer have their payload: one is built again to measure it.
    first = Batch.objects.order_by("pk")[0]
    Send.objects.update(state="sending")
    Batch.objects.filter(pk=first.pk).update(state="ready", attempts=0)
    deliveries_of(first).update(state="pending")
    claim_batch(provider)
    stored = Batch.objects.annotate(size=Length("payload")).values_list("size", flat=True).get(pk=first.pk)
    print(expanding, posting, seconds, (stored or 0) / 100)


if __name__ == "__main__":
    _run()
