"""Mail domains: what the DNS says about them, kept for a day."""

from __future__ import annotations

from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _


class MailDomainStatus(models.TextChoices):
    """Whether a domain accepts mail."""

    ACCEPTS = "accepts", _("It has a mail server")
    NULL_MX = "null_mx", _("It accepts no mail (null MX)")  # RFC 7505
    MISSING = "missing", _("It has no mail server")  # neither MX nor an address (RFC 5321 §5.1)
    UNKNOWN = "unknown", _("The DNS did not answer")


class MailDomain(models.Model):
    """The cached answer of the DNS about one domain."""

    domain = models.CharField(max_length=253, primary_key=True)
    status = models.CharField(max_length=8, choices=MailDomainStatus.choices)
    checked_at = models.DateTimeField(db_index=True)

    class Meta:
        default_permissions = ()
        constraints = [
            models.CheckConstraint(condition=Q(status__in=MailDomainStatus.values), name="mail_domain_status_known")
        ]

    def __str__(self) -> str:
        return f"{self.domain}: {self.get_status_display()}"
