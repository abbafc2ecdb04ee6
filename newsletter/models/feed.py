"""Feeds that a newsletter follows; their entries become saved links."""

from __future__ import annotations

from django.db import models
from django.db.models import Q
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from newsletter.models.newsletter import Newsletter


class Feed(models.Model):
    """An RSS, Atom or JSON feed from which the editors of a newsletter pick stories."""

    newsletter = models.ForeignKey(Newsletter, on_delete=models.CASCADE, related_name="feeds")
    url = models.CharField(_("address"), max_length=1000)
    source = models.CharField(
        _("source"),
        max_length=100,
        blank=True,
        help_text=_("The source of its stories. Leave empty to use the title of the feed."),
    )
    section = models.CharField(
        _("section"),
        max_length=200,
        blank=True,
        help_text=_("The section for its stories. Leave empty to choose one when stories are added."),
    )
    is_active = models.BooleanField(_("active"), default=True, help_text=_("Whether the feed is fetched."))
    title = models.CharField(max_length=300, blank=True, editable=False, help_text="From the feed itself.")
    etag = models.CharField(max_length=300, blank=True, editable=False)
    last_modified = models.CharField(max_length=100, blank=True, editable=False)
    polled_at = models.DateTimeField(null=True, editable=False)
    next_poll_at = models.DateTimeField(default=timezone.now, editable=False)
    failures = models.PositiveSmallIntegerField(default=0, editable=False)
    problem = models.CharField(
        max_length=300, blank=True, editable=False, help_text="Why the last fetch failed, as a code."
    )
    problem_detail = models.JSONField(default=dict, editable=False, help_text="The values of the problem.")
    new_links = models.PositiveSmallIntegerField(
        default=0, db_default=0, editable=False, help_text="Links that the last fetch added."
    )
    without_link = models.PositiveSmallIntegerField(
        default=0, db_default=0, editable=False, help_text="Entries without a web link in the last document."
    )

    class Meta:
        verbose_name = _("feed")
        verbose_name_plural = _("feeds")
        ordering = ["pk"]
        constraints = [models.UniqueConstraint(fields=["newsletter", "url"], name="feed_once_per_newsletter")]
        indexes = [models.Index(fields=["next_poll_at"], condition=Q(is_active=True), name="feed_due")]

    def __str__(self) -> str:
        return self.source or self.title or self.url
