"""The suppression list of a provider as it was last read: keyed hashes, as in our own."""

from __future__ import annotations

from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _


class ProviderSuppression(models.Model):
    """An address on a provider's suppression list, or one that was lifted here and is to be removed there.

    The provider's id of the entry removes it: the address itself is not stored.
    """

    provider = models.CharField(_("provider"), max_length=16)
    fingerprint = models.CharField(max_length=64)
    suppression_id = models.CharField(
        max_length=64, blank=True, default="", help_text=_("The provider's id of the entry; empty if not known yet.")
    )
    origin = models.CharField(max_length=16, blank=True, default="", help_text=_("The provider's word for why."))
    listed_at = models.DateTimeField(null=True)
    seen_at = models.DateTimeField(null=True, help_text=_("The beginning of the last reading that found it."))
    removal_requested_at = models.DateTimeField(null=True, help_text=_("When the suppression was lifted here."))
    removal_failed_at = models.DateTimeField(null=True)

    class Meta:
        default_permissions = ()
        constraints = [
            models.UniqueConstraint(fields=["provider", "fingerprint"], name="provider_suppression_once"),
        ]
        indexes = [
            models.Index(
                fields=["removal_requested_at"],
                condition=Q(removal_requested_at__isnull=False),
                name="provider_suppression_to_remove",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.provider} {self.suppression_id}"


class SuppressionSync(models.Model):
    """How far the suppression list of a provider has been read, and how the last reading ended."""

    provider = models.CharField(max_length=16, unique=True)
    started_at = models.DateTimeField(null=True, help_text=_("The present reading; empty if none is under way."))
    cursor = models.CharField(max_length=64, blank=True, default="")
    claimed_until = models.DateTimeField(null=True)
    finished_at = models.DateTimeField(null=True, help_text=_("The last complete reading."))
    listed = models.PositiveIntegerField(default=0, help_text=_("Entries that the present or last reading found."))
    failed_at = models.DateTimeField(null=True, help_text=_("The last failure since a complete reading."))
    code = models.CharField(max_length=64, blank=True, default="")
    detail = models.CharField(max_length=300, blank=True, default="")

    class Meta:
        default_permissions = ()

    def __str__(self) -> str:
        return self.provider
