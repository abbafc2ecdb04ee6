"""Feeds that a newsletter follows, and what they brought: candidates for stories."""

from __future__ import annotations

from django.db import models
from django.db.models import Q
from django.utils import timezone

from newsletter.models.issue import Issue
from newsletter.models.newsletter import Newsletter


class Feed(models.Model):
    """An RSS, Atom or JSON feed from which editors of a newsletter pick stories."""

    newsletter = models.ForeignKey(Newsletter, on_delete=models.CASCADE, related_name="feeds")
    url = models.CharField("address", max_length=1000)
    source = models.CharField(
        max_length=100, blank=True, help_text="What its stories name as their source. Empty: the feed's own title."
    )
    section = models.CharField(
        max_length=200, blank=True, help_text="The section that its stories go to. Empty: chosen when they are added."
    )
    is_active = models.BooleanField("active", default=True, help_text="Whether it is looked at.")
    title = models.CharField(max_length=300, blank=True, editable=False, help_text="The feed's own title.")
    etag = models.CharField(max_length=300, blank=True, editable=False)
    last_modified = models.CharField(max_length=100, blank=True, editable=False)
    polled_at = models.DateTimeField(null=True, editable=False)
    next_poll_at = models.DateTimeField(default=timezone.now, editable=False)
    failures = models.PositiveSmallIntegerField(default=0, editable=False)
    problem = models.CharField(max_length=300, blank=True, editable=False, help_text="Why the last look failed.")

    class Meta:
        ordering = ["pk"]
        constraints = [models.UniqueConstraint(fields=["newsletter", "url"], name="feed_once_per_newsletter")]
        indexes = [models.Index(fields=["next_poll_at"], condition=Q(is_active=True), name="feed_due")]

    def __str__(self) -> str:
        return self.source or self.title or self.url


class FeedItemState(models.TextChoices):
    """What an editor did with an item."""

    NEW = "new", "New"
    USED = "used", "Used"
    DISMISSED = "dismissed", "Dismissed"


class FeedItem(models.Model):
    """One entry of a feed. A link comes once per newsletter, whichever of its feeds bring it (R-156)."""

    feed = models.ForeignKey(Feed, on_delete=models.CASCADE, related_name="items")
    newsletter = models.ForeignKey(Newsletter, on_delete=models.CASCADE, related_name="feed_items")
    link_sha256 = models.CharField(max_length=64, help_text="Of the link without what only tracks.")
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
