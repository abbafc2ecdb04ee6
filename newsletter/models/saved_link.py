"""The inbox: saved links of a newsletter, from which stories are made, with their tags and sightings."""

from __future__ import annotations

from django.db import models
from django.db.models import F, Q
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from newsletter.models.feed import Feed
from newsletter.models.issue import Issue
from newsletter.models.newsletter import Newsletter
from subscribers.state_machine import StateMachine


class SavedLinkState(models.TextChoices):
    """What editors decided about a link. The values of the first version, which knew entries of feeds only, stay."""

    NEW = "new", _("New")
    KEPT = "kept", _("Kept")
    USED = "used", _("Used")
    DISMISSED = "dismissed", _("Dropped")
    EXPIRED = "expired", _("Expired")


#: Links that wait for a decision or for an issue; they expire.
OPEN_LINKS = (SavedLinkState.NEW, SavedLinkState.KEPT)

SAVED_LINK_MACHINE = StateMachine(
    states=SavedLinkState,
    transitions={
        SavedLinkState.NEW: {
            SavedLinkState.KEPT,
            SavedLinkState.USED,
            SavedLinkState.DISMISSED,
            SavedLinkState.EXPIRED,
        },
        SavedLinkState.KEPT: {
            SavedLinkState.NEW,
            SavedLinkState.USED,
            SavedLinkState.DISMISSED,
            SavedLinkState.EXPIRED,
        },
        # Its story was removed from the draft, or the issue was deleted.
        SavedLinkState.USED: {SavedLinkState.NEW, SavedLinkState.KEPT},
        SavedLinkState.DISMISSED: {SavedLinkState.NEW, SavedLinkState.KEPT, SavedLinkState.USED},
        SavedLinkState.EXPIRED: {SavedLinkState.NEW, SavedLinkState.KEPT, SavedLinkState.USED},
    },
    initial_states={SavedLinkState.NEW},
)


class LinkWay(models.TextChoices):
    """How a link came to the inbox."""

    FEED = "feed", _("feed")
    FORM = "form", _("inbox")
    BUTTON = "button", _("save button")
    SHARE = "share", _("shared from a device")
    API = "api", _("API")


class MetadataState(models.TextChoices):
    """Whether title, source and summary of the page were fetched."""

    NONE = "none", _("Not needed")
    PENDING = "pending", _("Waiting")
    FETCHED = "fetched", _("Fetched")
    FAILED = "failed", _("Not fetched")


class LinkTag(models.Model):
    """A word that editors give to saved links of a newsletter."""

    newsletter = models.ForeignKey(Newsletter, on_delete=models.CASCADE, related_name="link_tags")
    name = models.CharField(max_length=40)

    class Meta:
        ordering = ["name"]
        constraints = [models.UniqueConstraint(fields=["newsletter", "name"], name="link_tag_once_per_newsletter")]

    def __str__(self) -> str:
        return self.name


