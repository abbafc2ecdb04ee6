"""The edition: the frozen rendering of one revision of an issue. Immutable."""

from __future__ import annotations

from typing import Any

from django.db import models
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

#: Columns that hold the rendering itself: lists and hot paths do without them.
LARGE_COLUMNS = ("html", "text", "content", "links", "envelope", "engagement")


class EditionIsFrozen(Exception):
    """An edition was changed; freeze the issue again to make another."""


class EditionQuerySet(models.QuerySet["Edition"]):
    """Editions can be read and created, not changed."""

    def remember_source(self, source_sha256: str) -> None:
        """Note the source that these editions are rendered from now; it is a cache key, and no part of what is sent."""
        super().update(source_sha256=source_sha256)

    def update(self, **changes: Any) -> int:
        """Refused: the approved edition is the one that is sent."""
        raise EditionIsFrozen(f"An edition cannot be changed ({', '.join(changes)}).")


class Edition(models.Model):
    """Everything that all recipients of an issue share, with placeholders where their mails differ.

    `html` and `text` contain placeholder tokens made with `nonce`; `envelope` holds sender, reply-to and header values
    in the same way; `content` is the issue as frozen, for the archive. `sha256` covers what is sent.
    """

    issue = models.ForeignKey("Issue", on_delete=models.PROTECT, related_name="editions", verbose_name=_("issue"))
    revision = models.PositiveIntegerField(_("revision"))
    subject = models.CharField(_("subject"), max_length=200)
    html = models.TextField(_("HTML part"))
    text = models.TextField(_("text part"))
    nonce = models.CharField(_("nonce"), max_length=32)
    merges = models.JSONField(
        _("merge fields"),
        default=dict,
        help_text=_("The merge fields: name of the placeholder to field and fallback."),
    )
    envelope = models.JSONField(_("headers"))
    links = models.JSONField(_("links"), default=list, help_text=_("Every link of the content: url, label, place."))
    engagement = models.JSONField(
        _("opens and clicks"),
        default=dict,
        blank=True,
        help_text=_("The source of opens and clicks when it was frozen, and the numbered links. Empty: none."),
    )
    content = models.JSONField(_("content"), help_text=_("The content of the issue as frozen."))
    sha256 = models.CharField(_("SHA-256"), max_length=64)
    source_sha256 = models.CharField(
        _("SHA-256 of the source"),
        max_length=64,
        blank=True,
        default="",
        help_text=_("Covers everything the edition is rendered from. The issue is rendered again only if it changes."),
    )
    created_at = models.DateTimeField(_("created at"), default=timezone.now)

    objects = EditionQuerySet.as_manager()

    class Meta:
        verbose_name = _("edition")
        verbose_name_plural = _("editions")
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
