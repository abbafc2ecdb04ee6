"""Growth: how many subscriptions were active on each day, and what was won and lost; read from counters."""

from __future__ import annotations

import datetime
import enum
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from django.db.models import Count

from subscribers.models import LOST, WON, Consent, ConsentKind, SubscriptionCount, SubscriptionState


class Step(enum.StrEnum):
    """How long a period is. Weeks begin on Monday."""

    DAY = "day"
    WEEK = "week"
    MONTH = "month"


@dataclass(frozen=True, slots=True, kw_only=True)
class Period:
    """Days in UTC from `first` to `last`, which may lie ahead of today."""

    first: datetime.date
    last: datetime.date
    active: int
    """Active subscriptions at its end."""
    counts: Mapping[str, int] = field(default_factory=dict)
    """What happened, by name of `Growth`."""

    @property
    def won(self) -> int:
        return sum(self.counts.get(name, 0) for name in WON)

    @property
    def lost(self) -> int:
        return sum(self.counts.get(name, 0) for name in LOST)


def active_and_pending(lists: Collection[int]) -> tuple[int, int]:
    """Active subscriptions of these lists, and those that wait for a confirmation."""
    found = SubscriptionCount.objects.by_state(lists).values()
    active, pending = SubscriptionState.ACTIVE, SubscriptionState.PENDING
    return sum(each.get(active, 0) for each in found), sum(each.get(pending, 0) for each in found)


def first_day(today: datetime.date, step: Step, periods: int) -> datetime.date:
    """The first day of the last so many periods, of which today's is the last."""
    if step is Step.DAY:
        return today - datetime.timedelta(days=periods - 1)
    if step is Step.WEEK:
        return today - datetime.timedelta(days=today.weekday(), weeks=periods - 1)
    months = today.year * 12 + today.month - periods
    return datetime.date(months // 12, months % 12 + 1, 1)


def growth_of(lists: Collection[int], today: datetime.date, step: Step, periods: int, *, active: int) -> list[Period]:
    """The last periods, the oldest first; `active` subscriptions are active now. One query.

    Of days before counting began, only subscriptions that still exist are known.
    """
    since = first_day(today, step, periods)
    return _backwards(SubscriptionCount.objects.growth(lists, since), list(period_bounds(since, today, step)), active)


Days = tuple[datetime.date, datetime.date]
"""The first and the last day of a period."""


def _backwards(days: Mapping[str, Mapping[str, int]], bounds: Sequence[Days], active: int) -> list[Period]:
    """From what is active now, back through what was won and lost since."""
    found = []
    for first, last in reversed(bounds):
        counts: dict[str, int] = {}
        for offset in range((last - first).days + 1):
            for name, value in days.get((first + datetime.timedelta(days=offset)).isoformat(), {}).items():
                counts[name] = counts.get(name, 0) + value
        period = Period(first=first, last=last, active=max(0, active), counts=counts)
        active -= period.won - period.lost
        found.append(period)
    return found[::-1]


def period_bounds(
    since: datetime.date, today: datetime.date, step: Step
) -> Iterator[tuple[datetime.date, datetime.date]]:
    """The first and the last day of each period, the last of which contains today."""
    day = datetime.timedelta(days=1)
    while since <= today:
        if step is Step.MONTH:
            after = (since.replace(day=28) + 4 * day).replace(day=1)
        else:
            after = since + (day if step is Step.DAY else 7 * day)
        yield since, after - day
        since = after


def suppressions_by_reason(lists: Collection[int] | None, since: datetime.date) -> dict[str, int]:
    """How many subscriptions were suppressed since then, by reason, the most frequent first; also pending ones.

    `lists` None: of all. Those of subscribers who were erased are known for all lists together only.
    """
    at = datetime.datetime.combine(since, datetime.time(), datetime.UTC)
    consents = Consent.objects.filter(kind=ConsentKind.SUPPRESSED, created_at__gte=at)
    if lists is not None:
        consents = consents.filter(subscription__mailing_list__in=list(lists))
    groups = consents.order_by().values_list("reason").annotate(count=Count("pk"))
    return dict(groups.order_by("-count", "reason"))
