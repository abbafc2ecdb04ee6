"""Snippets: parts of issues that come back, and their versions."""

from __future__ import annotations

from typing import Any

from django.db import models
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from newsletter.models.newsletter import Newsletter


class Snippet(models.Model):
    """Rows under a name, such as an imprint, that editors copy into issues. Its text is that of the newest version."""

    newsletter = models.ForeignKey(
        Newsletter, on_delete=models.CASCADE, related_name="snippets", verbose_name=gettext_lazy("newsletter")
    )
    name = models.CharField(gettext_lazy("name"), max_length=60)

    class Meta:
        ordering = ["name", "pk"]
        verbose_name = gettext_lazy("snippet")
        verbose_name_plural = gettext_lazy("snippets")
        constraints = [models.UniqueConstraint(fields=["newsletter", "name"], name="snippet_name_once")]

    def __str__(self) -> str:
        return self.name


class SnippetVersionIsImmutable(Exception):
    """A version of a snippet was changed; save the snippet again to make another."""

    permanent = True


class SnippetVersionQuerySet(models.QuerySet["SnippetVersion"]):
    """Versions can be read and created, not changed."""

    def update(self, **changes: Any) -> int:
        """Refused."""
        raise SnippetVersionIsImmutable(f"A version of a snippet cannot be changed ({', '.join(changes)}).")


class SnippetVersion(models.Model):
    """The text of a snippet after one save. Issues hold copies, so a new version changes none of them."""

    snippet = models.ForeignKey(Snippet, on_delete=models.CASCADE, related_name="versions")
    number = models.PositiveIntegerField(gettext_lazy("number"), help_text=gettext_lazy("Counted from 1."))
    text = models.TextField(gettext_lazy("text"), help_text=gettext_lazy("Markdown, as in an issue file."))
    saved_by = models.CharField(gettext_lazy("saved by"), max_length=150)
    saved_at = models.DateTimeField(gettext_lazy("saved at"), default=timezone.now)

    objects = SnippetVersionQuerySet.as_manager()

    class Meta:
        ordering = ["-number"]
        default_permissions = ()
        constraints = [models.UniqueConstraint(fields=["snippet", "number"], name="snippet_version_once")]

    def __str__(self) -> str:
        return _("Version %(number)s") % {"number": self.number}

    def save(self, *args: Any, **kwargs: Any) -> None:
        """Insert it; a second save is refused."""
        if not self._state.adding:
            raise SnippetVersionIsImmutable("A version of a snippet cannot be changed; save the snippet again.")
        super().save(*args, **kwargs)
