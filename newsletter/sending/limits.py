"""Sending limits: how many mails of a newsletter may be sent in an hour, and in a day while its domain warms up.

No counter is kept beside the rows: what was sent is the sum of the batches that hold it.
"""

from __future__ import annotations

import datetime
import zoneinfo
from dataclasses import dataclass

from django.db.models import Q, Sum
from django.utils import timezone

from newsletter.models import Batch, BatchState, Newsletter, SendState

#: Mails per day in the first week of a new sending domain. Source: Resend docs, “Warming up a new domain”.
WARM_UP = (150, 250, 400, 700, 1_000, 1_500, 2_000)

HOUR, DAY = datetime.timedelta(hours=1), datetime.timedelta(days=1)

#: Batches whose mails were sent, or may have been.
SENT_STATES = (BatchState.CLAIMED, BatchState.ACCEPTED, BatchState.UNKNOWN, BatchState.HELD)

IS_LIMITED = Q(hourly_limit__isnull=False) | Q(warm_up_since__isnull=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class WarmUpDay:
    """A day of a newsletter's warm-up; `number` counts from 1."""

    number: int
    cap: int
    used: int


def cap_of(newsletter: Newsletter, day: datetime.date) -> int | None:
    """How many of its mails may be sent on this day of its own time zone; None: no limit."""
    since = newsletter.warm_up_since
    number = (day - since).days if since else len(WARM_UP)
    if number < 0:
        # The warm-up has not begun, and no mail of the domain was sent: counts as its first day.
        number = 0
    return WARM_UP[number] if number < len(WARM_UP) else None


def remaining_of(newsletter: Newsletter, now: datetime.datetime) -> int | None:
    """How many of its mails may be sent now; None: no limit."""
    remaining = []
    if newsletter.hourly_limit is not None:
        remaining.append(newsletter.hourly_limit - _used(newsletter, now - HOUR))
    if day := warm_up_day(newsletter, now):
        remaining.append(day.cap - day.used)
    return max(0, min(remaining)) if remaining else None


def warm_up_day(newsletter: Newsletter, now: datetime.datetime) -> WarmUpDay | None:
    """Today's day of its warm-up; None if it has none, or if it is over."""
    midnight = _midnight(newsletter, now)
    cap = cap_of(newsletter, midnight.date())
    if cap is None:
        return None
    number = max(0, (midnight.date() - (newsletter.warm_up_since or midnight.date())).days) + 1
    return WarmUpDay(number=number, cap=cap, used=_used(newsletter, midnight))


def lock_remaining(newsletter_pk: int, now: datetime.datetime) -> int | None:
    """`remaining_of` in the transaction of a claim: the row is locked, so that two workers never use the same share."""
    limited = Newsletter.objects.filter(IS_LIMITED, pk=newsletter_pk)
    newsletter = limited.select_for_update(of=("self",)).first()
    return remaining_of(newsletter, now) if newsletter else None


def exhausted_newsletters(now: datetime.datetime) -> list[int]:
    """Newsletters with a running send that may send no mail now: their new batches wait, and only theirs."""
    sending = Newsletter.objects.filter(IS_LIMITED, issues__sends__state=SendState.SENDING).distinct()
    return [newsletter.pk for newsletter in sending if remaining_of(newsletter, now) == 0]


def minimum_duration(newsletter: Newsletter, recipients: int, *, start: datetime.datetime) -> datetime.timedelta:
    """How long its own limits stretch a send to so many recipients that starts then, if it sends nothing else."""
    hours, elapsed, left, day = newsletter.hourly_limit, datetime.timedelta(0), recipients, _midnight(newsletter, start)
    while (cap := cap_of(newsletter, day.date())) is not None and left > cap:
        left, day = left - cap, day + DAY
        elapsed = day - start
    if hours is not None and left > 0:
        # The first hour's mails are sent at once.
        elapsed += ((left - 1) // hours) * HOUR
    return max(elapsed, datetime.timedelta(0))


def _midnight(newsletter: Newsletter, now: datetime.datetime) -> datetime.datetime:
    local = timezone.localtime(now, zoneinfo.ZoneInfo(newsletter.time_zone))
    return local.replace(hour=0, minute=0, second=0, microsecond=0)


def _used(newsletter: Newsletter, since: datetime.datetime) -> int:
    sent = Batch.objects.filter(
        send__issue__newsletter=newsletter.pk, state__in=SENT_STATES, first_attempt_at__gt=since
    )
    return int(sent.aggregate(mails=Sum("recipients"))["mails"] or 0)
