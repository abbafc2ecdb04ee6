"""The receipt: one event from a provider, kept as it came."""

from __future__ import annotations

from django.db import models
from django.db.models import Q
from django.utils import timezone


class ReceiptState(models.TextChoices):
    """What became of a receipt. The event itself is never changed."""

    NEW = "new", "To be applied"
    APPLIED = "applied", "Applied"
    IGNORED = "ignored", "Nothing to do"
    ORPHAN = "orphan", "Belongs to no mail of ours"


class Receipt(models.Model):
    """One verified event. Unique by the provider's event id, so that a repeat is a no-op (R-85)."""

    provider = models.CharField(max_length=16)
    event_id = models.CharField(max_length=128)
    kind = models.CharField(max_length=64, help_text="The provider's word for the event.")
    body = models.TextField(help_text="The event as it was signed.")
    received_at = models.DateTimeField(default=timezone.now)
    state = models.CharField(max_length=8, choices=ReceiptState.choices, default=ReceiptState.NEW)
    note = models.CharField(max_length=300, blank=True)
    delivery_id = models.BigIntegerField(null=True, db_index=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["provider", "event_id"], name="receipt_once_per_event"),
            models.CheckConstraint(condition=Q(state__in=ReceiptState.values), name="receipt_state_known"),
        ]
        indexes = [
            models.Index(fields=["id"], condition=Q(state=ReceiptState.NEW), name="receipt_to_apply"),
        ]

    def __str__(self) -> str:
        return f"{self.kind} · {self.event_id}"
