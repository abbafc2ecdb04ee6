"""The look-up: a batch in doubt, searched for in the provider's own list."""

from __future__ import annotations

from django.db import models
from django.db.models import Q
from django.utils import timezone

from newsletter.models.delivery import Batch


class SearchResult(models.TextChoices):
    """What a look-up has found; all but OPEN are final, and their row is the record of the proof (R-110)."""

    OPEN = "open", "Still reading"
    FOUND = "found", "It went out"
    ABSENT = "absent", "It did not go out"
    PARTLY = "partly", "Only some of it is there"
    UNPROVEN = "unproven", "The list proves nothing"
    MOOT = "moot", "Settled by other means"


class ProviderSearch(models.Model):
    """One search, a page a turn. A batch is posted anew without a person only on the strength of an ABSENT one."""

    batch = models.ForeignKey(Batch, on_delete=models.PROTECT, related_name="provider_searches")
    attempts = models.PositiveIntegerField(help_text="The batch's attempts when it began; another one makes it moot.")
    since = models.DateTimeField(help_text="No mail of the batch can be older than this.")
    until = models.DateTimeField(help_text="No mail of the batch can be younger than this.")
    cursor = models.CharField(max_length=64, blank=True, help_text="The last mail that was read.")
    mails_read = models.PositiveIntegerField(default=0)
    found = models.JSONField(default=dict, help_text="The provider's ids by the message's place in the batch.")
    result = models.CharField(max_length=8, choices=SearchResult.choices, default=SearchResult.OPEN)
    sentence = models.CharField(max_length=500, blank=True)
    by = models.CharField(max_length=150)
    started_at = models.DateTimeField(default=timezone.now)
    read_at = models.DateTimeField(null=True, help_text="When the last page was read.")
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
        return f"look-up {self.pk} of batch {self.batch_id}"
