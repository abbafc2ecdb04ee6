"""Limits of sign-ups: counted in the database, in one statement for a sign-up.

Windows are full hours and days in UTC. Keys are hashed: counters are kept for weeks, addresses and networks are not.
"""

from __future__ import annotations

import datetime
import hashlib
import hmac

from django.conf import settings

from subscribers.models import (
    DAY,
    HOUR,
    DecisionReason,
    RateScope,
    SignupCounter,
    UsedStamp,
    add_to_counters,
    window_start,
)
from subscribers.signup.domains import LARGE_MAILBOX_PROVIDERS

#: Days that make the norm of confirmations.
NORM_DAYS = 28

#: Scopes of counters beside those of RateScope.
EMBEDDED, ADMITTED_DOMAIN, ADMITTED_SITE = "embedded", "admitted_domain", "admitted_site"

#: How much higher the limit of a large mailbox provider is.
LARGE_PROVIDER_FACTOR = 10


class TooManySignups(Exception):
    """A network has reached its limit. Nothing was stored."""

    permanent = False

    def __init__(self, message: str, *, retry_seconds: int) -> None:
        super().__init__(message)
        self.retry_seconds = retry_seconds


class LimitReached(Exception):
    """A breaker is open: no mail may be caused now. Nothing was counted."""

    permanent = False

    def __init__(self, reason: DecisionReason) -> None:
        super().__init__(reason)
        self.reason = reason


def counter_key(text: str) -> str:
    """A keyed hash of a network, an address or a domain: 32 hexadecimal digits."""
    return hmac.digest(settings.SECRET_KEY.encode(), b"subscribers.limits." + text.encode(), hashlib.sha256)[:16].hex()


def count_signup(*, network: str, canonical: str, is_embedded: bool = False, now: datetime.datetime) -> dict[str, int]:
    """Count a sign-up; the counts of each RateScope with it, as `domain-24`. Raises TooManySignups.

    An unknown network is counted as one network. Sign-ups that a limit refuses count, too.
    """
    domain = canonical.rpartition("@")[2]
    keys = {
        RateScope.NETWORK.value: network,
        RateScope.ADDRESS.value: canonical,
        RateScope.DOMAIN.value: domain,
        RateScope.SITE.value: "",
    }
    if is_embedded:
        keys[EMBEDDED] = network
    seconds = now.timestamp()
    counts = add_to_counters([(scope, counter_key(text)) for scope, text in keys.items()], seconds)
    limits = {RateScope.NETWORK.value: settings.SIGNUP_NETWORK_LIMIT, EMBEDDED: settings.SIGNUP_EMBEDDED_LIMIT}
    for scope, limit in limits.items():
        if counts.get((scope, HOUR), 0) > limit:
            left = window_start(seconds, HOUR) + 3600 - seconds
            raise TooManySignups(f"A network has reached {limit} sign-ups an hour.", retry_seconds=int(left) + 1)
    return {f"{scope}-{hours}": count for (scope, hours), count in counts.items() if scope in RateScope.values}


def admit(domain: str, *, now: datetime.datetime, is_trusted: bool = False) -> None:
    """Count a sign-up that will be answered with a mail. Raises LimitReached.

    Call it in the transaction that writes the mail. The row of a counter stays locked until that ends, so that
    concurrent workers do not exceed a limit. `is_trusted`: the limit of the domain does not apply.
    """
    seconds = now.timestamp()
    keys = {ADMITTED_DOMAIN: counter_key(domain), ADMITTED_SITE: counter_key("")}
    counts = add_to_counters(list(keys.items()), seconds)
    floors = {ADMITTED_DOMAIN: _domain_floor(domain), ADMITTED_SITE: settings.SIGNUP_SITE_LIMIT}
    reasons = {ADMITTED_DOMAIN: DecisionReason.DOMAIN_LIMIT, ADMITTED_SITE: DecisionReason.SITE_LIMIT}
    for scope, key in keys.items():
        is_exempt = is_trusted and scope == ADMITTED_DOMAIN
        count = counts[scope, HOUR]
        # The norm is read only above the floor.
        if not is_exempt and count > floors[scope] and count > _norm(scope, key, seconds):
            raise LimitReached(reasons[scope])


def _domain_floor(domain: str) -> int:
    factor = LARGE_PROVIDER_FACTOR if domain in LARGE_MAILBOX_PROVIDERS else 1
    return factor * int(settings.SIGNUP_DOMAIN_LIMIT)


def _norm(scope: str, key: str, seconds: float) -> float:
    """SIGNUP_LIMIT_MULTIPLE times the hourly average of the 28 days before today."""
    today = window_start(seconds, DAY)
    rows = SignupCounter.objects.filter(scope=scope, key=key, hours=DAY, starts_at__lt=today)
    days = rows.filter(starts_at__gte=today - NORM_DAYS * 86_400).values_list("count", flat=True)
    return float(settings.SIGNUP_LIMIT_MULTIPLE * sum(days)) / (NORM_DAYS * 24)


def delete_old_limits(now: datetime.datetime) -> None:
    """Delete counters that no limit reads any more, and expired stamps. Reads first, so that it locks nothing."""
    seconds = now.timestamp()
    hours = SignupCounter.objects.filter(hours=HOUR, starts_at__lt=window_start(seconds, HOUR) - 3600)
    days = SignupCounter.objects.filter(hours=DAY, starts_at__lt=window_start(seconds, DAY) - (NORM_DAYS + 2) * 86_400)
    for rows in (hours, days, UsedStamp.objects.filter(expires_at__lte=now)):
        if rows.exists():
            rows.delete()
