"""Links of sent mails that lead nowhere any more, such as those to a site that was hacked, with who disabled them."""

from __future__ import annotations

from django.db import models
from django.db.models import Q
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from newsletter.models.edition import Edition


class DisabledLink(models.Model):
    """A link of an edition is disabled, or was. A row is only ended; it stays as the history."""

    edition = models.ForeignKey(Edition, on_delete=models.CASCADE, related_name="disabled_links")
    number = models.PositiveIntegerField(help_text=_("As the tokens of its mails name it."))
    by = models.CharField(max_length=150, help_text=_("An editor's user name."))
    text = models.CharField(_("reason"), max_length=500)
    at = models.DateTimeField(default=timezone.now)
    ended_by = models.CharField(max_length=150, blank=True, default="")
    ended_at = models.DateTimeField(null=True, help_text=_("When it was enabled again."))

    class Meta:
        default_permissions = ()
        constraints = [
            models.UniqueConstraint(
                fields=["edition", "number"], condition=Q(ended_at__isnull=True), name="disabled_link_once"
            ),
            models.CheckConstraint(condition=~Q(text=""), name="disabled_link_with_a_reason"),
        ]

    def __str__(self) -> str:
        return f"{self.edition_id} {self.number}"
