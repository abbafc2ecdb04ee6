"""Signing keys: when each key signed the links in mails, so that the loss of one is noticed."""

from __future__ import annotations

from django.db import models
from django.db.models import F, Q


class SigningKey(models.Model):
    """The period in which one value of SECRET_KEY signed links: a fingerprint of it, never the key itself."""

    fingerprint = models.CharField(max_length=32, unique=True, editable=False)
    first_used_at = models.DateTimeField()
    last_used_at = models.DateTimeField()

    class Meta:
        constraints = [
            models.CheckConstraint(
                condition=Q(first_used_at__lte=F("last_used_at")), name="signing_key_period_in_order"
            ),
        ]

    def __str__(self) -> str:
        return self.fingerprint
