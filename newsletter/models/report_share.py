"""Shares: links by which a sponsor reads the numbers of one story, without an account."""

from __future__ import annotations

import datetime
from typing import ClassVar

from django.db import models
from django.db.models import Q
from django.utils import timezone
from django.utils.translation import gettext, pgettext
from django.utils.translation import gettext_lazy as _

from newsletter.models.send import Send


class ReportShareQuerySet(models.QuerySet["ReportShare"]):
    def valid(self, at: datetime.datetime) -> ReportShareQuerySet:
        """Those whose link works at this time."""
        return self.filter(Q(expires_at__isnull=True) | Q(expires_at__gt=at), revoked_at__isnull=True)


class ReportShare(models.Model):
    """One link to the numbers of one story. Of its token only the hash is stored; who opens it is not recorded."""

    send = models.ForeignKey(Send, on_delete=models.CASCADE, related_name="shares", verbose_name=_("send"))
    number = models.PositiveSmallIntegerField(help_text=_("Which link of the edition it is about."))
    token_sha256 = models.CharField(max_length=64, unique=True, editable=False)
    created_at = models.DateTimeField(_("created at"), default=timezone.now)
    created_by = models.CharField(_("created by"), max_length=150)
    expires_at = models.DateTimeField(_("expires at"), null=True, help_text=_("Empty: it works until it is revoked."))
    revoked_at = models.DateTimeField(_("revoked at"), null=True)
    revoked_by = models.CharField(_("revoked by"), max_length=150, blank=True, default="")

    objects: ClassVar[ReportShareQuerySet] = ReportShareQuerySet.as_manager()  # type: ignore[assignment]

    class Meta:
        verbose_name, verbose_name_plural = _("shared report"), _("shared reports")
        ordering = ["-pk"]
        default_permissions = ()
        permissions = [("share_report", "Can share the numbers of a story by a link, and revoke such links")]
        constraints = [
            models.CheckConstraint(
                condition=Q(revoked_at__isnull=True, revoked_by="") | (Q(revoked_at__isnull=False) & ~Q(revoked_by="")),
                name="report_share_revoked_by_someone",
            ),
        ]

    def __str__(self) -> str:
        return gettext("shared report %(number)s") % {"number": self.pk}

    def state_in_words(self, at: datetime.datetime) -> str:
        """Whether its link works at this time, and if not, why."""
        if self.revoked_at is not None:
            return pgettext("shared report", "Revoked")
        if self.expires_at is not None and self.expires_at <= at:
            return pgettext("shared report", "Expired")
        return pgettext("shared report", "Active")
