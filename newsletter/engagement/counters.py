"""Counters: hits and visitors of each link in each hour by verdict, written with the judgement that changes them."""

from __future__ import annotations

import datetime
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from django.db.models import Count, Q
from django.db.models.functions import TruncHour

from newsletter.engagement.rules import Judgement
from newsletter.engagement.story_counters import add_to_stories, sum_up
from newsletter.models import Edition, EngagementCounter, Hit
from newsletter.models.bulk_sql import execute_with_rows

ADD = """
    INSERT INTO newsletter_engagementcounter (edition_id, number, hour, verdict, hits, visitors)
    SELECT rows.edition_id, rows.number, rows.hour, rows.verdict, 0, 0 FROM {rows} WHERE true
    ON CONFLICT (edition_id, number, hour, verdict) DO NOTHING
"""
UPDATE = """
    UPDATE newsletter_engagementcounter SET hits = newsletter_engagementcounter.hits + rows.hits,
        visitors = newsletter_engagementcounter.visitors + rows.visitors
    FROM {rows}
    WHERE newsletter_engagementcounter.edition_id = rows.edition_id
        AND newsletter_engagementcounter.number = rows.number AND newsletter_engagementcounter.hour = rows.hour
        AND newsletter_engagementcounter.verdict = rows.verdict
"""
COLUMNS = {
    "edition_id": "bigint",
    "number": "int",
    "hour": "timestamptz",
    "verdict": "text",
    "hits": "int",
    "visitors": "int",
}


@dataclass(frozen=True, slots=True)
class Change:
    """A hit with its judgement before, None for a new one, and now."""

    pk: int
    number: int
    at: datetime.datetime
    before: Judgement | None
    now: Judgement


def add_to_counters(edition: Edition, changes: Iterable[Change]) -> None:
    """Count the changes, in sets. The edition is locked, so that no other worker counts at the same time."""
    hits: Counter[tuple[int, datetime.datetime, str]] = Counter()
    visitors: Counter[tuple[int, datetime.datetime, str]] = Counter()
    for change in changes:
        hour = change.at.astimezone(datetime.UTC).replace(minute=0, second=0, microsecond=0)
        for judgement, sign in ((change.before, -1), (change.now, 1)):
            if judgement is not None:
                key = (change.number, hour, judgement.verdict.value)
                hits[key] += sign
                visitors[key] += sign * judgement.is_first
    rows = [(edition.pk, *key, hits[key], visitors[key]) for key in sorted(hits) if hits[key] or visitors[key]]
    execute_with_rows(ADD, COLUMNS, rows)
    execute_with_rows(UPDATE, COLUMNS, rows)
    add_to_stories(edition, {key: (hits[key], visitors[key]) for key in hits})


def count_again(edition: Edition) -> None:
    """Replace the counters of an edition by those of its hits. Only for one of which every hit is still there."""
    judged = Hit.objects.filter(edition=edition).exclude(verdict="").order_by()
    rows: Sequence[tuple[int, datetime.datetime, str, int, int]] = list(
        judged.annotate(hour=TruncHour("at", tzinfo=datetime.UTC))
        .values_list("number", "hour", "verdict")
        .annotate(hits=Count("pk"), visitors=Count("pk", filter=Q(is_first=True)))
    )
    EngagementCounter.objects.filter(edition=edition).delete()
    EngagementCounter.objects.bulk_create(
        (
            EngagementCounter(edition=edition, number=number, hour=hour, verdict=verdict, hits=hits, visitors=visitors)
            for number, hour, verdict, hits, visitors in rows
        ),
        batch_size=500,
    )
    sum_up(edition)
