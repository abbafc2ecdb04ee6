"""The list of subscribers, segments and exports: 100,000 subscribers, a million with `--large`; on both databases.

Pages are asked for through the whole of Django, one after the other. The median of several is shown, and beside it the
CPU time of this process and of PostgreSQL’s: on a busy machine the two differ. PostgreSQL does not wait for the disk.
"""

from __future__ import annotations

import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

from tests.benchmarks.filled import fill
from tests.benchmarks.rows import Row
from tests.postgresql import cluster, server_programs

QUICK, SIZE, LARGE = 10_000, 100_000, 1_000_000

#: Of each step.
CALLS = 5

Figure = tuple[str, float, str, str]
"""Name, figure, unit, goal."""

#: Pages by name. The search “none” has no hit, and the last two letters begin nothing.
PAGES = {
    "newest": "",
    "search, 1 in 90": "?q=lantern",
    "search, one hit": "?q=reader-77777%40",
    "search, all": "?q=example",
    "search, none": "?q=zzzz",
    "search of a name": "?q=c4ca",
    "search, three letters, none": "?q=qxz",
    "search, two letters": "?q=re",
    "search, two letters, none": "?q=qx",
    "active": "?state=active",
    "unsubscribed": "?state=unsubscribed",
    "suppressed": "?state=suppressed",
    "paused": "?state=paused",
    "one list": "?list={list}",
    "suppressed and search": "?state=suppressed&q=lantern",
    "common tag": "?tag={patron}",
    "rare tag": "?tag={press}",
    "source": "?source=archive",
    "rare tag and search": "?tag={press}&q=lantern",
}


def measure(*, large: bool = False, quick: bool = False) -> list[Row]:
    """The rows of both databases. A single one with the reason instead of PostgreSQL's, if it is not installed."""
    size = LARGE if large else QUICK if quick else SIZE
    with tempfile.TemporaryDirectory(prefix="newsletter-benchmark-") as folder:
        rows = _rows(f"sqlite:///{Path(folder) / 'subscribers.sqlite3'}", "SQLite", size)
    programs = server_programs()
    if programs is None:
        return [*rows, Row("subscribers on PostgreSQL: not measured, because it is not installed", 0, "")]
    with cluster(programs) as url:
        return [*rows, *_rows(url, "PostgreSQL", size)]


def _rows(url: str, name: str, size: int) -> list[Row]:
    environment = {**os.environ, "TEST_DATABASE_URL": url, "DJANGO_SETTINGS_MODULE": "tests.settings"}
    command = [sys.executable, "-m", "tests.benchmarks.directory", str(size)]
    done = subprocess.run(command, env=environment, check=True, stdout=subprocess.PIPE, text=True)
    return [Row(f"{size:,} on {name}, {what}", *rest) for what, *rest in json.loads(done.stdout)]


# Inside the child


def _measure(size: int) -> Iterator[Figure]:
    import django

    django.setup()
    started = time.perf_counter()
    newsletter = fill(size)
    yield "filled", size / (time.perf_counter() - started), "rows/s", ""
    yield from measure_filled(newsletter)


def measure_filled(newsletter: Any) -> Iterator[Figure]:
    """The figures of a database that `fill` has filled."""
    yield from _list_pages(newsletter)
    yield from _segments(newsletter)
    yield from _exports(newsletter)


def _list_pages(newsletter: Any) -> Iterator[Figure]:
    from django.contrib.auth.models import User
    from django.test import Client

    from subscribers.models import Tag

    keys = dict(Tag.objects.values_list("key", "pk"))
    user, _made = User.objects.get_or_create(username="ida", is_superuser=True, is_staff=True)
    client = Client()
    client.force_login(user)
    for name, query in PAGES.items():
        url = "/admin/subscribers/subscriber/" + query.format(list=newsletter.pk, **keys)
        yield from _timed(f"list, {name}", partial(_page, client, url), "<= 100")


