"""The spam rate that Gmail reports for a sender's domain: when it stops sends, and who accepted it.

Gmail sends no complaint of a single mail; its rate is known one or two days later, by Postmaster Tools. Its sender
guidelines ask for less than 0.1 %, and never 0.3 % or more.
"""

from __future__ import annotations

import datetime
from dataclasses import dataclass
from typing import Any

from django.conf import settings
from django.utils import formats
from django.utils.translation import gettext as _

from newsletter.config.translatable import to_data, translatable
from newsletter.models import PostmasterDay, Reason, Send, SpamRateAcknowledgement
from subscribers.addresses import domain_of

#: From this rate on operators are warned. Source: Gmail sender guidelines.
WARNING_RATE = 0.001

#: An older rate says nothing about the mails of now. Gmail reports no rate for days with few mails.
MAX_AGE = datetime.timedelta(days=7)

#: How long an acknowledgement lets sends start. After that the same rate stops them again.
ACKNOWLEDGED_FOR = datetime.timedelta(days=7)

#: The key in `Send.acknowledged`.
KEY = "spam_rate"


@dataclass(frozen=True, slots=True, kw_only=True)
class SpamRate:
    """The rate of the last known day, 0 to 1. `domain` is the sender's or one above it, as Postmaster Tools name it."""

    domain: str
    day: datetime.date
    rate: float

    @property
    def values(self) -> dict[str, Any]:
        """For sentences: percent and names."""
        return {
            "domain": self.domain,
            "day": self.day.isoformat(),
            "percent": round(100 * self.rate, 2),
            "limit": round(100 * settings.SPAM_RATE_LIMIT, 2),
        }


def domains_above(domain: str) -> list[str]:
    """The domain and those above it, without the top-level domain: the longest first."""
    labels = domain.lower().strip(".").split(".")
    return [".".join(labels[place:]) for place in range(max(1, len(labels) - 1))]


def last_spam_rate(sender_email: str, now: datetime.datetime) -> SpamRate | None:
    """The rate of the last known day for the sender's domain; one query. None if there is none of the last MAX_AGE.

    If Postmaster Tools know several domains above the sender's, the longest counts.
    """
    since = (now - MAX_AGE).astimezone(datetime.UTC).date()
    domains = domains_above(domain_of(sender_email)) if sender_email else []
    known = PostmasterDay.objects.filter(domain__in=domains, day__gte=since, spam_rate__isnull=False)
    rows = list(known.values_list("domain", "day", "spam_rate"))
    if not rows:
        return None
    domain, day, rate = max(rows, key=lambda row: (len(row[0]), row[1]))
    return SpamRate(domain=domain, day=day, rate=rate or 0.0)


def too_high(spam_rate: SpamRate | None, acknowledged: float, now: datetime.datetime) -> bool:
    """Whether it has reached the limit, and is above what was acknowledged for the send or for the domain."""
    if spam_rate is None or spam_rate.rate < settings.SPAM_RATE_LIMIT or spam_rate.rate <= acknowledged:
        return False
    accepted = SpamRateAcknowledgement.objects.filter(
        domain=spam_rate.domain, rate__gte=spam_rate.rate, at__gt=now - ACKNOWLEDGED_FOR
    )
    return not accepted.exists()


def spam_rate_problem(send: Send, now: datetime.datetime) -> tuple[Reason, dict[str, Any]] | None:
    """Why a running send is paused; None if its sender's rate is below the limit, unknown or acknowledged."""
    spam_rate = last_spam_rate(send.issue.newsletter.sender_email, now)
    if spam_rate is None or not too_high(spam_rate, send.acknowledged.get(KEY, 0.0), now):
        return None
    return Reason.SPAM_RATE, {"sentences": [to_data(_sentence(spam_rate))]}


def refusal_of_start(sender_email: str, now: datetime.datetime) -> tuple[str, ...]:
    """Why no send of this sender starts now, as translatable sentences; empty if one may."""
    spam_rate = last_spam_rate(sender_email, now)
    if spam_rate is None or not too_high(spam_rate, 0.0, now):
        return ()
    accept = translatable("To send nevertheless, acknowledge the rate on the Deliverability page.")
    return (_sentence(spam_rate), translatable("Nothing was sent."), accept)


def _sentence(spam_rate: SpamRate) -> str:
    return translatable(
        "Gmail’s users reported {percent} % of the mails from {domain} as spam on {day}, and the limit is {limit} %. "
        "Find out who did not ask for these mails.",
        **spam_rate.values,
    )


def spam_rate_warning(spam_rate: SpamRate | None) -> str:
    """The warning that comes before sends are stopped; empty below WARNING_RATE."""
    if spam_rate is None or spam_rate.rate < WARNING_RATE:
        return ""
    values = spam_rate.values | {"percent": formats.number_format(spam_rate.values["percent"], use_l10n=True)}
    return _(
        "Gmail’s users reported %(percent)s %% of the mails from %(domain)s as spam on %(day)s. Gmail asks for less "
        "than 0.1 %%, and filters senders from 0.3 %% on."
    ) % {**values, "day": formats.date_format(spam_rate.day, "DATE_FORMAT")}


def acknowledge_spam_rate(spam_rate: SpamRate, *, by: str, text: str) -> None:
    """Let sends of the domain start although its rate is too high, up to this rate. `text` says why."""
    SpamRateAcknowledgement.objects.create(domain=spam_rate.domain, rate=spam_rate.rate, by=by, text=text)
