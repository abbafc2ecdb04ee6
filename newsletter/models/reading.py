"""How far it is measured which subscribers still read a newsletter, once a month."""

from __future__ import annotations

from django.db import models
from django.utils.translation import gettext_lazy as _

from newsletter.models.newsletter import Newsletter


class ReadingMeasurement(models.Model):
    """The measurement of one newsletter at the end of one month. What it counts is in CohortCount.

    A month is measured in the one that follows, or never: later it is not known who was subscribed then.
    """

    newsletter = models.ForeignKey(Newsletter, on_delete=models.CASCADE, related_name="+")
    month = models.CharField(max_length=7, help_text=_("The month at whose end it is measured: 2026-11."))
    last_subscription = models.BigIntegerField(default=0, help_text=_("The last subscription that was looked at."))
    finished_at = models.DateTimeField(null=True)

    class Meta:
        default_permissions = ()
        constraints = [
            models.UniqueConstraint(fields=["newsletter", "month"], name="reading_measurement_once"),
        ]

    def __str__(self) -> str:
        return f"{self.newsletter_id} · {self.month}"
