"""Segments: how long a preview takes to count, on a million subscriptions in PostgreSQL. Only with `--large`."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable
from functools import partial
from typing import Any

from tests.benchmarks.rows import Row
from tests.postgresql import cluster, server_programs

SUBSCRIPTIONS = 1_000_000

#: Each subscriber has a subscription that began within two years; 1 of 100 and 1 of 2 have a tag, and half have values.
FILL = """
SET session_replication_role = replica;
INSERT INTO subscribers_subscriber (address, canonical, first_name, time_zone, created_at)
  SELECT 'reader-' || n || '@' || d, 'reader-' || n || '@' || d, 'Name ' || n % 20, '', now()
  FROM (SELECT n, (ARRAY['quay.example', 'pier.example', 'dock.example', 'port.example'])[1 + n % 4] AS d
        FROM generate_series(1, {size}) n) s;
INSERT INTO subscribers_subscription
  (subscriber_id, mailing_list_id, state, key, created_at, confirmed_at, request_number, source)
  SELECT id, {mailing_list}, CASE WHEN id % 33 = 0 THEN 'unsubscribed' ELSE 'active' END, gen_random_uuid(),
    now(), now() - id % 730 * interval '1 day', 0, CASE WHEN id % 3 = 0 THEN 'import' ELSE 'footer' END
  FROM subscribers_subscriber ORDER BY id;
INSERT INTO subscribers_subscriptiontag (tag_id, subscription_id)
  SELECT {rare}, id FROM subscribers_subscription WHERE id % 100 = 0;
INSERT INTO subscribers_subscriptiontag (tag_id, subscription_id)
  SELECT {common}, id FROM subscribers_subscription WHERE id % 2 = 0;
INSERT INTO subscribers_fieldvalue (field_id, subscription_id, is_multiple, text)
  SELECT {city}, id, false, 'City ' || id % 200 FROM subscribers_subscription WHERE id % 2 = 0;
INSERT INTO subscribers_fieldvalue (field_id, subscription_id, is_multiple, number)
  SELECT {age}, id, false, id % 80 FROM subscribers_subscription WHERE id % 2 = 1;
RESET session_replication_role;
"""


def measure(*, large: bool) -> list[Row]:
    """Counts of single rules and of a whole tree."""
    if not large:
        return []
    programs = server_programs()
    if programs is None:
        return [Row("segments on PostgreSQL: not measured, because it is not installed", 0, "")]
    with cluster(programs) as url:
        environment = {**os.environ, "TEST_DATABASE_URL": url, "DJANGO_SETTINGS_MODULE": "tests.settings"}
        command = [sys.executable, "-m", "tests.benchmarks.segments", str(SUBSCRIPTIONS)]
        done = subprocess.run(command, env=environment, check=True, stdout=subprocess.PIPE, text=True)
    rows = []
    for line in done.stdout.splitlines():
        name, milliseconds, goal = line.split("\t")
        rows.append(Row(f"segments: {name}", float(milliseconds), "ms", goal))
    return rows


def _run(size: int) -> None:
    """In the child: prepare a database with so many subscriptions, count, and print the results."""
    import django

    django.setup()
    from django.core.management import call_command
    from django.db import connection

    from subscribers.models import CustomField, Tag
    from tests.publications import make_newsletter

    call_command("migrate", verbosity=0)
    newsletter = make_newsletter()
    rare, common = (Tag.objects.create(mailing_list=newsletter, name=name).pk for name in ("Rare", "Common"))
    city, age = (
        CustomField.objects.create(mailing_list=newsletter, key=kind, label=kind, kind=kind).pk
        for kind in ("text", "number")
    )
    with connection.cursor() as cursor:
        names = {"rare": rare, "common": common, "city": city, "age": age}
        cursor.execute(FILL.format(size=size, mailing_list=newsletter.pk, **names))
        cursor.execute("VACUUM ANALYZE")
    _print_times(newsletter, str(rare), str(common))


def _print_times(newsletter: Any, rare: str, common: str) -> None:
    from subscribers.segments.count import count_within, preview_counts, sample_of
    from subscribers.segments.kinds import Facts
    from subscribers.segments.query import matching
    from subscribers.segments.rules import parse_rules

    facts = Facts(newsletter)

    def rule(kind: str, comparison: str, value: str, field: str = "") -> dict[str, str]:
        return {"kind": kind, "field": field, "comparison": comparison, "value": value}

    def tree(*rules: object) -> Any:
        return parse_rules({"match": "all", "rules": list(rules)}, facts)

    rules = {
        "tag of 1%": rule("tag", "is", rare),
        "tag of 50%": rule("tag", "is", common),
        "without the tag of 1%": rule("tag", "is_not", rare),
        "text is (0.5%)": rule("field", "is", "city 7", "text"),
        "number is more than (12%)": rule("field", "more", "60", "number"),
        "state is active (97%)": rule("state", "is", "active"),
        "joined in the last 30 days (4%)": rule("joined", "last_days", "30"),
    }
    trees = {name: tree(each) for name, each in rules.items()}
    both = tree(rules["state is active (97%)"], rules["tag of 1%"], rules["text is (0.5%)"])
    for name, each in (*trees.items(), ("active with tag and text", both)):
        query = matching(each, facts)
        print(f"exact count, {name}\t{_median(partial(count_within, query, 60))}\t<= 300")
    slow = tree(*rules.values(), rule("name", "contains", "1"), rule("domain", "is", "quay.example"))
    print(f"preview of nine rules, with estimates\t{_median(lambda: preview_counts(slow, facts))}\t<= 1500")
    print(f"sample of ten\t{_median(lambda: sample_of(slow, facts))}\t<= 300")


def _median(work: Callable[[], object]) -> float:
    """Milliseconds of the middle one of five calls."""
    times = []
    for _ in range(5):
        started = time.perf_counter()
        work()
        times.append((time.perf_counter() - started) * 1_000)
    return sorted(times)[2]


if __name__ == "__main__":
    _run(int(sys.argv[1]))