def _page(client: Any, url: str) -> None:
    assert client.get(url).status_code == 200


def _segments(newsletter: Any) -> Iterator[Figure]:
    from subscribers.models import Tag
    from subscribers.segments.count import count_within, preview_counts, sample_of
    from subscribers.segments.kinds import Facts
    from subscribers.segments.query import matching
    from subscribers.segments.rules import parse_rules

    facts, keys = Facts(newsletter), dict(Tag.objects.values_list("key", "pk"))

    def rule(kind: str, comparison: str, value: object, field: str = "") -> dict[str, str]:
        return {"kind": kind, "field": field, "comparison": comparison, "value": str(value)}

    def tree(*rules: object) -> Any:
        return parse_rules({"match": "all", "rules": list(rules)}, facts)

    rules = {
        "tag of 1%": rule("tag", "is", keys["rare"]),
        "tag of 50%": rule("tag", "is", keys["patron"]),
        "without the tag of 1%": rule("tag", "is_not", keys["rare"]),
        "text is (0.5%)": rule("field", "is", "city 8", "city"),
        "number is more than (12%)": rule("field", "more", "60", "age"),
        "state is active (96%)": rule("state", "is", "active"),
        "joined in the last 30 days (4%)": rule("joined", "last_days", "30"),
    }
    both = tree(rules["state is active (96%)"], rules["tag of 1%"], rules["text is (0.5%)"])
    trees = {**{name: tree(each) for name, each in rules.items()}, "active with tag and text": both}
    for name, each in trees.items():
        yield from _timed(f"exact count, {name}", partial(count_within, matching(each, facts), 60), "<= 300")
    slow = tree(*rules.values(), rule("name", "contains", "1"), rule("domain", "is", "mail7.example"))
    yield from _timed("preview of nine rules, with estimates", partial(preview_counts, slow, facts), "<= 1500")
    yield from _timed("sample of ten", partial(sample_of, both, facts), "<= 300")


def _timed(name: str, work: Callable[[], object], goal: str) -> Iterator[Figure]:
    """Milliseconds of the median call by the clock, after one that warms up; with the CPU time of both processes."""
    work()
    walls, cpu, server = [], time.process_time(), _server_cpu()
    for _number in range(CALLS):
        started = time.perf_counter()
        work()
        walls.append((time.perf_counter() - started) * 1e3)
    own = (time.process_time() - cpu) / CALLS * 1e3
    others = (_server_cpu() - server) / CALLS * 1e3
    yield f"{name} (CPU {own:.0f} + {others:.0f})", statistics.median(walls), "ms", goal


def _server_cpu() -> float:
    """CPU seconds of the server process of this connection, without its parallel workers; 0 with SQLite."""
    from django.db import connection

    if connection.vendor != "postgresql":
        return 0
    connection.ensure_connection()
    raw: Any = connection.connection
    fields = Path(f"/proc/{raw.info.backend_pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / float(os.sysconf("SC_CLK_TCK"))


def _exports(newsletter: Any) -> Iterator[Figure]:
    from subscribers.directory.selection import Selection
    from subscribers.exports.export import export_subscribers
    from subscribers.models import ExportFormat, Subscription

    size = Subscription.objects.count()
    for form in ExportFormat:
        started, cpu = time.perf_counter(), time.process_time()
        written = sum(len(part) for part in export_subscribers(newsletter, Selection(), form, by="ida"))
        rate, seconds = size / (time.perf_counter() - started), time.process_time() - cpu
        yield f"export as {form}, {written / size:.0f} bytes each", rate, "rows/s", ">= 100,000"
        yield f"export as {form}, CPU", seconds * 1e6 / size, "s/1,000,000", "<= 10"
    yield "memory of all of this", resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3, "MB", "<= 250"


if __name__ == "__main__":
    print(json.dumps(list(_measure(int(sys.argv[1])))))
