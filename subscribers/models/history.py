"""What editors note about a subscriber, and what was changed. Steps of subscriptions are consents instead."""

from __future__ import annotations

from typing import ClassVar

from django.db import models
from django.db.models import Q
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from subscribers.models.subscriber import Subscriber
from subscribers.models.subscription import Subscription


class Note(models.Model):
    """A note of the team about a subscriber. Subscribers get it when they ask for their data."""

    subscriber = models.ForeignKey(
        Subscriber, on_delete=models.CASCADE, related_name="notes", verbose_name=_("subscriber")
    )
    text = models.TextField(_("text"), max_length=5000)
    by = models.CharField(_("by"), max_length=150)
    created_at = models.DateTimeField(_("created at"), default=timezone.now, editable=False)

    class Meta:
        verbose_name, verbose_name_plural = _("note"), _("notes")
        ordering: ClassVar = ["-pk"]

    def __str__(self) -> str:
        return self.text[:60]


class ChangeKind(models.TextChoices):
    """What was changed. `values` has the details."""

    ADDRESS = "address", _("Address changed")
    NAME = "name", _("Name changed")
    TIME_ZONE = "time_zone", _("Time zone changed")
    LANGUAGE = "language", _("Language changed")
    FIELD = "field", _("Field changed")
    TAG_ADDED = "tag_added", _("Tag added")
    TAG_REMOVED = "tag_removed", _("Tag removed")
    TOPICS = "topics", _("Topics changed")
    FREQUENCY = "frequency", _("Frequency changed")
    MERGED = "merged", _("Merged with another address")
    TRACKING = "tracking", _("Consent to tracking changed")
    LIFTED = "lifted", _("Suppression lifted")


class Change(models.Model):
    """One change of what is known about a subscriber. Deleted with the subscriber."""

    subscriber = models.ForeignKey(
        Subscriber, on_delete=models.CASCADE, related_name="changes", verbose_name=_("subscriber")
    )
    subscription = models.ForeignKey(
        Subscription, on_delete=models.CASCADE, null=True, related_name="+", verbose_name=_("subscription")
    )
    kind = models.CharField(_("kind"), max_length=12, choices=ChangeKind.choices)
    values = models.JSONField(_("values"), default=dict, help_text=_("The values before and after: “from” and “to”."))
    by = models.CharField(
        _("by"), max_length=150, blank=True, help_text=_("The editor’s user name. Empty if the subscriber acted.")
    )
    created_at = models.DateTimeField(_("created at"), default=timezone.now, editable=False)

    class Meta:
        verbose_name, verbose_name_plural = _("change"), _("changes")
        default_permissions = ()
        ordering: ClassVar = ["-pk"]
        constraints = [models.CheckConstraint(condition=Q(kind__in=ChangeKind.values), name="change_kind_known")]

    def __str__(self) -> str:
        return str(self.get_kind_display())
