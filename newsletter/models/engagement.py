"""Opens and clicks: the hits as they came, with what they were judged to be, and their counters."""

from __future__ import annotations

from typing import Any

from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _

from newsletter.models.edition import Edition

#: Numbers of what can be fetched beside the links of an edition, which follow from FIRST_LINK on. OTHER_LINK are links
#: of a mail that have no number of their own, as a provider reports them: to the archive, to the page of the issue.
OPEN, CANARY_EARLY, CANARY_LATE, OTHER_LINK, FIRST_LINK = 0, 1, 2, 3, 4

#: Links that no subscriber sees.
CANARIES = (CANARY_EARLY, CANARY_LATE)


class Verdict(models.TextChoices):
    """Who caused a hit."""

    HUMAN = "human", _("Human")
    MACHINE = "machine", _("Machine")
    PROXY = "proxy", _("Proxy that loads every image")
    UNSURE = "unsure", _("Unclear")
    NEITHER = "neither", _("Preview")


class HitMethod(models.TextChoices):
    """How a hit arrived."""

    GET = "get", _("Request")
    PREFETCH = "prefetch", _("Request ahead of a click")
    EVENT = "event", _("Event of the provider")
    FLAGGED = "flagged", _("Event of the provider, which takes it for a machine’s")


class Hit(models.Model):
    """One request for a link or image of an edition, or one such event of a provider.

    What it says is never changed: only its judgement is, and what identifies a subscriber may be emptied. Without
    consent there is no `delivery_id`; `visitor` then is a keyed hash that lasts a day.
    """

    edition = models.ForeignKey(
        Edition, on_delete=models.DO_NOTHING, db_constraint=False, db_index=False, related_name="hits"
    )
    at = models.DateTimeField(_("at"))
    number = models.PositiveSmallIntegerField(help_text=_("What was fetched: image, canary or link."))
    method = models.CharField(max_length=8, choices=HitMethod.choices)
    delivery_id = models.BigIntegerField(null=True, help_text=_("Only with the consent of its subscriber."))
    visitor = models.CharField(max_length=16, blank=True, default="", help_text=_("Keyed hash of a day."))
    network = models.CharField(max_length=16, blank=True, default="", help_text=_("Keyed hash of a week."))
    network_class = models.CharField(max_length=10, blank=True, default="")
    agent = models.CharField(max_length=24, blank=True, default="", help_text=_("The family of the user agent."))

    verdict = models.CharField(max_length=8, choices=Verdict.choices, blank=True, default="")
    rule = models.CharField(max_length=20, blank=True, default="")
    rules_version = models.PositiveSmallIntegerField(default=0)
    is_first = models.BooleanField(
        default=False, help_text=_("Whether it is the first with its verdict, of its visitor on its link.")
    )
    is_due = models.BooleanField(default=True, help_text=_("Whether it waits to be judged, or judged again."))
    is_sealed = models.BooleanField(
        default=False, help_text=_("Whether what it was judged by has been removed, so that its verdict stays.")
    )

    class Meta:
        default_permissions = ()
        constraints = [
            models.CheckConstraint(condition=Q(verdict__in=("", *Verdict.values)), name="hit_verdict_known"),
            models.CheckConstraint(condition=Q(delivery_id__isnull=True) | Q(visitor=""), name="hit_one_visitor"),
        ]
        indexes = [
            models.Index(fields=["edition"], condition=Q(is_due=True), name="hit_to_judge"),
            models.Index(fields=["delivery_id"], condition=Q(delivery_id__isnull=False), name="hit_by_delivery"),
            models.Index(fields=["edition", "visitor"], condition=~Q(visitor=""), name="hit_by_visitor"),
            models.Index(fields=["edition", "network", "at"], condition=~Q(network=""), name="hit_by_network"),
            models.Index(fields=["edition", "number", "at"], name="hit_by_link"),
        ]

    def __str__(self) -> str:
        return f"{self.number} · {self.at:%Y-%m-%d %H:%M:%S}"


class EngagementCounter(models.Model):
    """Hits of one link of an edition, or of its image, in one hour with one verdict. Kept when the hits are gone."""

    edition = models.ForeignKey(
        Edition, on_delete=models.CASCADE, db_constraint=False, db_index=False, related_name="engagement_counters"
    )
    number = models.PositiveSmallIntegerField()
    hour = models.DateTimeField()
    verdict = models.CharField(max_length=8, choices=Verdict.choices)
    hits = models.IntegerField(default=0)
    visitors = models.IntegerField(default=0, help_text=_("Hits that are the first of their visitor on the link."))

    class Meta:
        default_permissions = ()
        constraints = [
            models.UniqueConstraint(fields=["edition", "number", "hour", "verdict"], name="engagement_counter_once"),
            models.CheckConstraint(condition=Q(hits__gte=0) & Q(visitors__gte=0), name="engagement_counter_positive"),
        ]

    def __str__(self) -> str:
        return f"{self.number} · {self.hour:%Y-%m-%d %H:%M} · {self.verdict}: {self.hits}"


def numbered_links(edition: Edition) -> list[dict[str, Any]]:
    """The numbered links of an edition in reading order: url, label and place; the first has number FIRST_LINK."""
    links: list[dict[str, Any]] = edition.engagement.get("links", [])
    return links
