"""The revision: an issue's whole content after one save. Immutable."""

from __future__ import annotations

from typing import Any

from django.db import models
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from newsletter.models.issue import Issue
from newsletter.models.reasons import actor_name

_NOTES = {
    "before_revisions": gettext_lazy("Content from before revisions were kept"),
    "restored": gettext_lazy("Restored revision %(detail)s"),
    "imported": gettext_lazy("Imported from a file"),
    "archive": gettext_lazy("Imported from an archive"),
    "recurring": gettext_lazy("Created for a recurring schedule"),
    "weekly": gettext_lazy("Composed as the weekly digest"),
    "autosave": gettext_lazy("Autosaved"),
    "picture": gettext_lazy("Picture changed in the library: %(detail)s"),
    "copied": gettext_lazy("Copied from “%(detail)s”"),
    "like": gettext_lazy("Made like “%(detail)s”"),
    "template": gettext_lazy("Made from the template “%(detail)s”"),
    "suggestion": gettext_lazy("Suggestion used: %(detail)s"),
}


class RevisionIsImmutable(Exception):
    """A revision was changed; save the issue again to make another."""

    permanent = True


class RevisionQuerySet(models.QuerySet["Revision"]):
    """Revisions can be read and created, not changed."""

    def update(self, **changes: Any) -> int:
        """Refused."""
        raise RevisionIsImmutable(f"A revision cannot be changed ({', '.join(changes)}).")


class Revision(models.Model):
    """The content of an issue after a save, by whom and when. `number` is the value of `Issue.revision` then."""

    issue = models.ForeignKey(Issue, on_delete=models.CASCADE, related_name="revisions")
    number = models.PositiveIntegerField(gettext_lazy("number"))
    content = models.JSONField(gettext_lazy("content"), help_text=gettext_lazy("The content of the issue as saved."))
    by = models.CharField(
        gettext_lazy("saved by"), max_length=150, help_text=gettext_lazy("User name, or the step that saved it.")
    )
    note = models.CharField(
        gettext_lazy("note"),
        max_length=200,
        blank=True,
        help_text=gettext_lazy("Code of a save other than an editor's, with its detail after a colon: restored:3."),
    )
    saved_at = models.DateTimeField(gettext_lazy("saved at"), default=timezone.now)
    autosaved_since = models.DateTimeField(
        gettext_lazy("autosaved since"),
        null=True,
        blank=True,
        help_text=gettext_lazy("When the first autosave in this revision was made. Empty: it was not autosaved."),
    )

    objects = RevisionQuerySet.as_manager()

    class Meta:
        ordering = ["-number"]
        constraints = [models.UniqueConstraint(fields=["issue", "number"], name="revision_once_per_number")]
        verbose_name = gettext_lazy("revision")
        verbose_name_plural = gettext_lazy("revisions")

    def __str__(self) -> str:
        return _("Revision %(number)s") % {"number": self.number}

    def save(self, *args: Any, **kwargs: Any) -> None:
        """Insert it; a second save is refused."""
        if not self._state.adding:
            raise RevisionIsImmutable("A revision cannot be changed; save the issue again.")
        super().save(*args, **kwargs)

    @property
    def actor(self) -> str:
        """Who saved it, as shown."""
        return actor_name(self.by)

    @property
    def note_text(self) -> str:
        """The note as a sentence in the active language; a note without a known code as it is stored."""
        code, _colon, detail = self.note.partition(":")
        return str(_NOTES[code]) % {"detail": detail} if code in _NOTES else self.note
