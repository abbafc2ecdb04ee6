"""Whether sign-ups are confirmed as usual: what `doctor` reads."""

from __future__ import annotations

import datetime
from dataclasses import dataclass

from django.db.models import Q, Sum
from django.db.models.functions import Coalesce

from subscribers.models import CONFIRMED, DAY, REQUESTED, MailingList, Signup, SignupCounter, window_start

#: Days that make the norm, before the last day.
NORM_DAYS = 28

#: With fewer requests, a share says nothing.
MIN_REQUESTS = 20

_DAY_SECONDS = 86_400


@dataclass(frozen=True, slots=True)
class ConfirmationFall:
    """A list of whose requests far fewer are confirmed than usual. Shares are between 0 and 1."""

    list_name: str
    requests: int
    """Since the beginning of yesterday, in UTC."""
    share: float
    norm: float
    """The share of the 28 days before."""


def confirmation_falls(now: datetime.datetime) -> list[ConfirmationFall]:
    """The lists whose confirmed share since yesterday is below half of its norm, with at least 20 requests in each.

    Reads counters of days: one query, and one for the names if there is a fall.
    """
    since = window_start(now.timestamp(), DAY) - _DAY_SECONDS
    rows = SignupCounter.objects.filter(
        hours=DAY, scope__in=(REQUESTED, CONFIRMED), starts_at__gte=since - NORM_DAYS * _DAY_SECONDS
    )
    sums = rows.values("scope", "key").annotate(
        late=Coalesce(Sum("count", filter=Q(starts_at__gte=since)), 0),
        early=Coalesce(Sum("count", filter=Q(starts_at__lt=since)), 0),
    )
    counts = {(row["scope"], row["key"]): (row["late"], row["early"]) for row in sums}
    keys = [key for scope, key in counts if scope == REQUESTED]
    found = {key: _fall(counts[REQUESTED, key], counts.get((CONFIRMED, key), (0, 0))) for key in keys}
    falls = {int(key): fall for key, fall in found.items() if fall}
    names = dict(MailingList.objects.filter(pk__in=falls).values_list("pk", "name")) if falls else {}
    return [ConfirmationFall(names[pk], *fall) for pk, fall in sorted(falls.items()) if pk in names]


def _fall(requested: tuple[int, int], confirmed: tuple[int, int]) -> tuple[int, float, float] | None:
    """Requests, share and norm, if the share is below half of the norm."""
    if min(requested) < MIN_REQUESTS:
        return None
    share, norm = (done / asked for done, asked in zip(confirmed, requested, strict=True))
    return (requested[0], share, norm) if share < min(norm, 1.0) / 2 else None


def held_count() -> int:
    """How many sign-ups wait for an editor."""
    return Signup.objects.held().count()
