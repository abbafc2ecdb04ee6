"""Soft bounces: at most one per subscriber and send. Only subscribers with soft bounces have rows."""

from __future__ import annotations

from django.db import models
from django.db.models import Q
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from newsletter.models.send import Send
from subscribers.models import Subscriber


class SoftBounce(models.Model):
    """A bounce that suppresses only if it is repeated: the first one of a delivery, made from its events."""

    subscriber = models.ForeignKey(Subscriber, on_delete=models.CASCADE, db_index=False, related_name="+")
    send = models.ForeignKey(Send, on_delete=models.CASCADE, related_name="+")
    fingerprint = models.CharField(
        max_length=64, help_text=_("The keyed hash of the address that the mail went to, which may have changed since.")
    )
    bounce = models.CharField(max_length=16, help_text=_("The class of the bounce."))
    at = models.DateTimeField(help_text=_("When it bounced."))
    recorded_at = models.DateTimeField(default=timezone.now)
    is_settled = models.BooleanField(
        default=False, help_text=_("Whether it was decided if the address is to be suppressed.")
    )

    class Meta:
        default_permissions = ()
        constraints = [
            models.UniqueConstraint(fields=["subscriber", "send"], name="soft_bounce_once_per_send"),
        ]
        indexes = [
            models.Index(fields=["recorded_at"], condition=Q(is_settled=False), name="soft_bounce_to_settle"),
            models.Index(fields=["at"], name="soft_bounce_at"),
        ]

    def __str__(self) -> str:
        return f"{self.subscriber_id}: {self.bounce}"
