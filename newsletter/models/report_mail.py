"""The report mail: a mail to DMARC_REPORT_ADDRESS, whose attachments are fetched and imported."""

from __future__ import annotations

from django.db import models
from django.db.models import Q
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from newsletter.models.deliverability import MAX_DOMAIN
from subscribers.state_machine import StateMachine


class ReportMailState(models.TextChoices):
    """What became of a mail with a report."""

    WAITING = "waiting", _("Waiting")
    IMPORTED = "imported", _("Imported")
    REFUSED = "refused", _("Refused")


REPORT_MAIL_MACHINE = StateMachine(
    states=ReportMailState,
    transitions={
        ReportMailState.WAITING: {ReportMailState.IMPORTED, ReportMailState.REFUSED},
        ReportMailState.IMPORTED: set(),
        # An editor has it fetched again.
        ReportMailState.REFUSED: {ReportMailState.WAITING},
    },
    initial_states={ReportMailState.WAITING},
)


class ReportMail(models.Model):
    """One received mail, once per provider and id of the mail. Of its sender it keeps the domain only."""

    provider = models.CharField(_("provider"), max_length=16)
    mail_id = models.CharField(_("provider's id"), max_length=64)
    sender_domain = models.CharField(_("sender's domain"), max_length=MAX_DOMAIN, blank=True, default="")
    received_at = models.DateTimeField(_("received at"))
    state = models.CharField(_("state"), max_length=8, choices=ReportMailState.choices, default=ReportMailState.WAITING)
    next_at = models.DateTimeField(
        default=timezone.now, help_text=_("When it is fetched next; set ahead while a worker does.")
    )
    attempts = models.PositiveSmallIntegerField(default=0)
    code = models.CharField(max_length=64, blank=True, default="", help_text=_("Code of the last failure."))
    values = models.JSONField(default=dict, help_text=_("Values of its sentence."))
    added = models.PositiveSmallIntegerField(default=0, help_text=_("Reports that were new."))
    known = models.PositiveSmallIntegerField(default=0, help_text=_("Reports that were there before."))
    finished_at = models.DateTimeField(null=True)

    class Meta:
        verbose_name = _("mail with DMARC reports")
        verbose_name_plural = _("mails with DMARC reports")
        default_permissions = ()
        constraints = [
            models.UniqueConstraint(fields=["provider", "mail_id"], name="report_mail_once"),
            models.CheckConstraint(condition=Q(state__in=ReportMailState.values), name="report_mail_state_known"),
        ]
        indexes = [
            models.Index(fields=["next_at"], condition=Q(state=ReportMailState.WAITING), name="report_mail_due"),
            models.Index(fields=["finished_at"], name="report_mail_finished"),
        ]

    def __str__(self) -> str:
        return f"{self.sender_domain} {self.received_at:%Y-%m-%d}"
