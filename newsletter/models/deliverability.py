"""What mailbox providers and the DNS say about the domains of senders, and mails to those who had left."""

from __future__ import annotations

from django.db import models
from django.db.models import F, Q
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from newsletter.models.delivery import Delivery

#: The longest name of a domain (RFC 1035 §2.3.4).
MAX_DOMAIN = 253

RATES = ("spam_rate", "spf_rate", "dkim_rate", "dmarc_rate")


def _is_fraction(name: str) -> Q:
    return Q(**{f"{name}__isnull": True}) | Q(**{f"{name}__gte": 0, f"{name}__lte": 1})


class PostmasterDay(models.Model):
    """What Gmail's Postmaster Tools say about a domain and a day. Rates are fractions, 0 to 1; empty if unknown.

    `compliance` is the status of each requirement, as it was read on that day: `{"DMARC_ALIGNMENT": "COMPLIANT"}`.
    """

    domain = models.CharField(_("domain"), max_length=MAX_DOMAIN)
    day = models.DateField(_("day"))
    spam_rate = models.FloatField(_("spam rate"), null=True)
    spf_rate = models.FloatField(_("SPF passed"), null=True)
    dkim_rate = models.FloatField(_("DKIM passed"), null=True)
    dmarc_rate = models.FloatField(_("DMARC passed"), null=True)
    compliance = models.JSONField(default=dict)
    read_at = models.DateTimeField(default=timezone.now)

    class Meta:
        default_permissions = ()
        constraints = [
            models.UniqueConstraint(fields=["domain", "day"], name="postmaster_day_once"),
            *(
                models.CheckConstraint(condition=_is_fraction(name), name=f"postmaster_{name}_is_0_to_1")
                for name in RATES
            ),
        ]

    def __str__(self) -> str:
        return f"{self.domain} {self.day}"


class PostmasterReading(models.Model):
    """How the last reading of a domain from Postmaster Tools ended, and when the next one is due."""

    domain = models.CharField(_("domain"), max_length=MAX_DOMAIN, unique=True)
    succeeded_at = models.DateTimeField(null=True)
    next_at = models.DateTimeField(default=timezone.now)
    failures = models.PositiveSmallIntegerField(default=0, help_text=_("Since the last success."))
    code = models.CharField(max_length=64, blank=True, default="")
    detail = models.CharField(max_length=200, blank=True, default="")

    class Meta:
        default_permissions = ()

    def __str__(self) -> str:
        return self.domain


class SpamRateAcknowledgement(models.Model):
    """An operator accepts a spam rate of a domain: up to this rate, its sends start for some days. Append-only."""

    domain = models.CharField(_("domain"), max_length=MAX_DOMAIN)
    rate = models.FloatField(_("spam rate"))
    by = models.CharField(_("by"), max_length=150)
    text = models.CharField(_("reason"), max_length=500)
    at = models.DateTimeField(default=timezone.now)

    class Meta:
        default_permissions = ()
        constraints = [models.CheckConstraint(condition=~Q(text=""), name="spam_rate_acknowledged_with_a_reason")]

    def __str__(self) -> str:
        return f"{self.domain} {self.at:%Y-%m-%d}"


class DmarcReport(models.Model):
    """One aggregate report of a mailbox provider (RFC 9990), once per organization and report id."""

    organization = models.CharField(_("reported by"), max_length=255)
    report_id = models.CharField(max_length=255)
    domain = models.CharField(_("domain"), max_length=MAX_DOMAIN)
    begins_at = models.DateTimeField(_("from"))
    ends_at = models.DateTimeField(_("until"))
    policy = models.JSONField(
        default=dict, help_text=_("The policy that the provider found: p, sp, np, adkim, aspf, t.")
    )
    received_at = models.DateTimeField(default=timezone.now)
    by = models.CharField(max_length=150, blank=True, default="", help_text=_("Who added it."))

    class Meta:
        default_permissions = ()
        constraints = [
            models.UniqueConstraint(fields=["organization", "report_id"], name="dmarc_report_once"),
            models.CheckConstraint(condition=Q(begins_at__lte=F("ends_at")), name="dmarc_report_in_order"),
        ]
        indexes = [models.Index(fields=["begins_at"], name="dmarc_report_begins")]

    def __str__(self) -> str:
        return f"{self.organization} {self.report_id}"


class DmarcRow(models.Model):
    """Mails from one IP address in a report. The address is that of a mail server."""

    report = models.ForeignKey(DmarcReport, on_delete=models.CASCADE, related_name="rows")
    source_ip = models.GenericIPAddressField(_("IP address"))
    count = models.PositiveIntegerField(_("mails"))
    disposition = models.CharField(_("disposition"), max_length=16)
    spf_aligned = models.BooleanField(_("SPF aligned"))
    dkim_aligned = models.BooleanField(_("DKIM aligned"))
    header_from = models.CharField(_("From"), max_length=MAX_DOMAIN)
    spf_domain = models.CharField(max_length=MAX_DOMAIN, blank=True, default="")
    dkim_domains = models.CharField(max_length=600, blank=True, default="", help_text=_("Separated by spaces."))

    class Meta:
        default_permissions = ()

    def __str__(self) -> str:
        return f"{self.source_ip} {self.count}"


class DomainCheck(models.Model):
    """The findings about the DNS of a sender's domain, as they were last checked.

    `findings` is a list of `{"code", "record", "severity", "values", "found"}`; sentences are made when it is shown.
    """

    domain = models.CharField(_("domain"), max_length=MAX_DOMAIN, unique=True)
    findings = models.JSONField(default=list)
    checked_at = models.DateTimeField(null=True)
    failed_at = models.DateTimeField(null=True, help_text=_("When the name server last did not answer, since then."))
    requested_at = models.DateTimeField(null=True, help_text=_("When an editor asked for a check."))

    class Meta:
        default_permissions = ()
        permissions = [
            ("view_deliverability", "Can view deliverability"),
            ("change_deliverability", "Can upload DMARC reports, check domains and acknowledge spam rates"),
        ]

    def __str__(self) -> str:
        return self.domain

    @property
    def is_requested(self) -> bool:
        """Whether an editor asked for a check that was not made yet."""
        return bool(self.requested_at and (not self.checked_at or self.requested_at > self.checked_at))


class LeftBy(models.TextChoices):
    """How a recipient had left."""

    UNSUBSCRIBED = "unsubscribed", _("Unsubscribed")
    SUPPRESSED = "suppressed", _("Suppressed")
    DECLINED = "declined", _("Declined: “This was not me”")


class MailAfterLeaving(models.Model):
    """A delivery that was accepted although its recipient had left before its batch was built. There must be none."""

    delivery = models.OneToOneField(Delivery, on_delete=models.DO_NOTHING, db_constraint=False, related_name="+")
    left_by = models.CharField(max_length=12, choices=LeftBy.choices)
    left_at = models.DateTimeField(null=True, help_text=_("Empty once the subscriber is erased."))
    mailed_at = models.DateTimeField(db_index=True)
    found_at = models.DateTimeField(default=timezone.now)

    class Meta:
        default_permissions = ()

    def __str__(self) -> str:
        return f"{self.delivery_id} {self.left_by}"


class LeavingCheck(models.Model):
    """Up to when accepted batches were compared with those who left. The only row of its table."""

    PK = 1

    checked_until = models.DateTimeField()

    class Meta:
        default_permissions = ()
        constraints = [models.CheckConstraint(condition=Q(pk=1), name="leaving_check_only_one")]

    def __str__(self) -> str:
        return f"{self.checked_until:%Y-%m-%d %H:%M}"
