"""Suppressions: addresses that must not be mailed."""

from __future__ import annotations

import hashlib
import hmac

from django.conf import settings
from django.db import models
from django.db.models import Q
from django.utils import timezone
from django.utils.formats import date_format
from django.utils.translation import gettext_lazy as _


class SuppressionReason(models.TextChoices):
    """Why an address must not be mailed."""

    HARD_BOUNCE = "hard_bounce", _("The mailbox does not exist")
    COMPLAINT = "complaint", _("Reported a mail as spam")
    PROVIDER = "provider", _("On the provider’s suppression list")
    MANUAL = "manual", _("Added by an editor")


#: A new confirmation removes suppressions with these reasons: a mailbox may come back. All others stay until an editor
#: removes them.
LIFTED_BY_CONFIRMATION = (SuppressionReason.HARD_BOUNCE,)


def fingerprint(canonical: str) -> str:
    """HMAC-SHA256 of a canonical address under SUPPRESSION_SECRET, as 64 hexadecimal digits.

    A plain hash of an address could be found by trying addresses.
    """
    secret: str = settings.SUPPRESSION_SECRET
    return hmac.digest(secret.encode(), canonical.encode(), hashlib.sha256).hex()


class Suppression(models.Model):
    """An address that must not be mailed, on any list: a keyed hash that outlives the subscriber's row."""

    fingerprint = models.CharField(_("fingerprint"), max_length=64, unique=True, editable=False)
    reason = models.CharField(_("reason"), max_length=12, choices=SuppressionReason.choices)
    detail = models.CharField(
        _("detail"), max_length=300, blank=True, help_text=_("The provider’s or the editor’s own words.")
    )
    created_at = models.DateTimeField(_("created at"), default=timezone.now, editable=False)

    class Meta:
        verbose_name, verbose_name_plural = _("suppression"), _("suppressions")
        constraints = [
            models.CheckConstraint(condition=Q(reason__in=SuppressionReason.values), name="suppression_reason_known"),
        ]

    def __str__(self) -> str:
        return f"{self.get_reason_display()} · {date_format(self.created_at, 'SHORT_DATE_FORMAT')}"

    @property
    def blocks_signup(self) -> bool:
        """Whether the address gets no confirmation mail: a new confirmation would not remove the suppression."""
        return self.reason not in LIFTED_BY_CONFIRMATION
