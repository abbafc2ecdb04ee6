"""How far data that is kept for a limited time has been removed."""

from __future__ import annotations

from django.db import models
from django.utils import timezone


class RetentionProgress(models.Model):
    """The last row of one kind of data that was removed. Rows are removed in the order of their keys."""

    name = models.CharField(max_length=40, unique=True)
    last_pk = models.BigIntegerField(default=0)
    at = models.DateTimeField(default=timezone.now)

    class Meta:
        default_permissions = ()

    def __str__(self) -> str:
        return self.name
