"""Imports of a file with names, two tags, dates and one row in ten that unsubscribed, into a list of its own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from resource import RUSAGE_SELF, getrusage

from tests.benchmarks.cpu import postgresql_cpu_seconds
from tests.benchmarks.rows import Row
from tests.postgresql import cluster, server_programs

QUICK, ROWS, LARGE = 10_000, 100_000, 1_000_000


def measure(*, large: bool = False, quick: bool = False) -> list[Row]:
    """Import on each database that is installed: from the stored file to the last subscriber."""
    count = LARGE if large else QUICK if quick else ROWS
    with tempfile.TemporaryDirectory(prefix="newsletter-bench-") as folder:
        rows = _rows("SQLite", f"sqlite:///{folder}/bench.sqlite3", count)
    programs = server_programs()
    if programs is None:
        return [*rows, Row("import on PostgreSQL: not measured, because it is not installed", 0, "")]
    with cluster(programs) as url:
        return [*rows, *_rows("PostgreSQL", url, count)]


def _rows(database: str, url: str, count: int) -> list[Row]:
    environment = {**os.environ, "TEST_DATABASE_URL": url, "DJANGO_SETTINGS_MODULE": "tests.settings"}
    is_postgresql = not url.startswith("sqlite")
    # By a process of its own: its memory and its time are not those of imports.
    subprocess.run([sys.executable, "manage.py", "migrate", "--verbosity=0"], env=environment, check=True)
    server = postgresql_cpu_seconds(url) if is_postgresql else 0.0
    command = [sys.executable, "-m", "tests.benchmarks.imports", str(count)]
    found = json.loads(subprocess.run(command, env=environment, capture_output=True, text=True, check=True).stdout)
    server = postgresql_cpu_seconds(url) - server if is_postgresql else 0.0
    name = f"import of {count:,} rows, {database}"
    goal = ">= 10,000" if is_postgresql else ">= 12,000"
    return [
        Row(f"{name}", count / (found["check"] + found["run"]), "rows/s", goal),
        Row(f"{name}: dry run", count / found["check"], "rows/s"),
        Row(f"{name}: CPU with the server", (found["cpu"] + server) * 1e6 / count, "s/million", "<= 130"),
        Row(f"{name}: longest transaction", found["longest"], "s", "" if is_postgresql else "<= 0.5"),
        Row(f"{name}: memory", found["memory"], "MB", "<= 150"),
    ]


def _lines(count: int) -> Iterator[bytes]:
    yield b"email,first_name,status,tags,CONFIRM_TIME\n"
    for number in range(count):
        status = "active" if number % 10 else "unsubscribed"
        mixed = number * 7919 % count
        address, tags = f"reader.{mixed}@example{mixed % 50}.org", f"a, t{number % 40}"
        yield f'{address},Reader {number},{status},"{tags}",2024-03-02 18:31:40\n'.encode()


def _run(count: int) -> None:
    """In the child: make the list and the file, and import."""
    from dataclasses import replace

    import django

    django.setup()
    from subscribers.imports.control import start_check, start_run
    from subscribers.imports.engine import ImportWorker
    from subscribers.imports.files import OpenFile, store_file
    from subscribers.imports.plan import ProofKind, guess_mapping
    from subscribers.imports.presets import recognise
    from tests.people import make_mailing_list

    stored = store_file(make_mailing_list(), "people.csv", _lines(count), by="")
    with OpenFile(stored) as file:
        table = file.source.tables[0]
        plan = guess_mapping(table, recognise(table, stored.file_name))
        plan = replace(plan, proof=ProofKind.DOUBLE_OPT_IN_ELSEWHERE, statement="Made for a measurement.")
        start_check(stored, [plan], file.source, by="")
    worker, cpu, longest, seconds = ImportWorker(), time.process_time(), 0.0, {}
    for phase in ("check", "run"):
        started = time.perf_counter()
        while worker.claim(stored.pk):
            before = time.perf_counter()
            worker.advance(stored.pk)
            longest = max(longest, time.perf_counter() - before)
        seconds[phase] = time.perf_counter() - started
        stored.refresh_from_db()
        if phase == "check":
            start_run(stored, by="")
    assert sum(sum(found.values()) for found in stored.outcomes.values()) == count, stored.problem
    memory = getrusage(RUSAGE_SELF).ru_maxrss / 1024
    print(json.dumps({**seconds, "cpu": time.process_time() - cpu, "longest": longest, "memory": memory}))


if __name__ == "__main__":
    _run(int(sys.argv[1]))
