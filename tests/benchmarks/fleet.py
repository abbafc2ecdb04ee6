"""Large audiences on PostgreSQL, and one, two and four workers that post to a sink on this machine.

`make bench` measures 10,000 and 100,000 recipients, `make bench ARGS=--large` a million as well. Workers, PostgreSQL
and the sink share the cores. PostgreSQL does not wait for the disk here.
"""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
import time
from typing import Any

from tests.benchmarks.cpu import postgresql_cpu_seconds
from tests.benchmarks.rows import Row
from tests.benchmarks.sink import received_by, running_sink
from tests.postgresql import cluster, server_programs

SMALL, MIDDLE, LARGE = 10_000, 100_000, 1_000_000

#: How many messages are posted at most to measure one number of workers, whatever the size of the audience.
POSTED = 10_000

SUBSCRIBERS = """
    INSERT INTO subscribers_subscriber (address, canonical, first_name, time_zone, created_at)
    SELECT address, address, '', '', now()
    FROM (SELECT 'reader-' || n || '@readers.example' AS address FROM generate_series(1, %s) AS n) AS subscriber
"""
SUBSCRIPTIONS = """
    INSERT INTO subscribers_subscription
        (mailing_list_id, subscriber_id, state, key, created_at, confirmed_at, request_number)
    SELECT %s, id, 'active', gen_random_uuid(), now(), now(), 1 FROM subscribers_subscriber ORDER BY id
"""


def measure(*, large: bool = False, quick: bool = False) -> list[Row]:
    """The rows of every size; a single row with the reason if PostgreSQL is not installed."""
    programs = server_programs()
    if programs is None:
        return [Row("large audiences: not measured, because PostgreSQL is not installed", 0, "")]
    sizes = (SMALL, MIDDLE, LARGE) if large else (SMALL,) if quick else (SMALL, MIDDLE)
    return [row for size in sizes for row in _measure_size(programs, size)]


def _measure_size(programs: Any, size: int) -> list[Row]:
    name = f"{size:,} recipients"
    with cluster(programs) as url, running_sink() as sink:
        environment = {
            **os.environ,
            "TEST_DATABASE_URL": url,
            "DJANGO_SETTINGS_MODULE": "tests.settings",
            "SINK_URL": sink,
        }
        prepared = _child(environment, "prepare", str(size))
        first_post_at = received_by(sink)["first_at"]
        server = postgresql_cpu_seconds(url)
        expansion = _child(environment, "expand")
        expansion["server"] = postgresql_cpu_seconds(url) - server
        rows = [
            Row(f"{name}: Send now until the send has started", prepared["send_now"], "s"),
            Row(f"{name}: Send now until the first post", first_post_at - prepared["sent_at"], "s", "<= 3"),
            *_expansion_rows(name, expansion),
            Row(f"{name}: database size per delivery", _child(environment, "stored")["stored"], "bytes"),
        ]
        rows += [row for workers in (1, 2, 4) for row in _post(environment, sink, size, workers)]
        if size <= POSTED:
            rows.append(
                Row(
                    f"{name}: database size per delivery, 9 of 10 posted",
                    _child(environment, "stored")["stored"],
                    "bytes",
                )
            )
        return rows


def _expansion_rows(name: str, expansion: dict[str, float]) -> list[Row]:
    """The rate of all chunks but the first, which was expanded before the first post. A small audience has no other."""
    if not expansion["rows"]:
        return []
    return [
        Row(f"{name}: expansion", expansion["rows"] / expansion["seconds"], "rows/s", ">= 100,000"),
        Row(
            f"{name}: CPU of PostgreSQL to expand", expansion["server"] * 1e6 / expansion["rows"], "s/1,000,000", "<= 5"
        ),
        Row(f"{name}: memory of the expanding process", expansion["memory"], "MB", "<= 200"),
    ]


