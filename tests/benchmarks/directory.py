"""The list of subscribers and the export on PostgreSQL: 100,000 subscribers, with `--large` a million.

Pages are asked for through the whole of Django, one after the other, and the median of several is shown. PostgreSQL
does not wait for the disk here.
"""

from __future__ import annotations

import json
import os
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from typing import Any

from tests.benchmarks.rows import Row
from tests.postgresql import cluster, server_programs

SIZE, LARGE = 100_000, 1_000_000

#: Names differ, and one in 90 addresses has “lantern” in it. Half of the subscribers have two tags, one of them rare.
FILL = """
    INSERT INTO subscribers_subscriber (address, canonical, first_name, time_zone, created_at)
    SELECT address, address, name, '', now() FROM (
        SELECT CASE WHEN n %% 90 = 0 THEN 'lantern' ELSE 'reader' END || '-' || n || '@mail' || n %% 500 || '.example'
            AS address, initcap(substr(md5((n %% 20000)::text), 1, 4 + n %% 6)) AS name
        FROM generate_series(1, %s) AS n) AS subscriber;
    INSERT INTO subscribers_subscription
        (mailing_list_id, subscriber_id, state, key, created_at, confirmed_at, request_number, source)
    SELECT %s, id, CASE id %% 100 WHEN 1 THEN 'unsubscribed' WHEN 2 THEN 'suppressed' WHEN 3 THEN 'pending'
            ELSE 'active' END,
        gen_random_uuid(), now(), now(), 1, CASE id %% 10 WHEN 0 THEN 'archive' ELSE 'import' END
    FROM subscribers_subscriber ORDER BY id;
    INSERT INTO subscribers_tag (mailing_list_id, name, key, created_at)
    SELECT %s, name, name, now() FROM unnest(ARRAY['patron', 'press']) AS name;
    INSERT INTO subscribers_subscriptiontag (tag_id, subscription_id)
    SELECT t.id, s.id FROM subscribers_subscription s
    JOIN subscribers_tag t ON (t.name = 'patron' AND s.id %% 2 = 0) OR (t.name = 'press' AND s.id %% 200 = 0);
    INSERT INTO subscribers_consenttext (sha256, form, version, text, created_at)
    VALUES ('x', 'import', '', 'Exported from the old system.', now());
    INSERT INTO subscribers_consent (subscription_id, kind, created_at, address, canonical, list_name, form, text_id,
        language, source, user_agent, by, reason, detail)
    SELECT s.id, 'imported', now(), '', '', 'Harbour Notes', 'import', (SELECT id FROM subscribers_consenttext),
        '', '', '', 'ida', '', 'double_opt_in_elsewhere' FROM subscribers_subscription s;
"""

#: Pages by name. The second search has no hit, the last two letters begin nothing.
PAGES = {
    "newest": "",
    "search, 1 in 90": "?q=lantern",
    "search, one hit": "?q=reader-77777%40",
    "search, all": "?q=example",
    "search, none": "?q=zzzz",
    "search of a name": "?q=c4ca",
    "search, two letters": "?q=re",
    "search, two letters, none": "?q=qx",
    "active": "?state=active",
    "suppressed": "?state=suppressed",
    "rare tag": "?tag={press}",
    "source": "?source=archive",
    "rare tag and search": "?tag={press}&q=lantern",
}


def measure(*, large: bool = False) -> list[Row]:
    """The rows; a single one with the reason if PostgreSQL is not installed."""
    programs = server_programs()
    if programs is None:
        return [Row("subscribers: not measured, because PostgreSQL is not installed", 0, "")]
    size = LARGE if large else SIZE
    with cluster(programs) as url:
        environment = {**os.environ, "TEST_DATABASE_URL": url, "DJANGO_SETTINGS_MODULE": "tests.settings"}
        command = [sys.executable, "-m", "tests.benchmarks.directory", str(size)]
        done = subprocess.run(command, env=environment, check=True, stdout=subprocess.PIPE, text=True)
    rows = json.loads(done.stdout)
    return [Row(f"{size:,} subscribers, {name}", figure, unit, goal) for name, figure, unit, goal in rows]


# Inside the child


def _measure(size: int) -> list[tuple[str, float, str, str]]:
    import django

    django.setup()
    from django.contrib.auth.models import User
    from django.core.management import call_command
    from django.db import connection
    from django.test import Client

    from subscribers.models import Tag
    from tests.people import make_mailing_list

    call_command("migrate", verbosity=0)
    mailing_list = make_mailing_list()
    found = [*_insert_rates(mailing_list.pk)]
    with connection.cursor() as cursor:
        cursor.execute(FILL, [size, mailing_list.pk, mailing_list.pk])
        cursor.execute("ANALYZE")
    client = Client()
    client.force_login(User.objects.create_superuser("ida"))
    press = Tag.objects.get(name="press").pk
    for name, query in PAGES.items():
        url = "/admin/subscribers/subscriber/" + query.format(press=press)
        found.append((f"list, {name}", _milliseconds(lambda url=url: client.get(url)), "ms", "<= 100"))  # type: ignore[misc]
    return [*found, *_export_rates(mailing_list, size)]


def _milliseconds(step: Callable[[], Any]) -> float:
    times = []
    for _number in range(6):
        started = time.perf_counter()
        assert step().status_code == 200
        times.append(time.perf_counter() - started)
    return statistics.median(times[1:]) * 1e3


def _insert_rates(mailing_list: int, size: int = 50_000) -> list[tuple[str, float, str, str]]:
    """Subscribers and subscriptions a second in plain SQL, without the indexes of this list and with them."""
    from django.db import connection

    from subscribers.directory.search import POSTGRESQL_INDEXES, prepare_index

    found = []
    with connection.cursor() as cursor:
        cursor.execute("SELECT indexname, indexdef FROM pg_indexes WHERE indexname LIKE 'subscription_by_%%'", [])
        ours = dict(cursor.fetchall())
        for name in (*POSTGRESQL_INDEXES, *ours):
            cursor.execute(f"DROP INDEX {name}")
        for name in ("without its indexes", "with its indexes"):
            started = time.perf_counter()
            cursor.execute(FILL.split("INSERT INTO subscribers_tag")[0], [size, mailing_list])
            found.append((f"inserted {name}", size / (time.perf_counter() - started), "rows/s", ""))
            cursor.execute("TRUNCATE subscribers_subscriber RESTART IDENTITY CASCADE")
            for definition in ours.values():
                cursor.execute(definition.replace("INDEX", "INDEX IF NOT EXISTS", 1))
            prepare_index()
    return found


def _export_rates(mailing_list: Any, size: int) -> list[tuple[str, float, str, str]]:
    from subscribers.directory.selection import Selection
    from subscribers.exports.export import export_subscribers
    from subscribers.models import ExportFormat

    found = []
    for form in ExportFormat:
        started, cpu = time.perf_counter(), time.process_time()
        written = sum(len(part) for part in export_subscribers(mailing_list, Selection(), form, by="ida"))
        rate = size / (time.perf_counter() - started)
        found.append((f"export as {form}, {written / size:.0f} bytes each", rate, "rows/s", ">= 100,000"))
        found.append((f"export as {form}, CPU", (time.process_time() - cpu) * 1e6 / size, "s/1,000,000", ""))
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3
    return [*found, ("memory of all of this", memory, "MB", "<= 200")]


if __name__ == "__main__":
    print(json.dumps(_measure(int(sys.argv[1]))))
