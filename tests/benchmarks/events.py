"""Applying provider events: a backlog of one send, from the inbox to deliveries and counters, on both databases.

Half of the events tell of deliveries, a quarter of opens, one in seven of clicks; one in six is a repeat of a fact, and
some fit no delivery or belong to another installation. Their times are in no order.

Two processes, so that the memory of the second is that of the step alone: `python -m tests.benchmarks.events fill 10000
URL` makes deliveries and events, `… drain 10000 URL` applies them, and prints what that took.
"""

from __future__ import annotations

import itertools
import json
import os
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import orjson

from tests.benchmarks.cpu import postgresql_cpu_seconds
from tests.benchmarks.filled import fill
from tests.benchmarks.rows import Row
from tests.postgresql import cluster, server_programs

QUICK, SIZE, LARGE = 10_000, 100_000, 1_000_000

#: Kinds of events with their weights.
KINDS = {
    "email.delivered": 50,
    "email.opened": 26,
    "email.clicked": 14,
    "email.sent": 7,
    "email.bounced": 2,
    "email.complained": 1,
}
LINKS = 40
#: As `_bodies` writes it.
PROVIDER_ID = {
    "sqlite": "printf('0b0b%028x', id)",
    "postgresql": "'0b0b' || lpad(to_hex(id), 28, '0')",
}
START = datetime(2026, 11, 20, 7, tzinfo=UTC)
BOUNCE = {"type": "Transient", "subType": "General", "message": "451 4.3.0 try again later"}


def measure(*, large: bool = False, quick: bool = False) -> list[Row]:
    """Apply as many events as there are deliveries, on each database that is installed."""
    count = LARGE if large else QUICK if quick else SIZE
    with tempfile.TemporaryDirectory(prefix="newsletter-bench-") as folder:
        rows = _rows("SQLite", f"sqlite:///{Path(folder) / 'events.sqlite3'}", count)
    programs = server_programs()
    if programs is None:
        return [*rows, Row("events on PostgreSQL: not measured, because it is not installed", 0, "")]
    with cluster(programs) as url:
        return [*rows, *_rows("PostgreSQL", url, count)]


def _rows(database: str, url: str, count: int) -> list[Row]:
    _child("fill", count, url)
    found = json.loads(_child("drain", count, url))
    name = f"{count:,} events applied, {database}"
    return [
        Row(name, count / found["seconds"], "/s", ">= 10,000"),
        Row(f"{name}: CPU with the server", (found["cpu"] + found["server"]) * 1e6 / count, "µs each", "<= 70"),
        Row(f"{name}: longest transaction", found["longest"], "s", "<= 0.5"),
        Row(f"{name}: memory", found["memory"], "MB"),
        Row(f"{name}: memory, growth after the first tenth", found["growth"], "MB", "<= 10"),
    ]


def _child(what: str, count: int, url: str) -> str:
    environment = {**os.environ, "TEST_DATABASE_URL": url, "DJANGO_SETTINGS_MODULE": "tests.settings"}
    command = [sys.executable, "-m", "tests.benchmarks.events", what, str(count), url]
    return subprocess.run(command, env=environment, stdout=subprocess.PIPE, text=True, check=True).stdout


def _bodies(deliveries: list[tuple[int, str]], count: int) -> Iterator[tuple[str, str]]:
    """Kind and body of each event."""
    chance = random.Random(20261120)
    kinds = chance.choices(list(KINDS), list(KINDS.values()), k=count)
    for number, kind in enumerate(kinds):
        delivery, address = deliveries[int(len(deliveries) * chance.random() ** 1.2)]
        strange, number_of_mail = number % 100, delivery
        if strange == 1:
            delivery += 10**9
        data: dict[str, Any] = {
            "email_id": f"0b0b{number_of_mail:028x}",
            "from": "Harbour Notes <notes@example.org>",
            "to": ["stranger@example.org" if strange == 2 else address],
            "subject": "What the harbour master wrote this week",
            "created_at": START.isoformat(),
            "tags": {"env": "elsewhere" if strange in (3, 4) else "tests", "delivery": str(delivery)},
        }
        if kind == "email.clicked":
            data["click"] = {
                "link": f"https://story.example/{chance.randrange(LINKS)}",
                "ipAddress": "203.0.113.9",
                "timestamp": START.isoformat(),
                "userAgent": "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0",
            }
        if kind == "email.bounced":
            data["bounce"] = BOUNCE
        at = START + timedelta(seconds=chance.expovariate(1 / 7200))
        yield kind, orjson.dumps({"type": kind, "created_at": at.isoformat(), "data": data}).decode()


def _fill(count: int) -> None:
    """In the first child: fill a database with deliveries and events."""
    from django.db import connection

    from newsletter.models import Delivery, DeliveryState, Event, Send
    from newsletter.providers import get_provider
    from subscribers.models import Subscriber
    from tests.publications import make_issue, start_sending

    newsletter = fill(count)
    send: Send = start_sending(make_issue(newsletter=newsletter))
    people = list(Subscriber.objects.order_by("pk").values_list("pk", "canonical"))
    Delivery.objects.bulk_create(
        (
            Delivery(issue=send.issue, send=send, subscriber_id=pk, state=DeliveryState.ACCEPTED)
            for pk, _address in people
        ),
        batch_size=5_000,
    )
    with connection.cursor() as cursor:
        # As they are after the answer to the post.
        cursor.execute(f"UPDATE newsletter_delivery SET provider_id = {PROVIDER_ID[connection.vendor]}")
    keys = dict(Delivery.objects.values_list("subscriber_id", "pk"))
    deliveries = [(keys[pk], address) for pk, address in people]
    assert get_provider().name == "resend"
    rows = (
        Event(provider="resend", event_id=f"msg_{number}", kind=kind, body=body)
        for number, (kind, body) in enumerate(_bodies(deliveries, count))
    )
    while chunk := list(itertools.islice(rows, 5_000)):
        Event.objects.bulk_create(chunk)
    if connection.vendor == "postgresql":
        with connection.cursor() as cursor:
            cursor.execute("ANALYZE")


def _drain(count: int, url: str) -> None:
    """In the second child: apply them."""
    from newsletter.models import Event
    from newsletter.worker.steps import STEPS

    (step,) = (step for step in STEPS if step.name == "apply_events")
    assert Event.objects.filter(state="new").count() == count
    is_postgresql = not url.startswith("sqlite")
    server = postgresql_cpu_seconds(url) if is_postgresql else 0.0
    cpu, started, longest = time.process_time(), time.perf_counter(), 0.0
    more, memory = True, [_memory()]
    while more:
        before = time.perf_counter()
        more = step.run()
        longest = max(longest, time.perf_counter() - before)
        memory.append(_memory())
    seconds, cpu = time.perf_counter() - started, time.process_time() - cpu
    server = postgresql_cpu_seconds(url) - server if is_postgresql else 0.0
    assert not Event.objects.filter(state="new").exists()
    growth = max(memory) - memory[-(-len(memory) // 10)]
    found = {"seconds": seconds, "cpu": cpu, "server": server, "longest": longest}
    print(json.dumps({**found, "memory": max(memory), "growth": growth}))


def _memory() -> float:
    """Megabytes that this process has in memory now; Linux only."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 2**20


if __name__ == "__main__":
    import django

    django.setup()
    if sys.argv[1] == "fill":
        _fill(int(sys.argv[2]))
    else:
        _drain(int(sys.argv[2]), sys.argv[3])
