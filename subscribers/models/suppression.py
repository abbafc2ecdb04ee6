"""Suppressions: addresses that must not be mailed."""

from __future__ import annotations

import datetime
import hashlib
import hmac
import re
from collections.abc import Callable
from typing import ClassVar

from django.conf import settings
from django.db import models
from django.db.models import Exists, Q
from django.utils import timezone
from django.utils.formats import date_format
from django.utils.translation import gettext_lazy as _
from django.utils.translation import ngettext


class SuppressionReason(models.TextChoices):
    """Why an address must not be mailed."""

    HARD_BOUNCE = "hard_bounce", _("The mailbox does not exist")
    INACTIVE = "inactive", _("The mailbox is disabled or no longer used")
    NO_DOMAIN = "no_domain", _("The domain takes no mail")
    SOFT_BOUNCE = "soft_bounce", _("Mails bounced repeatedly")
    COMPLAINT = "complaint", _("Reported a mail as spam")
    PROVIDER = "provider", _("On the provider’s suppression list")
    MANUAL = "manual", _("Added by an editor")
    ERASED = "erased", _("Erased: no import adds the address again")


#: Reasons that bounces gave.
BOUNCED = (
    SuppressionReason.HARD_BOUNCE,
    SuppressionReason.INACTIVE,
    SuppressionReason.NO_DOMAIN,
    SuppressionReason.SOFT_BOUNCE,
)

#: A new confirmation removes suppressions with these reasons: a mailbox may come back, and an erased subscriber may
#: sign up again. All others stay until an editor removes them.
LIFTED_BY_CONFIRMATION = (*BOUNCED, SuppressionReason.ERASED)

#: The detail of a suppression for repeated bounces: how many, within how many days.
REPEATED = re.compile(r"(\d{1,4})/(\d{1,4})\Z")


#: After a complaint, a new request of the subscriber waits so long for its confirmation mail.
COMPLAINT_HOLD = datetime.timedelta(days=30)

#: The explanation of a complaint that the subscriber lifted by confirming a request after the hold.
CONFIRMED_AFTER_HOLD = "confirmed_after_hold"


def fingerprint(canonical: str) -> str:
    """HMAC-SHA256 of a canonical address under SUPPRESSION_SECRET, as 64 hexadecimal digits.

    A plain hash of an address could be found by trying addresses.
    """
    return fingerprinter()(canonical)


def fingerprinter() -> Callable[[str], str]:
    """`fingerprint` for many addresses: the secret is looked up once."""
    secret: bytes = settings.SUPPRESSION_SECRET.encode()
    return lambda canonical: hmac.digest(secret, canonical.encode(), "sha256").hex()


def secret_fingerprint(secret: str) -> str:
    """What identifies a SUPPRESSION_SECRET without revealing it: 32 hexadecimal digits."""
    # The label is part of stored fingerprints: it must never change.
    return hmac.digest(secret.encode(), b"subscribers.suppression.fingerprint", hashlib.sha256)[:16].hex()


def present_secret_fingerprint() -> str:
    """The fingerprint of the secret in the settings."""
    return secret_fingerprint(settings.SUPPRESSION_SECRET)


class SuppressionSecret(models.Model):
    """Under which SUPPRESSION_SECRET the suppressions are stored: one row with a fingerprint, never the secret itself.

    Under another secret, no suppressed address is recognised.
    """

    PK: ClassVar[int] = 1

    fingerprint = models.CharField(max_length=32, editable=False)
    recorded_at = models.DateTimeField(default=timezone.now)
    recorded_by = models.CharField(max_length=150, help_text=_("“worker”, or who replaced a lost secret."))

    class Meta:
        default_permissions = ()
        constraints = [models.CheckConstraint(condition=Q(pk=1), name="suppression_secret_only_one")]

    def __str__(self) -> str:
        return self.fingerprint

    @staticmethod
    def differs() -> Exists:
        """The condition that it is not the secret in the settings, for other queries."""
        return Exists(SuppressionSecret.objects.exclude(fingerprint=present_secret_fingerprint()))


def suppression_secret_differs() -> bool:
    """Whether the suppressions are stored under another SUPPRESSION_SECRET than the one in the settings; one query."""
    return SuppressionSecret.objects.exclude(fingerprint=present_secret_fingerprint()).exists()


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
    def detail_in_words(self) -> str:
        """The detail, in the active language as far as it is a code."""
        if not (repeated := REPEATED.match(self.detail)):
            return self.detail
        count, days = int(repeated[1]), int(repeated[2])
        sentence = ngettext(
            "%(count)d soft bounce within %(days)d days, and no mail arrived after it.",
            "%(count)d soft bounces within %(days)d days, and no mail arrived between them.",
            count,
        )
        return sentence % {"count": count, "days": days}

    @property
    def blocks_signup(self) -> bool:
        """Whether a sign-up alone brings no mail: a new confirmation would not remove the suppression.

        After a complaint and its hold it does, see `subscribers.suppression.blocks_confirmation`.
        """
        return self.reason not in LIFTED_BY_CONFIRMATION


class LiftedSuppression(models.Model):
    """The record of a suppression that was lifted: its reason, and who lifted it why. Holds no address."""

    fingerprint = models.CharField(_("fingerprint"), max_length=64, db_index=True, editable=False)
    reason = models.CharField(_("reason"), max_length=12, choices=SuppressionReason.choices)
    by = models.CharField(
        _("by"), max_length=150, blank=True, help_text=_("The editor’s user name. Empty if the subscriber acted.")
    )
    explanation = models.CharField(
        _("explanation"), max_length=300, blank=True, help_text=_("Why the address may be mailed again.")
    )
    lifted_at = models.DateTimeField(_("lifted at"), default=timezone.now, editable=False)

    class Meta:
        verbose_name, verbose_name_plural = _("lifted suppression"), _("lifted suppressions")
        default_permissions = ()
        constraints = [
            # Lifting a complaint needs a reason.
            models.CheckConstraint(
                condition=~Q(reason=SuppressionReason.COMPLAINT) | ~Q(explanation=""),
                name="lifted_complaint_is_explained",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.get_reason_display()} · {date_format(self.lifted_at, 'SHORT_DATE_FORMAT')}"
