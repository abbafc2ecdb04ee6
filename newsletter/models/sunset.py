"""Rounds of the sunset policy: how far a newsletter's subscribers were looked at."""

from __future__ import annotations

from django.db import models
from django.utils import timezone

from newsletter.models.newsletter import Newsletter


class SunsetRound(models.Model):
    """The current round of a newsletter, over all of its subscriptions in the order of their keys."""

    newsletter = models.OneToOneField(Newsletter, on_delete=models.CASCADE, primary_key=True, related_name="+")
    started_at = models.DateTimeField(default=timezone.now)
    issues = models.JSONField(default=list, help_text="The issues that count, by primary key, the newest first.")
    silent_since = models.DateTimeField(null=True, help_text="When the first of them was sent. Empty: too few count.")
    through = models.BigIntegerField(default=0, help_text="The last subscription that was looked at.")
    finished_at = models.DateTimeField(null=True)

    class Meta:
        default_permissions = ()

    def __str__(self) -> str:
        return f"{self.newsletter_id}: {self.through}"
