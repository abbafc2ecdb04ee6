"""The revision: an issue's whole content after one save. Written once, never changed."""

from __future__ import annotations

from typing import Any

from django.db import models
from django.utils import timezone

from newsletter.models.issue import Issue


class RevisionIsKept(Exception):
    """Somebody tried to change a revision; save the issue again to make another."""

    permanent = True


class RevisionQuerySet(models.QuerySet["Revision"]):
    """Revisions can be read and made, not changed."""

    def update(self, **changes: Any) -> int:
        """Refused: what was saved then is what was saved then."""
        raise RevisionIsKept(f"A revision cannot be changed ({', '.join(changes)}).")


class Revision(models.Model):
    """What an issue said after a save, by whom and when. `number` is what `Issue.revision` was then."""

    issue = models.ForeignKey(Issue, on_delete=models.CASCADE, related_name="revisions")
    number = models.PositiveIntegerField()
    content = models.JSONField(help_text="The issue as it was saved.")
    by = models.CharField(max_length=150, help_text="An editor's name, or the step that saved it.")
    note = models.CharField(max_length=200, blank=True, help_text="What the save was, where it was no ordinary one.")
    saved_at = models.DateTimeField(default=timezone.now)

    objects = RevisionQuerySet.as_manager()

    class Meta:
        ordering = ["-number"]
        constraints = [models.UniqueConstraint(fields=["issue", "number"], name="revision_once_per_number")]

    def __str__(self) -> str:
        return f"Revision {self.number}"

    def save(self, *args: Any, **kwargs: Any) -> None:
        """Insert it; a second save is refused."""
        if not self._state.adding:
            raise RevisionIsKept("A revision cannot be changed; save the issue again.")
        super().save(*args, **kwargs)
