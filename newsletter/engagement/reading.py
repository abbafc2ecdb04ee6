"""Who still reads: once a month, how many of the cohorts of 3, 6 and 12 months ago clicked in the last three months.

    month that is over ─► subscriptions of the newsletter in pieces ─► those of the three cohorts who agree to tracking
                                                                             └─► a click of theirs? ─► CohortCount

Only clicks that were judged to be a human's count, of subscribers who agree that they are stored. Without such a
choice of the newsletter, or without an issue in these months, nothing is measured.
"""

from __future__ import annotations

import datetime
from collections import Counter
from collections.abc import Collection, Sequence

from django.db import transaction
from django.db.models import Exists, OuterRef, Q
from django.utils import timezone

from newsletter.models import (
    STARTED,
    WHOLE_MAIL,
    ConsentMode,
    Delivery,
    EditionStory,
    EngagementSource,
    Newsletter,
    ReadingMeasurement,
    Send,
)
from subscribers.models import AGES, CohortCount, Measured, Subscription, SubscriptionState, with_cohort
from subscribers.models.cohort import Key

#: Subscriptions of one run of the step, and keys of one statement.
PER_RUN, KEYS = 5_000, 500

#: Months in which a click shows that a subscriber reads. All of a cohort of the first age joined before.
MONTHS = min(AGES)


def first_of_month(number: int) -> datetime.datetime:
    """The beginning, in UTC, of a month that is numbered as by `month_number`."""
    return datetime.datetime(number // 12, number % 12 + 1, 1, tzinfo=datetime.UTC)


def month_number(at: datetime.datetime) -> int:
    """Months in UTC since the beginning of our era."""
    at = at.astimezone(datetime.UTC)
    return at.year * 12 + at.month - 1


def measure_reading(now: datetime.datetime | None = None, limit: int = PER_RUN) -> bool:
    """Measure the next piece of one newsletter; whether there may be more. A step of the worker."""
    number = month_number(now or timezone.now()) - 1
    month = f"{first_of_month(number):%Y-%m}"
    done = ReadingMeasurement.objects.filter(newsletter=OuterRef("pk"), month=month, finished_at__isnull=False)
    newsletter = Newsletter.objects.filter(~Exists(done)).order_by("pk").first()
    if newsletter is None:
        return False
    ReadingMeasurement.objects.get_or_create(newsletter=newsletter, month=month)
    with transaction.atomic():
        rows = ReadingMeasurement.objects.select_for_update(skip_locked=True)
        measurement = rows.filter(newsletter=newsletter, month=month, finished_at__isnull=True).first()
        if measurement is None:
            # Another worker does it.
            return False
        issues = _counted_issues(newsletter, number)
        last = _measure(newsletter, number, issues, measurement.last_subscription, limit) if issues else None
        if last is None:
            measurement.finished_at = now or timezone.now()
        else:
            measurement.last_subscription = last
        measurement.save(update_fields=["last_subscription", "finished_at"])
    return True


def _counted_issues(newsletter: Newsletter, number: int) -> list[int]:
    """Issues of the months that a click may be in, with links whose clicks are stored with consent."""
    if newsletter.consent_mode != ConsentMode.CONSENT or newsletter.engagement_source == EngagementSource.NONE:
        return []
    counted = EditionStory.objects.filter(edition=OuterRef("edition"), position=WHOLE_MAIL).exclude(source="")
    start, end = first_of_month(number - MONTHS + 1), first_of_month(number + 1)
    sends = Send.objects.filter(Exists(counted), state__in=STARTED, issue__newsletter=newsletter)
    return list(sends.filter(started_at__gte=start, started_at__lt=end).values_list("issue", flat=True))


def _measure(newsletter: Newsletter, number: int, issues: Collection[int], after: int, limit: int) -> int | None:
    """Count the next subscriptions; the key of the last one, or None if there is none."""
    active = Subscription.objects.filter(mailing_list=newsletter.pk, state=SubscriptionState.ACTIVE)
    keys = list(active.filter(pk__gt=after).order_by("pk").values_list("pk", flat=True)[:limit])
    if not keys:
        return None
    joined = Q()
    for age in AGES:
        first = number - age
        joined |= Q(joined_at__gte=first_of_month(first), joined_at__lt=first_of_month(first + 1))
    piece = with_cohort(active.filter(pk__gt=after, pk__lte=keys[-1], tracking_agreed_at__isnull=False))
    rows = list(piece.filter(joined).values_list("subscriber", "joined_at", "cohort_source"))
    clicked = _who_clicked(newsletter, number, issues, [subscriber for subscriber, _at, _source in rows])
    counts: Counter[Key] = Counter()
    for subscriber, at, source in rows:
        joined_in = month_number(at)
        key, age = (newsletter.pk, f"{first_of_month(joined_in):%Y-%m}", source), number - joined_in
        counts[*key, f"{Measured.AGREED}{age}"] += 1
        counts[*key, f"{Measured.READING}{age}"] += subscriber in clicked
    CohortCount.objects.add({key: value for key, value in counts.items() if value})
    return keys[-1]


def _who_clicked(newsletter: Newsletter, number: int, issues: Collection[int], subscribers: Sequence[int]) -> set[int]:
    """Those of the subscribers who clicked in the months before the measurement."""
    through = Q(mailing_list__isnull=True) | Q(mailing_list=newsletter.pk)
    clicked = Delivery.objects.filter(
        through,
        issue__in=issues,
        clicked_at__gte=first_of_month(number - MONTHS + 1),
        clicked_at__lt=first_of_month(number + 1),
    )
    found: set[int] = set()
    for start in range(0, len(subscribers), KEYS):
        rows = clicked.filter(subscriber__in=subscribers[start : start + KEYS])
        found |= set(rows.order_by().values_list("subscriber", flat=True).distinct())
    return found
