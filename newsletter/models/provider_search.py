"""The provider search: a batch with an unknown outcome, looked for in the provider's own list of mails."""

from __future__ import annotations

from django.db import models
from django.db.models import Q
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from newsletter.models.batch import Batch
from newsletter.models.reasons import reason_sentence


class SearchResult(models.TextChoices):
    """What a search has found. All but OPEN are final, and their row is the record of the proof."""

    OPEN = "open", _("Searching")
    FOUND = "found", _("Sent")
    ABSENT = "absent", _("Not sent")
    PARTLY = "partly", _("Only some mails found")
    UNPROVEN = "unproven", _("No proof")
    MOOT = "moot", _("Settled otherwise")


class ProviderSearch(models.Model):
    """One search for a batch, a page at a time.

    A batch is sent again automatically only on the strength of an ABSENT one.
    """

    batch = models.ForeignKey(Batch, on_delete=models.PROTECT, related_name="provider_searches")
    attempts = models.PositiveIntegerField(
        help_text=_("The batch's attempts when it began; another one makes it moot.")
    )
    since = models.DateTimeField(help_text=_("No mail of the batch can be older than this."))
    until = models.DateTimeField(help_text=_("No mail of the batch can be newer than this."))
    cursor = models.CharField(max_length=64, blank=True, help_text=_("The last mail that was read."))
    mails_read = models.PositiveIntegerField(default=0)
    found = models.JSONField(default=dict, help_text=_("The provider's ids by the message's place in the batch."))
    result = models.CharField(max_length=8, choices=SearchResult.choices, default=SearchResult.OPEN)
    reason = models.CharField(max_length=64, blank=True, default="", help_text=_("Code of why it ended so."))
    values = models.JSONField(default=dict)
    by = models.CharField(max_length=150)
    started_at = models.DateTimeField(default=timezone.now)
    read_at = models.DateTimeField(null=True, help_text=_("When the last page was read."))
    finished_at = models.DateTimeField(null=True)

    class Meta:
        ordering = ["pk"]
        constraints = [
            models.UniqueConstraint(
                fields=["batch"], condition=Q(result=SearchResult.OPEN), name="provider_search_one_per_batch"
            ),
            models.CheckConstraint(condition=Q(result__in=SearchResult.values), name="provider_search_result_known"),
            models.CheckConstraint(
                condition=Q(result=SearchResult.OPEN) | Q(finished_at__isnull=False),
                name="provider_search_result_has_its_time",
            ),
        ]

    def __str__(self) -> str:
        return f"provider search {self.pk} of batch {self.batch_id}"

    @property
    def sentence(self) -> str:
        """Why it ended so."""
        return reason_sentence(self.reason, self.values)
