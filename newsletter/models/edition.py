"""The edition: the frozen rendering of one revision of an issue. Written once, never changed."""

from __future__ import annotations

from typing import Any

from django.db import models
from django.utils import timezone


class EditionIsFrozen(Exception):
    """Somebody tried to change an edition; make a new one by freezing the issue again."""

    permanent = True


class EditionQuerySet(models.QuerySet["Edition"]):
    """Editions can be read and made, not changed."""

    def update(self, **changes: Any) -> int:
        """Refused: what was approved is what goes out."""
        raise EditionIsFrozen(f"An edition cannot be changed ({', '.join(changes)}).")


class Edition(models.Model):
    """Everything that all readers of an issue share, with slots where they differ.

    `html` and `text` contain slot tokens of `nonce`; `envelope` holds sender, reply-to and header values in the
    same way; `content` is the issue as it was, for the archive. `sha256` covers all of them.
    """

    issue = models.ForeignKey("Issue", on_delete=models.PROTECT, related_name="editions")
    revision = models.PositiveIntegerField()
    subject = models.CharField(max_length=200)
    html = models.TextField()
    text = models.TextField()
    nonce = models.CharField(max_length=32)
    merges = models.JSONField(
        default=dict, help_text="What stands in slots of merge fields: slot name to field and fallback."
    )
    envelope = models.JSONField()
    links = models.JSONField(default=list, help_text="Every link an editor set: url, label, place.")
    content = models.JSONField(help_text="The issue as it was frozen.")
    sha256 = models.CharField(max_length=64)
    source_sha256 = models.CharField(
        max_length=64,
        blank=True,
        default="",
        help_text="Of everything it was rendered from: while that stays, nothing is rendered again.",
    )
    created_at = models.DateTimeField(default=timezone.now)

    objects = EditionQuerySet.as_manager()

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["issue", "sha256"], name="edition_once_per_rendering"),
        ]
        indexes = [models.Index(fields=["issue", "source_sha256"], name="edition_by_source")]

    def __str__(self) -> str:
        return f"{self.subject} · {self.sha256[:12]}"

    def save(self, *args: Any, **kwargs: Any) -> None:
        """Insert it; a second save is refused."""
        if not self._state.adding:
            raise EditionIsFrozen("An edition cannot be changed; freeze the issue again.")
        super().save(*args, **kwargs)
