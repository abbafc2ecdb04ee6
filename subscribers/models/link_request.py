"""Requests for a new link to the preferences page, from the page of a link that does not work."""

from __future__ import annotations

from django.db import models
from django.utils import timezone


class LinkRequest(models.Model):
    """An address that was typed, of any visitor: the page stores it, and the worker deletes it once it has answered."""

    address = models.CharField(max_length=320)
    created_at = models.DateTimeField(default=timezone.now)

    class Meta:
        default_permissions = ()

    def __str__(self) -> str:
        return f"LinkRequest {self.pk}"