class SavedLink(models.Model):
    """One link in the inbox of a newsletter, however often it was found or saved."""

    newsletter = models.ForeignKey(Newsletter, on_delete=models.CASCADE, related_name="saved_links")
    link_sha256 = models.CharField(max_length=64, help_text="What it is one link by, see `saved_link_sha256`.")
    page_sha256 = models.CharField(max_length=64, help_text="Of the page, by which stories with it are found.")
    url = models.CharField(max_length=2000)
    title = models.CharField(max_length=300, blank=True, help_text="Empty until the page was fetched.")
    source = models.CharField(max_length=100, blank=True)
    summary = models.TextField(blank=True)
    note = models.CharField(max_length=500, blank=True, db_default="")
    tags: models.ManyToManyField[LinkTag, TaggedLink] = models.ManyToManyField(
        LinkTag, through="TaggedLink", related_name="links"
    )
    published_at = models.DateTimeField(null=True)
    found_at = models.DateTimeField(default=timezone.now)
    state = models.CharField(max_length=9, choices=SavedLinkState.choices, default=SavedLinkState.NEW)
    expires_at = models.DateTimeField(help_text="When an open link leaves the list.")
    issue = models.ForeignKey(Issue, on_delete=models.SET_NULL, null=True, related_name="saved_links")
    way = models.CharField(max_length=6, choices=LinkWay.choices, default=LinkWay.FEED, db_default=LinkWay.FEED)
    feed = models.ForeignKey(Feed, on_delete=models.SET_NULL, null=True, related_name="links")
    saved_by = models.CharField(max_length=150, blank=True, db_default="", help_text="User name; empty for a feed.")
    times = models.PositiveSmallIntegerField(default=1, db_default=1, help_text="The number of its sightings.")
    metadata = models.CharField(
        max_length=7, choices=MetadataState.choices, default=MetadataState.NONE, db_default=MetadataState.NONE
    )
    metadata_problem = models.JSONField(null=True, help_text="Why the page was not fetched, as a sentence in parts.")
    tries = models.PositiveSmallIntegerField(default=0, db_default=0)
    fetch_at = models.DateTimeField(null=True, help_text="When the page may be fetched; only while it waits for that.")

    class Meta:
        verbose_name = _("saved link")
        verbose_name_plural = _("saved links")
        ordering = ["-found_at", "-pk"]
        constraints = [
            models.UniqueConstraint(fields=["newsletter", "link_sha256"], name="saved_link_once"),
            models.CheckConstraint(condition=Q(state__in=SavedLinkState.values), name="saved_link_state_known"),
            models.CheckConstraint(
                condition=Q(issue__isnull=True) | Q(state=SavedLinkState.USED), name="saved_link_used_has_issue"
            ),
            models.CheckConstraint(
                condition=Q(metadata=MetadataState.PENDING, fetch_at__isnull=False)
                | (~Q(metadata=MetadataState.PENDING) & Q(fetch_at__isnull=True)),
                name="saved_link_waits_for_a_time",
            ),
        ]
        indexes = [
            models.Index(F("newsletter"), F("state"), F("times").desc(), F("id").desc(), name="saved_link_by_times"),
            models.Index(F("newsletter"), F("state"), F("id").desc(), name="saved_link_by_age"),
            models.Index(fields=["newsletter", "state", "expires_at", "id"], name="saved_link_by_expiry"),
            models.Index(fields=["newsletter", "page_sha256"], name="saved_link_page"),
            models.Index(fields=["expires_at"], condition=Q(state__in=OPEN_LINKS), name="saved_link_to_expire"),
            models.Index(fields=["fetch_at"], condition=Q(metadata=MetadataState.PENDING), name="saved_link_to_fetch"),
        ]

    def __str__(self) -> str:
        return self.title or self.url


class TaggedLink(models.Model):
    """That a link has a tag."""

    link = models.ForeignKey(SavedLink, on_delete=models.CASCADE, related_name="+")
    tag = models.ForeignKey(LinkTag, on_delete=models.CASCADE, related_name="tagged")

    class Meta:
        constraints = [models.UniqueConstraint(fields=["link", "tag"], name="tagged_link_once")]

    def __str__(self) -> str:
        return f"{self.link_id} {self.tag_id}"


class Sighting(models.Model):
    """That a feed listed a link, or a user saved it: how often one is linked tells what is talked about."""

    link = models.ForeignKey(SavedLink, on_delete=models.CASCADE, related_name="sightings")
    feed = models.ForeignKey(Feed, on_delete=models.SET_NULL, null=True, related_name="sightings")
    guid = models.CharField(max_length=1000, blank=True, help_text="The feed's id of the entry.")
    by = models.CharField(max_length=150, blank=True, help_text="User name of who saved it; empty for a feed.")
    at = models.DateTimeField(default=timezone.now)

    class Meta:
        ordering = ["pk"]
        constraints = [
            models.UniqueConstraint(fields=["link", "feed"], name="sighting_once_per_feed"),
            models.UniqueConstraint(fields=["link", "by"], condition=~Q(by=""), name="sighting_once_per_user"),
        ]
        indexes = [models.Index(fields=["feed", "guid"], name="sighting_of_entry")]

    def __str__(self) -> str:
        return f"{self.link_id} {self.feed_id or self.by}"


class LinkToken(models.Model):
    """A key with which a program saves links to the inbox of one newsletter. Only its hash is kept."""

    newsletter = models.ForeignKey(Newsletter, on_delete=models.CASCADE, related_name="link_tokens")
    user = models.ForeignKey("auth.User", on_delete=models.CASCADE, related_name="+")
    name = models.CharField(_("name"), max_length=60, help_text=_("Where it is used, such as “Phone” or “Script”."))
    token_sha256 = models.CharField(max_length=64, unique=True)
    created_at = models.DateTimeField(default=timezone.now)
    used_at = models.DateTimeField(null=True)
    revoked_at = models.DateTimeField(null=True)
    minute_at = models.DateTimeField(null=True, help_text="When the minute began whose requests are counted.")
    in_minute = models.PositiveSmallIntegerField(default=0)

    class Meta:
        ordering = ["-pk"]
        indexes = [models.Index(fields=["newsletter", "user"], name="link_token_of_user")]

    def __str__(self) -> str:
        return self.name
