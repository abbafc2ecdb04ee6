"""A fleet: audiences up to a million on PostgreSQL, and one, two and four workers against a sink on this machine.

`make bench` measures 10,000 and 100,000 readers, `make bench ARGS=--large` a million as well. Everything runs on the
same cores: workers, PostgreSQL and sink. PostgreSQL does not wait for the disk here.
"""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
import time
from typing import Any

from tests.benchmarks.rows import Row
from tests.benchmarks.sink import running_sink, seen_by
from tests.postgresql import cluster, server_programs

SMALL, MIDDLE, LARGE = 10_000, 100_000, 1_000_000

#: Most readers whose mail is posted to measure the rate of one number of workers, whatever the size of the audience.
POSTED = 10_000

READERS = """
    INSERT INTO subscribers_subscriber (address, canonical, first_name, time_zone, created_at)
    SELECT address, address, '', '', now()
    FROM (SELECT 'reader-' || n || '@readers.example' AS address FROM generate_series(1, %s) AS n) AS reader
"""
MEMBERS = """
    INSERT INTO subscribers_subscription
        (mailing_list_id, subscriber_id, state, key, created_at, confirmed_at, request_number)
    SELECT %s, id, 'active', gen_random_uuid(), now(), now(), 1 FROM subscribers_subscriber ORDER BY id
"""


def measure(*, large: bool = False) -> list[Row]:
    """The rows of every size; one that says why if PostgreSQL is not here."""
    programs = server_programs()
    if programs is None:
        return [Row("a fleet on PostgreSQL: not measured, it is not installed here", 0, "")]
    return [row for size in ((SMALL, MIDDLE, LARGE) if large else (SMALL, MIDDLE)) for row in _measured(programs, size)]


def _measured(programs: Any, size: int) -> list[Row]:
    name = f"{size:,} readers"
    with cluster(programs) as url, running_sink() as sink:
        environment = {
            **os.environ,
            "TEST_DATABASE_URL": url,
            "DJANGO_SETTINGS_MODULE": "tests.settings",
            "SINK_URL": sink,
        }
        told = _child(environment, "prepare", str(size))
        starting = seen_by(sink)["first_at"]
        addressing = _child(environment, "address")
        rows = [
            Row(f"{name}: Send now, until it is under way", told["send_now"], "s"),
            Row(f"{name}: from Send now to the first post", starting - told["pressed_at"], "s", "<= 3"),
            *_addressed(name, addressing),
            Row(f"{name}: database, a reader who is addressed", _child(environment, "stored")["stored"], "bytes"),
        ]
        rows += [row for workers in (1, 2, 4) for row in _post(environment, sink, size, workers)]
        if size <= POSTED:
            rows.append(Row(f"{name}: the same, 9 of 10 mails out", _child(environment, "stored")["stored"], "bytes"))
        return rows


def _addressed(name: str, addressing: dict[str, float]) -> list[Row]:
    """What is left after the chunk that went before the first post; of a small audience nothing is."""
    if not addressing["rows"]:
        return []
    return [
        Row(f"{name}: addressed", addressing["rows"] / addressing["seconds"], "rows/s", ">= 100,000"),
        Row(f"{name}: memory of the process that addresses", addressing["memory"], "MB", "<= 200"),
    ]


def _post(environment: dict[str, str], sink: str, size: int, workers: int) -> list[Row]:
    """The rate and the CPU time of so many workers that post the next POSTED messages."""
    share = str(min(POSTED, size * 3 // 10) // 100 // workers - 1)
    command = [sys.executable, "-m", "tests.benchmarks.fleet", "post", share]
    children = [
        subprocess.Popen(command, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        for _ in range(workers)
    ]
    for child in children:
        assert child.stdout is not None
        child.stdout.readline()
    before, started = seen_by(sink), time.time()
    for child in children:
        assert child.stdin is not None
        child.stdin.write("go\n")
        child.stdin.flush()
    told = [json.loads(child.communicate()[0]) for child in children]
    after = seen_by(sink)
    wall = max(one["ended_at"] for one in told) - started
    messages = after["messages"] - before["messages"]
    name = f"{size:,} readers"
    who = f"{name}, {workers} worker{'s' if workers > 1 else ''}"
    return [
        Row(f"{who}: posted", messages / wall, "messages/s", ">= 3,000" if workers > 1 else ""),
        Row(f"{who}: CPU of the workers", sum(one["cpu"] for one in told) * 100_000 / messages, "s/100,000"),
        Row(f"{who}: memory of one", max(one["memory"] for one in told), "MB", "<= 200"),
        Row(f"{who}: size of a message", (after["bytes"] - before["bytes"]) / messages / 1e3, "KB"),
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
    """An audience, an issue that is started as an editor does, and its first post."""
    from django.core.management import call_command
    from django.db import connection

    from newsletter.providers import get_provider
    from newsletter.sending.expand import expand_next
    from newsletter.sending.post import post_next
    from newsletter.sending.schedule import send_now
    from tests.publications import make_issue

    call_command("migrate", verbosity=0)
    issue = make_issue(stories=62)
    with connection.cursor() as cursor:
        cursor.execute(READERS, [size])
        cursor.execute(MEMBERS, [issue.newsletter_id])
        cursor.execute("VACUUM ANALYZE")
    pressed_at = time.time()
    send_now(issue, by="bench")
    started = time.time() - pressed_at
    provider = get_provider()
    expand_next(provider.batch_size)
    assert post_next((provider,))
    return {"send_now": started, "pressed_at": pressed_at}


def _address() -> dict[str, float]:
    """The rest of the audience, by the worker's own step."""
    from newsletter.models import Delivery, Issue
    from newsletter.sending.expand import CHUNK
    from tests.publications import address_everybody

    before = Delivery.objects.count()
    started = time.perf_counter()
    address_everybody(chunk=CHUNK)
    seconds = time.perf_counter() - started
    assert Issue.objects.get().expanded_at
    return {"rows": Delivery.objects.count() - before, "seconds": seconds, "memory": _memory()}


def _stored() -> dict[str, float]:
    """Bytes in all tables and indexes of the outbox, a reader."""
    from django.db import connection

    from newsletter.models import Delivery

    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT pg_total_relation_size('newsletter_delivery') + pg_total_relation_size('newsletter_batch')"
        )
        return {"stored": cursor.fetchone()[0] / Delivery.objects.count()}


def _post_batches(posts: int) -> dict[str, float]:
    """Wait until all workers are up, then claim and post so many batches."""
    from newsletter.providers import get_route
    from newsletter.sending.post import post_next, seconds_until_post

    route = get_route()
    post_next(route)  # what a worker does once in its life is not what is measured
    print("ready", flush=True)
    sys.stdin.readline()
    cpu = time.process_time()
    for _ in range(posts):
        while not post_next(route) and seconds_until_post(route) is not None:
            pass  # another worker has the slot of this moment
    return {"cpu": time.process_time() - cpu, "ended_at": time.time(), "memory": _memory()}


def main(what: str, *arguments: str) -> None:
    """One child's work; prints what it measured as JSON."""
    import django

    django.setup()
    from django.conf import settings

    settings.PROVIDER_URL = os.environ["SINK_URL"]
    work = {"prepare": _prepare, "address": _address, "stored": _stored, "post": _post_batches}[what]
    print(json.dumps(work(*map(int, arguments))))  # type: ignore[operator]


if __name__ == "__main__":
    main(*sys.argv[1:])
