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
from collections.abc import Callable, Iterable, Mapping
from functools import cache
from typing import NamedTuple

from newsletter.models import STARTED, Send, WarmUpPlan
from newsletter.models.bulk_sql import fetch_with_rows

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

#: The place of each domain's mailbox provider in MAILBOX_PROVIDERS, from 1; 0 for all others.
PLACE_OF_DOMAIN = {domain: place for place, names in enumerate(MAILBOX_PROVIDERS.values(), 1) for domain in names}

#: How many issues before this one tell who is engaged.
REMEMBERED_ISSUES = 5

#: How recipients are ordered: those who opened or clicked, those who got an earlier issue, all others.
ENGAGED, REACHED, OTHERS = range(3)

# The rows come first, so that each is looked up in the unique index, however many deliveries there are.
SELECT_REACHED = """
    SELECT delivery.subscriber_id,
        max(CASE WHEN delivery.opened_at IS NOT NULL OR delivery.clicked_at IS NOT NULL THEN 1 ELSE 0 END)
    FROM {rows} JOIN newsletter_delivery AS delivery
        ON delivery.issue_id = rows.issue_id AND delivery.subscriber_id = rows.subscriber_id
    WHERE delivery.opened_at IS NOT NULL OR delivery.clicked_at IS NOT NULL
        OR (delivery.delivered_at IS NOT NULL AND delivery.bounced_at IS NULL)
    GROUP BY delivery.subscriber_id
"""
SELECT_REACHED_COLUMNS = {"issue_id": "bigint", "subscriber_id": "bigint"}


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


class WarmUpGroup(NamedTuple):
    """Recipients that share batches, in the order in which they get their mails."""

    engagement: int
    """ENGAGED, REACHED or OTHERS."""
    place: int
    """As in PLACE_OF_DOMAIN."""

    @property
    def mailbox_provider(self) -> str:
        """Empty for those without a limit of their own."""
        return ("", *MAILBOX_PROVIDERS)[self.place]


def groups_of(send: Send, addresses: Mapping[int, str]) -> dict[int, WarmUpGroup]:
    """The group of each recipient, from their canonical addresses by subscriber; two queries."""
    engagement = _engagement_of(send, addresses)
    return {
        subscriber: WarmUpGroup(engagement(subscriber), PLACE_OF_DOMAIN.get(address.rpartition("@")[2], 0))
        for subscriber, address in addresses.items()
    }


def _engagement_of(send: Send, subscribers: Iterable[int]) -> Callable[[int], int]:
    earlier = Send.objects.filter(issue__newsletter=send.issue.newsletter_id, state__in=STARTED)
    newest = earlier.exclude(issue=send.issue_id).order_by("-started_at", "-pk").values_list("issue", flat=True)
    issues = list(newest[:REMEMBERED_ISSUES])
    if not issues:
        # Before the second issue nothing is known of any subscriber, so that none needs to wait for others.
        return lambda subscriber: ENGAGED
    pairs = ((issue, subscriber) for subscriber in subscribers for issue in issues)
    reached = dict(fetch_with_rows(SELECT_REACHED, SELECT_REACHED_COLUMNS, pairs))
    of_fact = {1: ENGAGED, 0: REACHED, None: OTHERS}
    return lambda subscriber: of_fact[reached.get(subscriber)]
