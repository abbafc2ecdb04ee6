"""The unfinished draft: what an editor typed into the compose page and the issue cannot hold yet."""

from __future__ import annotations

from django.db import models
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from newsletter.models.issue import Issue


class UnfinishedDraft(models.Model):
    """The compose form of one open page as it was typed: with errors, or based on a revision that is not the latest.

    It is deleted when its page saves the text as content, or when its editor discards it.
    """

    issue = models.ForeignKey(Issue, on_delete=models.CASCADE, related_name="unfinished_drafts")
    by = models.CharField(gettext_lazy("typed by"), max_length=150, help_text=gettext_lazy("User name."))
    page = models.CharField(
        gettext_lazy("page"),
        max_length=40,
        help_text=gettext_lazy("Key of the open page, so that two tabs do not replace each other’s text."),
    )
    fields = models.JSONField(
        gettext_lazy("fields"), help_text=gettext_lazy("The names of the form’s fields, each with its values.")
    )
    saved_at = models.DateTimeField(gettext_lazy("saved at"), default=timezone.now)

    class Meta:
        ordering = ["-saved_at", "-pk"]
        constraints = [models.UniqueConstraint(fields=["issue", "by", "page"], name="unfinished_draft_once_per_page")]
        verbose_name = gettext_lazy("unfinished draft")
        verbose_name_plural = gettext_lazy("unfinished drafts")

    def __str__(self) -> str:
        return _("Unfinished draft of %(issue)s") % {"issue": self.issue}
