"""Rebuilding: verdicts, counters and times from the hits, as if they had just arrived.

An edition is judged anew only while everything that its verdicts come from is still there; else its verdicts stay, and
only the counters are counted again. Once hits have been deleted, the counters are all that is left: they stay.
"""

from __future__ import annotations

from dataclasses import dataclass

from django.db import connection, transaction
from django.db.models import Q

from newsletter.engagement.counters import count_again
from newsletter.engagement.delivery_times import are_kept, counted
from newsletter.engagement.judge import judge_due
from newsletter.engagement.story_counters import sum_up
from newsletter.models import OPEN, OTHER_LINK, Delivery, Edition, EngagementCounter, Hit, Verdict

# The times that the hits gave; others stay.
TIMES_OF_HITS = """
    SELECT DISTINCT delivery.id FROM newsletter_delivery delivery
    JOIN newsletter_hit hit ON hit.delivery_id = delivery.id
    WHERE hit.edition_id = %s AND hit.verdict = %s AND {kind} AND hit.at = delivery.{column} ORDER BY delivery.id
"""
#: Deliveries of one statement.
KEYS = 500
KINDS = {"opened_at": f"hit.number = {OPEN}", "clicked_at": f"hit.number >= {OTHER_LINK}"}


@dataclass(frozen=True, slots=True)
class Rebuilt:
    """How many editions were judged anew, only counted again, and left as they were."""

    judged: int = 0
    counted: int = 0
    kept: int = 0


def rebuild_all() -> Rebuilt:
    """Rebuild every edition with hits or counters, each in a transaction of its own."""
    counts = {"judged": 0, "counted": 0, "kept": 0}
    with_hits = Edition.objects.filter(
        Q(pk__in=Hit.objects.order_by().values("edition"))
        | Q(pk__in=EngagementCounter.objects.order_by().values("edition"))
    )
    for edition in with_hits.order_by("pk").values_list("pk", flat=True):
        counts[rebuild(edition)] += 1
    return Rebuilt(**counts)


def rebuild(edition_pk: int) -> str:
    """Rebuild one edition: `judged`, `counted` or `kept`, see the fields of Rebuilt."""
    with transaction.atomic():
        editions = Edition.objects.select_for_update(no_key=True).only("pk", "issue_id", "engagement", "created_at")
        edition = editions.get(pk=edition_pk)
        if not are_kept(edition):
            return "kept"
        hits = Hit.objects.filter(edition=edition)
        if hits.filter(is_sealed=True).exists():
            count_again(edition)
            return "counted"
        _forget_times(edition)
        hits.update(verdict="", rule="", is_first=False, is_due=True)
        EngagementCounter.objects.filter(edition=edition).delete()
        sum_up(edition)
        while judge_due(edition):
            pass
        return "judged"


def _forget_times(edition: Edition) -> None:
    for column, kind in KINDS.items():
        with connection.cursor() as cursor:
            cursor.execute(TIMES_OF_HITS.format(column=column, kind=kind), [edition.pk, Verdict.HUMAN.value])
            keys = [pk for (pk,) in cursor.fetchall()]
        for start in range(0, len(keys), KEYS):
            chunk = keys[start : start + KEYS]
            with counted(chunk):
                Delivery.objects.filter(pk__in=chunk).update(**{column: None})
