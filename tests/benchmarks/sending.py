"""Sending: the worker's own work for an issue, from claim to recorded outcome, against a sink on this machine."""

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

READERS = 5_000


def measure() -> list[Row]:
    """One issue to 5,000 readers on each database that is here; each in a process of its own."""
    rows = []
    with tempfile.TemporaryDirectory(prefix="newsletter-bench-") as folder:
        rows += _measured("SQLite", f"sqlite:///{folder}/bench.sqlite3")
    programs = server_programs()
    if programs is None:
        return [*rows, Row("sending on PostgreSQL: not measured, it is not installed here", 0, "")]
    with cluster(programs) as url:
        return [*rows, *_measured("PostgreSQL", url)]


def _measured(database: str, url: str) -> list[Row]:
    environment = {**os.environ, "TEST_DATABASE_URL": url, "DJANGO_SETTINGS_MODULE": "tests.settings"}
    command = [sys.executable, "-m", "tests.benchmarks.sending"]
    done = subprocess.run(command, env=environment, check=True, stdout=subprocess.PIPE, text=True)
    addressing, posting, wall, stored = (float(figure) for figure in done.stdout.split())
    return [
        Row(f"{database}: address 1,000 readers", addressing * 1e6 / READERS, "ms CPU"),
        Row(f"{database}: claim to outcome, 1,000 messages", posting * 1e6 / READERS, "ms CPU"),
        Row(f"{database}: claim to outcome, one worker", READERS / wall, "messages/s"),
        Row(f"{database}: frozen bytes stored", stored, "bytes/message"),
    ]


def _cpu(work: Callable[[], object]) -> float:
    before = time.process_time()
    work()
    return time.process_time() - before


def _run() -> None:
    """Inside the child: prepare a database, address and post, print the figures."""
    import django

    django.setup()
    from django.conf import settings
    from django.core.management import call_command
    from django.db.models.functions import Length

    from newsletter.models import Batch
    from newsletter.providers import get_provider
    from newsletter.sending.batch import claim_batch
    from subscribers.imports.confirmed import import_confirmed
    from tests.publications import address_everybody, make_issue, post_everything, start_sending

    call_command("migrate", verbosity=0)
    issue = make_issue(stories=40)
    addresses = (f"reader-{number}@readers.example" for number in range(READERS))
    import_confirmed(issue.newsletter, addresses, proof="Made for a measurement.")
    start_sending(issue)
    with running_sink() as url:
        settings.PROVIDER_URL = url
        provider = get_provider()
        addressing = _cpu(address_everybody)
        started = time.perf_counter()
        posting = _cpu(lambda: post_everything(provider))
        wall = time.perf_counter() - started
    assert Batch.objects.filter(state="accepted").count() == READERS // 100
    Batch.objects.filter(pk=Batch.objects.order_by("pk").values("pk")[:1]).update(state="ready", attempts=0)
    Batch.objects.order_by("pk").first().edition.deliveries.all().update(status="pending")  # type: ignore[union-attr]
    claim_batch(provider)
    stored = Batch.objects.annotate(size=Length("payload")).values_list("size", flat=True).order_by("pk")[0]
    print(addressing, posting, wall, (stored or 0) / 100)


if __name__ == "__main__":
    _run()
