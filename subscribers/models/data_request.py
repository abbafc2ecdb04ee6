"""Requests of subscribers for a copy of their data, or for its deletion."""

from __future__ import annotations

import datetime
import uuid
from typing import ClassVar

from django.db import models
from django.db.models import Q
from django.utils import timezone

from subscribers.models.subscriber import Subscriber

#: How long the link in the mail works, and how long the row is kept.
DATA_REQUEST_LIFETIME, DATA_REQUEST_RETENTION = datetime.timedelta(days=1), datetime.timedelta(days=30)


class DataRequestKind(models.TextChoices):
    """What the link in the mail is for."""

    ACCESS = "access"
    ERASE = "erase"


class DataRequest(models.Model):
    """One link that was sent to the address of a subscriber. It works for a day, and once."""

    subscriber = models.ForeignKey(Subscriber, on_delete=models.CASCADE, related_name="data_requests")
    kind = models.CharField(max_length=6, choices=DataRequestKind.choices)
    key = models.UUIDField(default=uuid.uuid4, unique=True, editable=False)
    requested_at = models.DateTimeField(default=timezone.now, db_index=True)
    used_at = models.DateTimeField(null=True, help_text="Also set when the address changes: the link went to the old.")

    class Meta:
        default_permissions = ()
        constraints: ClassVar = [
            models.CheckConstraint(condition=Q(kind__in=DataRequestKind.values), name="data_request_kind_known")
        ]

    def __str__(self) -> str:
        return f"{self.kind} · {self.subscriber_id}"

    def is_open(self, now: datetime.datetime) -> bool:
        """Whether the link still works."""
        return self.used_at is None and now - self.requested_at <= DATA_REQUEST_LIFETIME
