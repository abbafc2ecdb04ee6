"""Flow control for a provider account: rate, backoff, circuit breaker and quota in one row, shared by all workers."""

from __future__ import annotations

import datetime
import enum

from django.db import models
from django.utils import timezone


class Availability(enum.Enum):
    """Whether a provider account takes mail."""

    AVAILABLE = "available"
    """It does, at its rate. An open circuit breaker whose backoff is over counts as available: one call may try."""
    BACKING_OFF = "backing_off"
    """It asked to wait, or a call failed a moment ago. This takes minutes at most, so no other provider takes over."""
    CIRCUIT_OPEN = "circuit_open"
    """Too many calls failed. When the backoff ends, the circuit is half-open: one call may try."""
    QUOTA_EXCEEDED = "quota_exceeded"
    """Its quota is used up until a known time."""
    SUSPENDED = "suspended"
    """It refuses the whole account until an operator fixes the cause and resumes, or until the key changes."""


#: How far ahead each time can lie. A time further ahead was written before the database's clock was set back, and is
#: ignored: it must not stop a send for that long.
MAX_AHEAD = {
    "last_permit_at": datetime.timedelta(minutes=1),
    "backoff_until": datetime.timedelta(minutes=6),
    "half_open_until": datetime.timedelta(minutes=6),
    "quota_until": datetime.timedelta(days=2),
}


class ProviderThrottle(models.Model):
    """The rate limit, backoff, circuit breaker and quota of one provider account.

    `account` is a fingerprint of the key or login: another key starts with a new row. Workers take permits by
    conditional updates of `last_permit_at`, so a worker that read an older value does not get the permit.
    """

    provider = models.CharField(max_length=32)
    account = models.CharField(max_length=64)
    rate = models.FloatField(
        null=True, help_text="Requests per second for the whole account, from the provider's latest answer."
    )
    last_permit_at = models.DateTimeField(
        null=True, help_text="When the latest permit is valid; a reserved permit may lie ahead."
    )
    backoff_until = models.DateTimeField(null=True, help_text="No call is made before this time.")
    failures = models.PositiveIntegerField(default=0, help_text="Consecutive calls that failed.")
    window_started_at = models.DateTimeField(null=True, help_text="Start of the minute in which calls are counted.")
    window_posts = models.PositiveIntegerField(default=0, help_text="Calls in this minute.")
    window_failures = models.PositiveIntegerField(default=0, help_text="Failed calls in this minute.")
    circuit_opened_at = models.DateTimeField(
        null=True, help_text="When the circuit breaker opened; empty while it is closed."
    )
    half_open_until = models.DateTimeField(
        null=True, help_text="Until then one worker makes the trial call of the half-open circuit."
    )
    quota_until = models.DateTimeField(null=True, help_text="The quota is used up until this time.")
    suspended_at = models.DateTimeField(
        null=True, help_text="When the provider refused the account; an operator must act."
    )
    code = models.CharField(max_length=64, blank=True, help_text="Reason code of the latest backoff or suspension.")
    detail = models.CharField(max_length=500, blank=True, help_text="The provider's own words on that reason.")
    created_at = models.DateTimeField(default=timezone.now)

    class Meta:
        verbose_name = "throttle"
        constraints = [
            models.UniqueConstraint(fields=["provider", "account"], name="throttle_once_per_account"),
        ]

    def __str__(self) -> str:
        return f"throttle of {self.provider}"

    def availability_at(self, now: datetime.datetime) -> Availability:
        """Whether the account takes mail at this time of the database's clock."""
        if self.suspended_at:
            return Availability.SUSPENDED
        if self.ahead("quota_until", now):
            return Availability.QUOTA_EXCEEDED
        backoff = self.ahead("backoff_until", now)
        if self.circuit_opened_at and (backoff or self.ahead("half_open_until", now)):
            return Availability.CIRCUIT_OPEN
        return Availability.BACKING_OFF if backoff else Availability.AVAILABLE

    def ahead(self, name: str, now: datetime.datetime) -> datetime.datetime | None:
        """The time in field `name` if it lies after `now`, and no further than `MAX_AHEAD` allows."""
        until: datetime.datetime | None = getattr(self, name)
        return until if until is not None and now < until <= now + MAX_AHEAD[name] else None
