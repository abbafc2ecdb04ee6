"""Exports: who took which subscribers out, and when."""

from __future__ import annotations

from django.db import models
from django.db.models import Q
from django.utils import timezone
from django.utils.translation import gettext_lazy as _
from django.utils.translation import pgettext_lazy


class ExportFormat(models.TextChoices):
    """The form of the file."""

    CSV = "csv", pgettext_lazy("file format", "CSV, for spreadsheets and other tools")
    JSONL = "jsonl", pgettext_lazy("file format", "JSON Lines, with all consents")


class Export(models.Model):
    """One export of subscribers: a record for the operator's duty to know where personal data went."""

    list_name = models.CharField(_("mailing list"), max_length=100)
    selection = models.JSONField(
        _("selection"), help_text=_("A filter or keys of subscribers, see subscribers/directory/selection.py.")
    )
    format = models.CharField(_("format"), max_length=5, choices=ExportFormat.choices)
    by = models.CharField(_("by"), max_length=150, help_text=_("A user name, or “export_subscribers”: the command."))
    created_at = models.DateTimeField(_("created at"), default=timezone.now, editable=False)
    finished_at = models.DateTimeField(
        _("finished at"), null=True, help_text=_("Empty: it was broken off, or is still running.")
    )
    rows = models.PositiveIntegerField(_("rows"), default=0)

    class Meta:
        verbose_name, verbose_name_plural = _("export"), _("exports")
        default_permissions = ("view",)
        constraints = [models.CheckConstraint(condition=Q(format__in=ExportFormat.values), name="export_format_known")]

    def __str__(self) -> str:
        return f"{self.list_name} · {self.by}"
