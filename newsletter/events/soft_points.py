"""When repeated soft bounces suppress an address: a pure decision about the soft bounces of one address.

One point per send and at most one per day. A mail that arrived, or a click, sets the points to zero. Senders and
providers differ widely: Buttondown takes three in a row or four in 30 days, Klaviyo more than seven in a row.
"""

from __future__ import annotations

import datetime
import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from operator import attrgetter

from newsletter.providers.bounce_classes import BounceClass, RecipientEffect
from subscribers.models import SuppressionReason

#: So many points within the window suppress, if first and last are so far apart: a fault of a few days does not.
MAX_POINTS, MIN_SPAN = 5, datetime.timedelta(days=14)

#: The window, and the one of newsletters that are sent so rarely that five points would not fit into the first.
WINDOW, WEEKLY_WINDOW = datetime.timedelta(days=30), datetime.timedelta(days=60)
RARE_SENDS_PER_MONTH = 6

#: Full mailboxes that are not used, as their provider says.
MAX_ABANDONED = 2

#: A domain that is still missing so much later is no fault of its DNS.
SECOND_TIME_AFTER = datetime.timedelta(hours=72)


@dataclass(frozen=True, slots=True)
class SoftMark:
    """One soft bounce."""

    at: datetime.datetime
    send: int
    kind: BounceClass


@dataclass(frozen=True, slots=True)
class SoftVerdict:
    """Why an address is to be suppressed: how many bounces within how many days."""

    reason: SuppressionReason
    count: int
    days: int

    @property
    def detail(self) -> str:
        """As `Suppression.detail` stores it."""
        return f"{self.count}/{self.days}"


def judge(
    marks: Sequence[SoftMark], *, since: datetime.datetime | None = None, window: datetime.timedelta = WINDOW
) -> SoftVerdict | None:
    """Whether these bounces, in any order, suppress their address. Those up to `since` do not count."""
    counted = sorted((mark for mark in marks if since is None or mark.at > since), key=attrgetter("at"))
    return _missing_domain(counted) or _abandoned(counted) or _points(counted, window)


def _missing_domain(marks: Sequence[SoftMark]) -> SoftVerdict | None:
    missing = [mark.at for mark in marks if mark.kind.rule.recipient is RecipientEffect.SECOND_TIME]
    if not missing or missing[-1] - missing[0] < SECOND_TIME_AFTER:
        return None
    return SoftVerdict(SuppressionReason.NO_DOMAIN, len(missing), _days(missing[0], missing[-1]))


def _abandoned(marks: Sequence[SoftMark]) -> SoftVerdict | None:
    full = [mark.at for mark in marks if mark.kind is BounceClass.FULL_ABANDONED]
    if len(full) < MAX_ABANDONED or full[-1] - full[0] < MIN_SPAN:
        return None
    return SoftVerdict(SuppressionReason.SOFT_BOUNCE, len(full), _days(full[0], full[-1]))


def _points(marks: Sequence[SoftMark], window: datetime.timedelta) -> SoftVerdict | None:
    """The first window with enough points. The points are the first bounces of each day (UTC)."""
    points = [mark.at for mark in marks if mark.kind.rule.recipient is RecipientEffect.POINT]
    points = [next(group) for _day, group in itertools.groupby(points, key=datetime.datetime.date)]
    for first in points:
        inside = [at for at in points if first <= at <= first + window]
        if len(inside) >= MAX_POINTS and inside[-1] - first >= MIN_SPAN:
            return SoftVerdict(SuppressionReason.SOFT_BOUNCE, len(inside), _days(first, inside[-1]))
    return None


def _days(first: datetime.datetime, last: datetime.datetime) -> int:
    return max(1, -(-int((last - first).total_seconds()) // 86_400))
