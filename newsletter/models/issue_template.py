"""Templates of issues: the sections and standing blocks from which drafts are made."""

from __future__ import annotations

from django.db import models
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from newsletter.models.newsletter import Newsletter


class IssueTemplate(models.Model):
    """A start for drafts of one newsletter: content as revisions store it, and patterns of title and subject."""

    newsletter = models.ForeignKey(
        Newsletter, on_delete=models.CASCADE, related_name="issue_templates", verbose_name=_("newsletter")
    )
    name = models.CharField(_("name"), max_length=100)
    title_pattern = models.CharField(
        _("title pattern"),
        max_length=150,
        blank=True,
        help_text=_("Leave empty to use the newsletter’s title pattern."),
    )
    subject_pattern = models.CharField(
        _("subject pattern"), max_length=150, blank=True, help_text=_("Leave empty to use the title.")
    )
    content = models.JSONField(_("content"), help_text=_("The content as revisions store it; without a title."))
    saved_by = models.CharField(_("saved by"), max_length=150, editable=False)
    saved_at = models.DateTimeField(_("saved at"), default=timezone.now, editable=False)

    class Meta:
        ordering = ["name", "pk"]
        verbose_name = _("issue template")
        verbose_name_plural = _("issue templates")
        constraints = [
            models.UniqueConstraint(fields=["newsletter", "name"], name="issue_template_name_once"),
        ]

    def __str__(self) -> str:
        return self.name
