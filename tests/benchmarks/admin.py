"""Every page of the admin, /metrics and `manage.py status` with full tables; on both databases.

As many deliveries as subscribers and three times as many events: 100,000, a million with `--large`. All deliveries are
of one send that is running, which is the dearest case: whatever counts rows would count all of them. Pages are asked
for one after the other, through the whole of Django, and timed as those of the list of subscribers are.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from datetime import timedelta
from functools import partial
from io import StringIO
from pathlib import Path
from typing import Any

from tests.benchmarks.directory import Figure, _timed
from tests.benchmarks.filled import fill
from tests.benchmarks.rows import Row
from tests.postgresql import cluster, server_programs

QUICK, SIZE, LARGE = 10_000, 100_000, 1_000_000

#: Issues that were sent before, each with counters and without deliveries.
ISSUES = 200

#: Issues with stories that were clicked, and stories of each.
RANKED_ISSUES, STORIES_PER_ISSUE = 500, 60

GOAL = "<= 80"

#: Nine in ten deliveries are accepted, one in a hundred has failed, and the others wait. One accepted mail in fifty has
#: bounced and one in two thousand was reported; half are opened, an eighth clicked.
FILL = (
    """
    INSERT INTO newsletter_delivery (issue_id, send_id, subscriber_id, state, reason, detail, provider_id, sent_at,
        delivered_at, bounced_at, opened_at, clicked_at, complained_at)
    SELECT {issue}, {send}, s.id,
        CASE WHEN s.id % 100 < 90 THEN 'accepted' WHEN s.id % 100 = 90 THEN 'failed' ELSE 'pending' END,
        CASE WHEN s.id % 100 = 90 THEN 'refused' ELSE '' END, CASE WHEN s.id % 100 = 90 THEN 'No such user' ELSE '' END,
        CASE WHEN s.id % 100 < 90 THEN 'mail-' || s.id ELSE '' END,
        CASE WHEN s.id % 100 < 90 THEN {now} END,
        CASE WHEN s.id % 100 BETWEEN 2 AND 89 THEN {now} END, CASE WHEN s.id % 100 < 2 THEN {now} END,
        CASE WHEN s.id % 100 BETWEEN 2 AND 46 THEN {now} END, CASE WHEN s.id % 100 BETWEEN 2 AND 12 THEN {now} END,
        CASE WHEN s.id % 2000 = 5 THEN {now} END
    FROM subscribers_subscriber s ORDER BY s.id
    """,
    """
    INSERT INTO newsletter_batch (send_id, edition_id, first_delivery, last_delivery, state, key, recipients, attempts,
        not_before, finished_at, reason, provider)
    SELECT {send}, {edition}, min(d.id), max(d.id),
        CASE WHEN min(d.id) % 10 = 0 THEN 'ready' WHEN min(d.id) % 99 = 0 THEN 'refused' ELSE 'accepted' END,
        'key-' || min(d.id), count(*), 1, {now}, {now}, '', 'resend:tests'
    FROM newsletter_delivery d GROUP BY d.id / 100
    """,
    """
    INSERT INTO newsletter_event (provider, event_id, kind, body, received_at, state, reason, bounce, detail,
        superseded_mail, delivery_id)
    SELECT 'resend', k.kind || d.id, 'email.' || k.kind, '{{"type": "email.' || k.kind || '"}}', {now}, 'applied', '',
        CASE WHEN k.kind = 'delivered' AND d.bounced_at IS NOT NULL THEN 'no_mailbox' ELSE '' END, '', '', d.id
    FROM newsletter_delivery d
        CROSS JOIN (SELECT 'sent' AS kind UNION ALL SELECT 'delivered' UNION ALL SELECT 'opened') k ORDER BY d.id
    """,
    """
    INSERT INTO subscribers_transactionalmail (kind, recipient, sender, reply_to, subject, text, html, headers, state,
        created_at, not_before, sent_at, attempts, provider, provider_id, reason, detail, idempotency_key,
        subscription_id)
    SELECT 'confirmation', s.canonical, 'notes@example.org', '', 'Please confirm', '', '', '{{}}', 'sent', {now}, {now},
        {now}, 1, 'resend:tests', '', '', '', 'mail-' || s.id, b.id
    FROM subscribers_subscriber s JOIN subscribers_subscription b ON b.subscriber_id = s.id ORDER BY s.id
    """,
)

NOW = {"postgresql": "now()", "sqlite": "strftime('%Y-%m-%d %H:%M:%f000', 'now')"}

#: Lists by name, with a query.
LISTS = {
    "sends": "newsletter/send/",
    "sends that are sent": "newsletter/send/?state__exact=sent",
    "batches": "newsletter/batch/",
    "batches that are refused": "newsletter/batch/?state__exact=refused",
    "batches, last page": "newsletter/batch/?before=60",
    "deliveries": "newsletter/delivery/",
    "deliveries of a send": "newsletter/delivery/?send__id__exact={send}",
    "deliveries that failed": "newsletter/delivery/?state__exact=failed",
    "deliveries in a state that none has": "newsletter/delivery/?state__exact=unknown",
    "deliveries to an address": "newsletter/delivery/?q=reader-77%40mail77.example",
    "deliveries, last page": "newsletter/delivery/?before=60",
    "provider events": "newsletter/event/",
    "provider events of a kind": "newsletter/event/?kind=email.opened",
    "provider events of a kind that none has": "newsletter/event/?kind=email.complained",
    "provider events, bounces": "newsletter/event/?bounce=no_mailbox",
    "provider events, bounces of a kind that none has": "newsletter/event/?bounce=policy",
    "provider events, waiting": "newsletter/event/?state=new",
    "provider events, unmatched": "newsletter/event/?state=orphan",
    "provider events, ignored": "newsletter/event/?state=ignored",
    "provider events, last page": "newsletter/event/?before=60",
    "editions": "newsletter/edition/",
}


def measure(*, large: bool = False, quick: bool = False) -> list[Row]:
    """The rows of both databases; if it is to be quick, of one. With the reason, if PostgreSQL is not installed."""
    size, programs = LARGE if large else QUICK if quick else SIZE, server_programs()
    rows: list[Row] = []
    if not quick or programs is None:
        with tempfile.TemporaryDirectory(prefix="newsletter-benchmark-") as folder:
            rows = _rows(f"sqlite:///{Path(folder) / 'admin.sqlite3'}", "SQLite", size)
    if programs is None:
        return [*rows, Row("admin on PostgreSQL: not measured, because it is not installed", 0, "")]
    with cluster(programs) as url:
        return [*rows, *_rows(url, "PostgreSQL", size)]


def _rows(url: str, name: str, size: int) -> list[Row]:
    environment = {**os.environ, "TEST_DATABASE_URL": url, "DJANGO_SETTINGS_MODULE": "tests.settings"}
    command = [sys.executable, "-m", "tests.benchmarks.admin", str(size)]
    done = subprocess.run(command, env=environment, check=True, stdout=subprocess.PIPE, text=True)
    return [Row(f"admin with {size:,} on {name}, {what}", *rest) for what, *rest in json.loads(done.stdout)]


# Inside the child


def fill_admin(size: int) -> None:
    """Fill the database of the settings."""
    from django.db import connection, transaction
    from django.utils import timezone

    from newsletter.events.statistics import rebuild_statistics
    from newsletter.models import Send, SendState
    from subscribers.models import rebuild_subscription_counts
    from tests.publications import make_issue, start_sending

    newsletter = fill(size)
    send = start_sending(make_issue(newsletter=newsletter))
    Send.objects.filter(pk=send.pk).update(expanded_at=timezone.now())
    for number in range(ISSUES):
        at = timezone.now() - timedelta(days=7 * number + 7)
        issue = make_issue(f"issue-of-week-{number}", newsletter=newsletter, title=f"Week {number}")
        Send.objects.create_with_history(
            SendState.SENDING, by="tests", issue=issue, edition=send.edition, started_at=at, expanded_at=at
        ).move(SendState.SENT, by="tests", finished_at=at)
    words = {"now": NOW[connection.vendor], "issue": send.issue_id, "send": send.pk, "edition": send.edition_id}
    with connection.cursor() as cursor, transaction.atomic():
        if connection.vendor == "postgresql":
            # Counted at the end, all at once.
            cursor.execute("SET LOCAL session_replication_role = replica")
        for statement in FILL:
            cursor.execute(statement.format(**words))
    rebuild_statistics(send)
    rebuild_subscription_counts()
    _count_growth()
    _fill_stories()
    _count_cohorts()
    with connection.cursor() as cursor:
        cursor.execute("VACUUM ANALYZE" if connection.vendor == "postgresql" else "ANALYZE")


def _count_growth() -> None:
    """The counters of each day of the last two years."""
    from datetime import UTC, datetime

    from subscribers.models import Growth, MailingList, SubscriptionCount

    today = datetime.now(UTC).date()
    SubscriptionCount.objects.exclude(day="").delete()
    SubscriptionCount.objects.bulk_create(
        SubscriptionCount(
            mailing_list=each, day=(today - timedelta(days=day)).isoformat(), name=name, value=day % 9 + 1
        )
        for each in MailingList.objects.all()
        for day in range(730)
        for name in Growth
    )


def _fill_stories() -> None:
    """500 sent issues with 60 stories each, and clicks in the 500 hours after each."""
    from django.utils import timezone

    from newsletter.models import (
        STORY,
        WHOLE_MAIL,
        ClickHour,
        CountScope,
        DeliveryState,
        Edition,
        EditionStory,
        Issue,
        Newsletter,
        Send,
        SendCount,
        SendState,
    )
    from newsletter.models.send_count import STATE
    from tests.publications import make_issue

    newsletter = Newsletter.objects.get()
    old = Edition.objects.get()
    first = make_issue("ranked-issue", newsletter=newsletter)
    issues = Issue.objects.bulk_create(
        Issue(newsletter=newsletter, slug=f"ranked-{number}", title=f"Ranked {number}", state=first.state)
        for number in range(RANKED_ISSUES)
    )
    now = timezone.now().replace(minute=0, second=0, microsecond=0)
    fields = {"subject": "S", "html": old.html, "text": old.text, "envelope": {}, "content": {}, "nonce": old.nonce}
    editions = Edition.objects.bulk_create(
        Edition(issue=issue, revision=1, sha256=f"{number:064}", **fields) for number, issue in enumerate(issues)
    )
    at = [now - timedelta(days=2 * number + 3, hours=number % 24) for number in range(len(issues))]
    sends = Send.objects.bulk_create(
        Send(
            issue=edition.issue,
            edition=edition,
            state=SendState.SENT,
            started_at=start,
            expanded_at=start,
            finished_at=start,
        )
        for edition, start in zip(editions, at, strict=True)
    )
    name = f"{STATE}{DeliveryState.ACCEPTED.value}"
    SendCount.objects.bulk_create(
        SendCount(send=send, scope=CountScope.TOTAL, key="", name=name, value=900_000) for send in sends
    )
    EditionStory.objects.bulk_create(
        (
            EditionStory(
                edition=edition,
                position=position,
                kind=STORY if position else "",
                title=f"Story {position} of {number}",
                source=f"source-{(number * 7 + position) % 400}.example" if position else "own",
                url="https://source.example/story",
                first_number=3 + position,
                last_number=3 + position if position else 99,
                humans=(number * 31 + position * 17) % 9_000,
                machine_hits=position,
            )
            for number, edition in enumerate(editions)
            for position in range(WHOLE_MAIL, STORIES_PER_ISSUE + 1)
        ),
        batch_size=2_000,
    )
    ClickHour.objects.bulk_create(
        (
            ClickHour(edition=edition, hour=start + timedelta(hours=hour), humans=1 + (500 - hour) // 9)
            for edition, start in zip(editions, at, strict=True)
            for hour in range(500)
        ),
        batch_size=5_000,
    )


def _count_cohorts() -> None:
    """What the triggers would have counted, by 40 sources."""
    from datetime import UTC, datetime

    from subscribers.models import JOINED, LOST_NAMES, CohortCount, MailingList, Measured

    today = datetime.now(UTC)
    months = [
        f"{number // 12}-{number % 12 + 1:02}"
        for number in range(today.year * 12 + today.month - 60, today.year * 12 + today.month)
    ]
    names = (JOINED, *LOST_NAMES, *(f"{each}{age}" for each in Measured for age in (3, 6, 12)))
    CohortCount.objects.all().delete()
    CohortCount.objects.bulk_create(
        (
            CohortCount(
                mailing_list=each,
                month=month,
                source=f"source-{source}",
                name=name,
                value=900 if name == JOINED else 90,
            )
            for each in MailingList.objects.all()
            for month in months
            for source in range(40)
            for name in names
        ),
        batch_size=5_000,
    )


def measure_filled() -> Iterator[Figure]:
    """The figures of a database that `fill_admin` has filled."""
    from django.contrib import admin
    from django.contrib.auth.models import User
    from django.core.management import call_command
    from django.test import Client
    from django.urls import reverse

    from newsletter.models import Send, SendState
    from newsletter.monitoring.metrics import metrics_text

    user, _made = User.objects.get_or_create(username="ida", is_superuser=True, is_staff=True)
    client = Client()
    client.force_login(user)
    send = Send.objects.get(state=SendState.SENDING)
    pages = {"first page": reverse("admin:index"), "growth": reverse("growth")}
    pages["stories and sources"] = reverse("stories_and_sources")
    pages["stories and sources, all"] = f"{reverse('stories_and_sources')}?period=all"
    pages["best day and hour"] = reverse("best_times")
    pages["report"] = reverse("admin:newsletter_issue_report", args=[send.issue_id])
    pages["report, numbers"] = reverse("admin:newsletter_issue_report_numbers", args=[send.issue_id])
    pages |= {name: f"/admin/{path.format(send=send.pk)}" for name, path in LISTS.items()}
    for model in admin.site._registry:
        name = f"admin:{model._meta.app_label}_{model._meta.model_name}"
        pages.setdefault(f"list of {model._meta.verbose_name_plural}", reverse(f"{name}_changelist"))
        if row := model._default_manager.order_by("-pk").first():
            pages[f"page of one {model._meta.verbose_name}"] = reverse(f"{name}_change", args=[row.pk])
    for name, url in pages.items():
        yield from _timed(name, partial(_page, client, url), GOAL)
    yield from _timed("/metrics", metrics_text, GOAL)
    yield from _timed("manage.py status", lambda: call_command("status", stdout=StringIO()), GOAL)


def _page(client: Any, url: str) -> None:
    answer = client.get(url)
    assert answer.status_code == 200, (url, answer.status_code)


def _measure(size: int) -> Iterator[Figure]:
    import django

    django.setup()
    if size:
        started = time.perf_counter()
        fill_admin(size)
        yield "filled", size / (time.perf_counter() - started), "rows/s", ""
    yield from measure_filled()


if __name__ == "__main__":
    print(json.dumps(list(_measure(int(sys.argv[1])))))
