"""Feeds that a newsletter follows, and their entries, from which editors pick stories."""

from __future__ import annotations

from django.db import models
from django.db.models import Q
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from newsletter.models.issue import Issue
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

    class Meta:
        verbose_name = _("feed")
        verbose_name_plural = _("feeds")
        ordering = ["pk"]
        constraints = [models.UniqueConstraint(fields=["newsletter", "url"], name="feed_once_per_newsletter")]
        indexes = [models.Index(fields=["next_poll_at"], condition=Q(is_active=True), name="feed_due")]

    def __str__(self) -> str:
        return self.source or self.title or self.url


class FeedItemState(models.TextChoices):
    """Whether an editor has used or dismissed an item."""

    NEW = "new", _("New")
    USED = "used", _("Used")
    DISMISSED = "dismissed", _("Dismissed")


class FeedItem(models.Model):
    """One entry of a feed. A newsletter has one item per link, even if several of its feeds contain it."""

    feed = models.ForeignKey(Feed, on_delete=models.CASCADE, related_name="items")
    newsletter = models.ForeignKey(Newsletter, on_delete=models.CASCADE, related_name="feed_items")
    link_sha256 = models.CharField(max_length=64, help_text="Of the link without tracking parameters.")
    guid = models.CharField(max_length=1000, blank=True)
    title = models.CharField(max_length=300)
    url = models.CharField(max_length=2000)
    source = models.CharField(max_length=100, blank=True)
    summary = models.TextField(blank=True)
    published_at = models.DateTimeField(null=True)
    found_at = models.DateTimeField(default=timezone.now)
    state = models.CharField(max_length=9, choices=FeedItemState.choices, default=FeedItemState.NEW)
    issue = models.ForeignKey(Issue, on_delete=models.SET_NULL, null=True, related_name="feed_items")

    class Meta:
        ordering = ["-found_at", "-pk"]
        constraints = [
            models.UniqueConstraint(fields=["newsletter", "link_sha256"], name="feed_item_once_per_link"),
            models.CheckConstraint(condition=Q(state__in=FeedItemState.values), name="feed_item_state_known"),
        ]
        indexes = [models.Index(fields=["newsletter", "state", "-found_at"], name="feed_item_to_pick")]

    def __str__(self) -> str:
        return self.title
