"""Segments: saved filters over the subscriptions of a list."""

from __future__ import annotations

from django.db import models
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from subscribers.models.mailing_list import MailingList
from subscribers.models.subscription import Subscription


class Segment(models.Model):
    """A named part of a list: a tree of rules, or subscriptions that an editor has picked."""

    mailing_list = models.ForeignKey(
        MailingList, on_delete=models.CASCADE, related_name="segments", verbose_name=_("mailing list")
    )
    name = models.CharField(_("name"), max_length=100)
    is_picked = models.BooleanField(
        _("picked by hand"),
        default=False,
        editable=False,
        help_text=_("Its subscriptions are picked one by one; rules do not apply."),
    )
    rules = models.JSONField(
        _("rules"), default=dict, blank=True, help_text=_("A tree of groups and rules, see subscribers/segments.")
    )
    created_at = models.DateTimeField(_("created at"), default=timezone.now, editable=False)
    updated_at = models.DateTimeField(_("updated at"), auto_now=True)
    by = models.CharField(_("by"), max_length=150, blank=True, editable=False)

    class Meta:
        verbose_name, verbose_name_plural = _("segment"), _("segments")
        constraints = [
            models.UniqueConstraint(fields=["mailing_list", "name"], name="segment_name_once_per_list"),
        ]

    def __str__(self) -> str:
        return self.name


class SegmentPick(models.Model):
    """A subscription that an editor has picked for a segment."""

    segment = models.ForeignKey(Segment, on_delete=models.CASCADE, related_name="picks", db_index=False)
    subscription = models.ForeignKey(Subscription, on_delete=models.CASCADE, related_name="segment_picks")

    class Meta:
        default_permissions = ()
        constraints = [
            models.UniqueConstraint(fields=["segment", "subscription"], name="segment_pick_once"),
        ]

    def __str__(self) -> str:
        return f"{self.subscription} · {self.segment}"