def _post(environment: dict[str, str], sink: str, size: int, workers: int) -> list[Row]:
    """The rate and the CPU time of so many workers that post up to POSTED messages."""
    share = str(min(POSTED, size * 3 // 10) // 100 // workers - 1)
    command = [sys.executable, "-m", "tests.benchmarks.fleet", "post", share]
    children = [
        subprocess.Popen(command, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        for _ in range(workers)
    ]
    for child in children:
        assert child.stdout is not None
        child.stdout.readline()
    before, started, server = received_by(sink), time.time(), postgresql_cpu_seconds(environment["TEST_DATABASE_URL"])
    for child in children:
        assert child.stdin is not None
        child.stdin.write("go\n")
        child.stdin.flush()
    results = [json.loads(child.communicate()[0]) for child in children]
    after = received_by(sink)
    server = postgresql_cpu_seconds(environment["TEST_DATABASE_URL"]) - server
    seconds = max(result["ended_at"] for result in results) - started
    messages = after["messages"] - before["messages"]
    cpu, memory = sum(result["cpu"] for result in results), max(result["memory"] for result in results)
    name = f"{size:,} recipients, {workers} worker{'s' if workers > 1 else ''}"
    return [
        Row(f"{name}: posted", messages / seconds, "messages/s", ">= 4,500" if workers == 2 else ""),
        Row(f"{name}: CPU of all workers", cpu * 100_000 / messages, "s/100,000", "<= 28"),
        Row(f"{name}: CPU of PostgreSQL", server * 100_000 / messages, "s/100,000", "<= 8"),
        Row(f"{name}: memory of a worker", memory, "MB", "<= 200"),
        Row(f"{name}: size of a message", (after["bytes"] - before["bytes"]) / messages / 1e3, "KB"),
    ]


def _child(environment: dict[str, str], *arguments: str) -> dict[str, float]:
    command = [sys.executable, "-m", "tests.benchmarks.fleet", *arguments]
    done = subprocess.run(command, env=environment, check=True, stdout=subprocess.PIPE, text=True)
    result: dict[str, float] = json.loads(done.stdout)
    return result


# Inside the children


def _memory() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3


def _prepare(size: int) -> dict[str, float]:
    """Make subscribers and an issue, send it as an editor does, and post the first batch."""
    from django.core.management import call_command
    from django.db import connection

    from newsletter.providers import get_provider
    from newsletter.sending.expand import expand_audience
    from newsletter.sending.post import post_batch
    from newsletter.sending.schedule import send_now
    from tests.publications import make_issue

    call_command("migrate", verbosity=0)
    issue = make_issue(stories=62)
    with connection.cursor() as cursor:
        cursor.execute(SUBSCRIBERS, [size])
        cursor.execute(SUBSCRIPTIONS, [issue.newsletter_id])
        cursor.execute("VACUUM ANALYZE")
    sent_at = time.time()
    send_now(issue, by="bench")
    seconds = time.time() - sent_at
    provider = get_provider()
    expand_audience(provider.batch_size)
    assert post_batch((provider,))
    return {"send_now": seconds, "sent_at": sent_at}


def _expand() -> dict[str, float]:
    """Expand the rest of the audience with the worker's own step."""
    from newsletter.models import Delivery, Send
    from newsletter.sending.expand import RECIPIENTS_PER_CHUNK
    from tests.publications import expand_audiences

    before = Delivery.objects.count()
    started = time.perf_counter()
    expand_audiences(chunk=RECIPIENTS_PER_CHUNK)
    seconds = time.perf_counter() - started
    assert Send.objects.get().expanded_at
    return {"rows": Delivery.objects.count() - before, "seconds": seconds, "memory": _memory()}


def _stored() -> dict[str, float]:
    """Bytes per delivery in the tables and indexes of deliveries and batches."""
    from django.db import connection

    from newsletter.models import Delivery

    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT pg_total_relation_size('newsletter_delivery') + pg_total_relation_size('newsletter_batch')"
        )
        return {"stored": cursor.fetchone()[0] / Delivery.objects.count()}


def _post_batches(posts: int) -> dict[str, float]:
    """Wait until all workers are ready, then claim and post so many batches."""
    from newsletter.providers import get_route
    from newsletter.sending.post import post_batch, seconds_until_post

    route = get_route()
    post_batch(route)  # not measured, because it includes work that a process does once
    print("ready", flush=True)
    sys.stdin.readline()
    cpu = time.process_time()
    for _ in range(posts):
        while not post_batch(route) and seconds_until_post(route) is not None:
            pass  # another worker has the permit
    return {"cpu": time.process_time() - cpu, "ended_at": time.time(), "memory": _memory()}


def main(what: str, *arguments: str) -> None:
    """Do one child's work, and print the results as JSON."""
    import django

    django.setup()
    from django.conf import settings

    settings.PROVIDER_URL = os.environ["SINK_URL"]
    work = {"prepare": _prepare, "expand": _expand, "stored": _stored, "post": _post_batches}[what]
    print(json.dumps(work(*map(int, arguments))))  # type: ignore[operator]


if __name__ == "__main__":
    main(*sys.argv[1:])
