"""Sending limits: how many mails of a newsletter may be sent in an hour, and in a day while its domain warms up.

No counter is kept beside the rows: what was sent is the sum of the batches that hold it. While a domain warms up, the
recipients of a batch have one mailbox provider, which the batch names (`warm_up`).
"""

from __future__ import annotations

import datetime
import math
import zoneinfo
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from django.db.models import Min, Q, QuerySet, Sum
from django.utils import timezone

from newsletter.models import Batch, BatchState, Newsletter, Send, SendState
from newsletter.sending.warm_up import daily_cap, hourly_cap, provider_cap

HOUR, DAY = datetime.timedelta(hours=1), datetime.timedelta(days=1)

#: Batches whose mails were sent, or may have been.
SENT_STATES = (BatchState.CLAIMED, BatchState.ACCEPTED, BatchState.UNKNOWN, BatchState.HELD)

IS_LIMITED = Q(hourly_limit__isnull=False) | Q(warm_up_since__isnull=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class WarmUpDay:
    """A day of a newsletter's warm-up; `number` counts from 1. Caps are in mails."""

    number: int
    cap: int
    hourly_cap: int | None
    """None before hourly limits begin."""
    provider_cap: int
    """To one mailbox provider."""
    ends_at: datetime.datetime
    used_by_provider: Mapping[str, int] = field(default_factory=dict)
    """Mails that were sent today, by mailbox provider; "" for those without a limit of their own."""

    @property
    def used(self) -> int:
        """Mails that were sent today."""
        return sum(self.used_by_provider.values())

    @property
    def used_up_providers(self) -> tuple[str, ...]:
        """Mailbox providers that get no more mail today."""
        sent = self.used_by_provider.items()
        return tuple(sorted(name for name, mails in sent if name and mails >= self.provider_cap))


@dataclass(frozen=True, slots=True, kw_only=True)
class UsedUpLimit:
    """A limit that holds back a send. Exactly one of the caps is set, in mails."""

    continues_at: datetime.datetime
    """When mails may be sent again."""
    daily_cap: int | None = None
    day: int = 0
    """With `daily_cap` and `provider_cap`: the day of the warm-up."""
    hourly_cap: int | None = None
    provider_cap: int | None = None
    providers: tuple[str, ...] = ()
    """With `provider_cap`: the mailbox providers of all recipients who are left."""


def cap_of(newsletter: Newsletter, day: datetime.date) -> int | None:
    """How many of its mails may be sent on this day of its own time zone; None: no limit."""
    number = _day_number(newsletter, day)
    return None if number is None else daily_cap(newsletter.warm_up_plan, number)


def is_warming_up(newsletter: Newsletter, now: datetime.datetime) -> bool:
    """Whether a daily limit applies; no query."""
    return cap_of(newsletter, _midnight(newsletter, now).date()) is not None


def hourly_cap_of(newsletter: Newsletter, day: datetime.date) -> int | None:
    """How many of its mails may be sent in an hour of this day; None: no limit."""
    number = _day_number(newsletter, day)
    warm_up = None if number is None else hourly_cap(newsletter.warm_up_plan, number)
    return min((cap for cap in (newsletter.hourly_limit, warm_up) if cap is not None), default=None)


def remaining_of(newsletter: Newsletter, now: datetime.datetime, mailbox_provider: str = "") -> int | None:
    """How many of its mails may be sent now; None: no limit. With a mailbox provider, those to it."""
    day = warm_up_day(newsletter, now)
    return _remaining(newsletter, now, day, mailbox_provider)


def warm_up_day(newsletter: Newsletter, now: datetime.datetime) -> WarmUpDay | None:
    """Today's day of its warm-up; None if it has none, or if it is over."""
    midnight = _midnight(newsletter, now)
    number = _day_number(newsletter, midnight.date())
    cap = None if number is None else daily_cap(newsletter.warm_up_plan, number)
    if number is None or cap is None:
        return None
    sent = _sent(newsletter, midnight).order_by().values_list("mailbox_provider").annotate(mails=Sum("recipients"))
    return WarmUpDay(
        number=number,
        cap=cap,
        hourly_cap=hourly_cap(newsletter.warm_up_plan, number),
        provider_cap=provider_cap(newsletter.warm_up_plan, number) or cap,
        ends_at=_next_midnight(midnight),
        used_by_provider=dict(sent),
    )


def lock_remaining(batch: Batch, now: datetime.datetime) -> int | None:
    """`remaining_of` for a batch that is claimed: the row is locked, so that two workers never use the same share."""
    limited = Newsletter.objects.filter(IS_LIMITED, pk=batch.edition.issue.newsletter_id)
    newsletter = limited.select_for_update(of=("self",)).first()
    return remaining_of(newsletter, now, batch.mailbox_provider) if newsletter else None


class HeldBack(NamedTuple):
    """New batches that a used-up limit holds back; those to other mailbox providers do not wait."""

    sends: list[int]
    mailbox_providers: list[str]
    """`send:mailbox provider`, where only batches to that provider wait."""

    def includes(self, batch: Batch) -> bool:
        """Whether this new batch has to wait."""
        return batch.send_id in self.sends or f"{batch.send_id}:{batch.mailbox_provider}" in self.mailbox_providers


def held_back(now: datetime.datetime) -> HeldBack:
    """What the limits of newsletters with running sends hold back now."""
    found = HeldBack([], [])
    running = Send.objects.filter(state=SendState.SENDING)
    for newsletter in Newsletter.objects.filter(IS_LIMITED, issues__sends__in=running).distinct():
        day = warm_up_day(newsletter, now)
        sends = list(running.filter(issue__newsletter=newsletter.pk).values_list("pk", flat=True))
        if _remaining(newsletter, now, day) == 0:
            found.sends.extend(sends)
        elif day:
            found.mailbox_providers.extend(f"{send}:{name}" for send in sends for name in day.used_up_providers)
    return found


def used_up_limit(send: Send, now: datetime.datetime) -> UsedUpLimit | None:
    """The limit that holds back every batch of a running send that is not sent yet; None if there is none."""
    newsletter = send.issue.newsletter
    day, hourly = warm_up_day(newsletter, now), hourly_cap_of(newsletter, _midnight(newsletter, now).date())
    if day and day.used >= day.cap:
        return UsedUpLimit(daily_cap=day.cap, day=day.number, continues_at=day.ends_at)
    if hourly is not None and _used(newsletter, now - HOUR) >= hourly:
        first = _sent(newsletter, now - HOUR).aggregate(first=Min("first_attempt_at"))["first"]
        return UsedUpLimit(hourly_cap=hourly, continues_at=first + HOUR)
    if day and day.used_up_providers:
        waiting = Batch.objects.filter(send=send, state=BatchState.READY).order_by()
        providers = set(waiting.values_list("mailbox_provider", flat=True).distinct())
        if providers and providers <= set(day.used_up_providers):
            names = tuple(sorted(providers))
            return UsedUpLimit(provider_cap=day.provider_cap, providers=names, day=day.number, continues_at=day.ends_at)
    return None


def minimum_duration(newsletter: Newsletter, recipients: int, *, start: datetime.datetime) -> datetime.timedelta:
    """How long its own limits stretch a send to so many recipients that starts then, if it sends nothing else.

    At least: how many of them have the same mailbox provider is not known here.
    """
    midnight, at, left = _midnight(newsletter, start), start, recipients
    while (cap := cap_of(newsletter, midnight.date())) is not None:
        next_midnight, hourly = _next_midnight(midnight), hourly_cap_of(newsletter, midnight.date())
        hours = math.ceil((next_midnight - at) / HOUR)
        capacity = cap if hourly is None else min(cap, hourly * hours)
        if left <= capacity:
            return at - start + _hours_of_pacing(left, hourly)
        left, midnight, at = left - capacity, next_midnight, next_midnight
    return at - start + _hours_of_pacing(left, newsletter.hourly_limit)


def _hours_of_pacing(recipients: int, hourly: int | None) -> datetime.timedelta:
    """The first hour's mails are sent at once."""
    return datetime.timedelta(0) if hourly is None else max(0, (recipients - 1) // hourly) * HOUR


def _remaining(
    newsletter: Newsletter, now: datetime.datetime, day: WarmUpDay | None, mailbox_provider: str = ""
) -> int | None:
    remaining = []
    hourly = hourly_cap_of(newsletter, _midnight(newsletter, now).date())
    if hourly is not None:
        remaining.append(hourly - _used(newsletter, now - HOUR))
    if day:
        remaining.append(day.cap - day.used)
        if mailbox_provider:
            remaining.append(day.provider_cap - day.used_by_provider.get(mailbox_provider, 0))
    return max(0, min(remaining)) if remaining else None


def _day_number(newsletter: Newsletter, day: datetime.date) -> int | None:
    """The day of its warm-up, from 1; None without one.

    Before the first day no mail of the domain was sent: each of these days counts as the first.
    """
    since = newsletter.warm_up_since
    return None if since is None else max(0, (day - since).days) + 1


def _midnight(newsletter: Newsletter, now: datetime.datetime) -> datetime.datetime:
    local = timezone.localtime(now, zoneinfo.ZoneInfo(newsletter.time_zone))
    return local.replace(hour=0, minute=0, second=0, microsecond=0)


def _next_midnight(midnight: datetime.datetime) -> datetime.datetime:
    """The wall clock's next midnight, 23 to 25 hours later."""
    return midnight + DAY


def _sent(newsletter: Newsletter, since: datetime.datetime) -> QuerySet[Batch]:
    return Batch.objects.filter(
        send__issue__newsletter=newsletter.pk, state__in=SENT_STATES, first_attempt_at__gt=since
    )


def _used(newsletter: Newsletter, since: datetime.datetime) -> int:
    return int(_sent(newsletter, since).aggregate(mails=Sum("recipients"))["mails"] or 0)
