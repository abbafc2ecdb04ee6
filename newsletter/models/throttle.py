"""The flow of mail to a provider, as all workers share it: one row per team."""

from __future__ import annotations

import datetime
import enum

from django.db import models
from django.utils import timezone


class Availability(enum.Enum):
    """Whether a provider takes mail."""

    OPEN = "open"
    """It does, in turn."""
    RESTING = "resting"
    """It asked for a short rest, or a post went wrong a moment ago; nobody else needs to take over."""
    BROKEN = "broken"
    """Too many posts went wrong. After a rest a single one tries."""
    SPENT = "spent"
    """Its quota is used up until a moment that is known."""
    HALTED = "halted"
    """It refuses us as a whole until a person acts, or the key is another."""


#: How far ahead each moment of a flow can lie. One that lies further is from before the clock was set back, and means
#: nothing any more: it must not stop a send for as long as that.
FURTHEST = {
    "last_at": datetime.timedelta(minutes=1),
    "rests_until": datetime.timedelta(minutes=6),
    "probing_until": datetime.timedelta(minutes=6),
    "quota_until": datetime.timedelta(days=2),
}


class ProviderThrottle(models.Model):
    """How fast one team of a provider takes mail now, and whether it takes any.

    `account` follows from the key or login, without telling it: another key begins with a clean row. Workers take
    turns by conditional updates of `last_at`; whoever read an older one has lost.
    """

    provider = models.CharField(max_length=32)
    account = models.CharField(max_length=64)
    rate = models.FloatField(null=True, help_text="Posts a second for the whole team, as the provider last said.")
    last_at = models.DateTimeField(null=True, help_text="When the last slot was taken; a reserved one may lie ahead.")
    rests_until = models.DateTimeField(null=True, help_text="Nothing is posted before.")
    failures = models.PositiveIntegerField(default=0, help_text="Posts in a row without an answer that helps.")
    minute_from = models.DateTimeField(null=True, help_text="When the minute began in which posts are counted.")
    minute_posts = models.PositiveIntegerField(default=0)
    minute_failures = models.PositiveIntegerField(default=0)
    circuit_opened_at = models.DateTimeField(
        null=True, help_text="When it was given up on, until a single post succeeds."
    )
    probing_until = models.DateTimeField(null=True, help_text="Until then one worker has the single post that tries.")
    quota_until = models.DateTimeField(null=True, help_text="Its quota is used up until then.")
    suspended_at = models.DateTimeField(null=True, help_text="Since then nothing goes out until a person acts.")
    reason = models.CharField(max_length=500, blank=True, help_text="Why it rests, is given up on, or stopped.")
    created_at = models.DateTimeField(default=timezone.now)

    class Meta:
        verbose_name = "throttle"
        constraints = [
            models.UniqueConstraint(fields=["provider", "account"], name="throttle_once_per_account"),
        ]

    def __str__(self) -> str:
        return f"flow of {self.provider}"

    def availability_at(self, moment: datetime.datetime) -> Availability:
        """Whether it takes mail then. A broken one is open once its rest is over and nobody else tries it."""
        if self.suspended_at:
            return Availability.HALTED
        if self.ahead("quota_until", moment):
            return Availability.SPENT
        rests = self.ahead("rests_until", moment)
        if self.circuit_opened_at and (rests or self.ahead("probing_until", moment)):
            return Availability.BROKEN
        return Availability.RESTING if rests else Availability.OPEN

    def ahead(self, name: str, moment: datetime.datetime) -> datetime.datetime | None:
        """The moment of that name if it lies ahead of `moment`, and no further than it can."""
        until: datetime.datetime | None = getattr(self, name)
        return until if until is not None and moment < until <= moment + FURTHEST[name] else None
