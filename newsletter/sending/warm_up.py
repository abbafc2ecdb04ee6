"""Warm-up: how many mails a domain may send on each day until mailbox providers know it, and to whom first.

A new domain starts with 150 mails a day, one that mailbox providers know from other mail with 1,000. The daily limit
grows until day 42; from day 4 on there is an hourly limit, too. At most half of a day's mails go to one mailbox
provider, since each of them builds its own reputation of a sender. Recipients who opened or clicked earlier issues come
first, then those who got them: their mails are the least likely to be reported or to bounce.

Sources: Resend docs, “Warming up a new domain” (daily and hourly limits, growth); Gmail sender guidelines and
Microsoft's advice for senders (increase slowly per mailbox provider, engaged recipients first). The share of a single
mailbox provider is our own choice.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cache
from typing import Self

from django.db.models import Case, Exists, OuterRef, Q, Value, When
from django.db.models.functions import StrIndex, Substr

from newsletter.models import IS_DELIVERED, STARTED, Delivery, Send, WarmUpPlan

#: Mails per day in the first week.
FIRST_WEEK = {
    WarmUpPlan.NEW: (150, 250, 400, 700, 1_000, 1_500, 2_000),
    WarmUpPlan.KNOWN: (1_000, 2_500, 5_000, 5_000, 7_500, 7_500, 10_000),
}

#: The factor by which the daily limit grows on each day after the first week.
GROWTH = {WarmUpPlan.NEW: 1.4, WarmUpPlan.KNOWN: 1.5}

#: The last day with a limit.
LAST_DAY = 42

#: From this day on, an hour has at most a tenth of the day's mails.
FIRST_DAY_WITH_HOURLY_CAP, HOURS_PER_DAILY_CAP = 4, 10

#: A mailbox provider gets at most a half of the day's mails.
PROVIDERS_PER_DAILY_CAP = 2

#: Large mailbox providers and their domains. Domains that are missing here, such as those of companies, share no
#: limit of their own: only their MX records would tell where they are hosted.
MAILBOX_PROVIDERS: dict[str, tuple[str, ...]] = {
    "Gmail": ("gmail.com", "googlemail.com"),
    "Outlook": (
        "outlook.com", "outlook.de", "outlook.fr", "outlook.es", "outlook.it", "outlook.at", "outlook.jp",
        "outlook.com.br", "outlook.com.au", "hotmail.com", "hotmail.co.uk", "hotmail.de", "hotmail.fr", "hotmail.es",
        "hotmail.it", "hotmail.be", "hotmail.nl", "hotmail.com.br", "hotmail.com.ar", "live.com", "live.co.uk",
        "live.de", "live.fr", "live.it", "live.nl", "live.be", "live.se", "live.dk", "live.com.au", "msn.com",
        "passport.com",
    ),
    "Yahoo": (
        "yahoo.com", "yahoo.co.uk", "yahoo.de", "yahoo.fr", "yahoo.es", "yahoo.it", "yahoo.ca", "yahoo.in",
        "yahoo.co.in", "yahoo.com.br", "yahoo.com.ar", "yahoo.com.au", "yahoo.com.mx", "yahoo.ie", "yahoo.se",
        "yahoo.gr", "yahoo.ro", "yahoo.pl", "ymail.com", "rocketmail.com", "myyahoo.com", "aol.com", "aol.de",
        "aol.co.uk", "aol.fr", "aim.com",
    ),
    "Apple": ("icloud.com", "me.com", "mac.com"),
    "GMX and WEB.DE": ("gmx.de", "gmx.net", "gmx.at", "gmx.ch", "gmx.com", "gmx.fr", "gmx.org", "web.de", "mail.com"),
    "T-Online": ("t-online.de", "magenta.de"),
    "Orange": ("orange.fr", "wanadoo.fr"),
    "Libero": ("libero.it", "virgilio.it"),
    "Comcast": ("comcast.net",),
    "Proton": ("proton.me", "protonmail.com", "pm.me", "protonmail.ch"),
    "Yandex": ("yandex.ru", "yandex.com", "ya.ru"),
    "Mail.ru": ("mail.ru", "bk.ru", "inbox.ru", "list.ru"),
    "QQ": ("qq.com", "foxmail.com"),
    "NetEase": ("163.com", "126.com", "yeah.net"),
}  # fmt: skip

#: How many issues before this one tell who is engaged.
REMEMBERED_ISSUES = 10

#: How recipients are ordered: those who opened or clicked, those who got an earlier issue, all others.
ENGAGED, REACHED, OTHERS = range(3)

#: More than there are mailbox providers.
RANKS_PER_ENGAGEMENT = 1_000

IS_ENGAGED = Q(opened_at__isnull=False) | Q(clicked_at__isnull=False)

#: The part of an address behind the @.
DOMAIN = Substr("subscriber__canonical", StrIndex("subscriber__canonical", Value("@")) + 1)


@cache
def daily_cap(plan: str, day: int) -> int | None:
    """Mails on a day of the warm-up, which counts from 1; None after its last day. Rounded to two digits."""
    if day > LAST_DAY:
        return None
    week, growth = FIRST_WEEK[WarmUpPlan(plan)], GROWTH[WarmUpPlan(plan)]
    if day <= len(week):
        return week[day - 1]
    cap = week[-1] * math.pow(growth, day - len(week))
    unit: int = 10 ** (len(str(int(cap))) - 2)
    return round(cap / unit) * unit


def hourly_cap(plan: str, day: int) -> int | None:
    """Mails per hour on a day of the warm-up; None for no limit."""
    cap = daily_cap(plan, day)
    return None if cap is None or day < FIRST_DAY_WITH_HOURLY_CAP else math.ceil(cap / HOURS_PER_DAILY_CAP)


def provider_cap(plan: str, day: int) -> int | None:
    """Mails on a day of the warm-up to one mailbox provider; None for no limit."""
    cap = daily_cap(plan, day)
    return None if cap is None else math.ceil(cap / PROVIDERS_PER_DAILY_CAP)


def with_warm_up_rank(send: Send, recipients):  # type: ignore[no-untyped-def]  # a QuerySet subclass
    """The recipients with `warm_up_rank`, by which they are ordered; `WarmUpGroup.at_rank` tells what it means."""
    earlier = Send.objects.filter(issue__newsletter=send.issue.newsletter_id, state__in=STARTED)
    newest = earlier.exclude(issue=send.issue_id).order_by("-started_at", "-pk").values_list("issue", flat=True)
    issues = list(newest[:REMEMBERED_ISSUES])
    got = Delivery.objects.filter(issue__in=issues, subscriber=OuterRef("subscriber"))
    engagement = Case(
        When(Exists(got.filter(IS_ENGAGED)), then=ENGAGED),
        When(Exists(got.filter(IS_DELIVERED)), then=REACHED),
        # Before the second issue nothing is known of anybody, so that none needs to wait for others.
        default=OTHERS if issues else ENGAGED,
    )
    places = enumerate(MAILBOX_PROVIDERS.values(), start=1)
    provider = Case(*(When(domain__in=domains, then=place) for place, domains in places), default=0)
    return recipients.alias(domain=DOMAIN).annotate(warm_up_rank=engagement * RANKS_PER_ENGAGEMENT + provider)


@dataclass(frozen=True, slots=True)
class WarmUpGroup:
    """Recipients that share batches."""

    engagement: int
    """ENGAGED, REACHED or OTHERS."""
    mailbox_provider: str
    """Empty for those without a limit of their own."""

    @classmethod
    def at_rank(cls, rank: int) -> Self:
        """The group with this `warm_up_rank`."""
        engagement, place = divmod(rank, RANKS_PER_ENGAGEMENT)
        return cls(engagement, ("", *MAILBOX_PROVIDERS)[place])
