"""The audience of an issue: further lists, segments and a topic. Without any, it is the newsletter's own list."""

from __future__ import annotations

from typing import Any, ClassVar

from django.db import models
from django.db.models import ProtectedError, Q
from django.db.models.deletion import Collector
from django.utils.translation import gettext_lazy as _

from newsletter.models.issue import Issue
from newsletter.models.send import IN_PROGRESS, Send
from subscribers.models import MailingList, Segment, Topic


class AudiencePartKind(models.TextChoices):
    """What a part does to the audience."""

    LIST = "list", _("Also sent to this list")
    SEGMENT = "segment", _("Only this segment of its list")
    EXCLUDED = "excluded", _("Without this segment")
    TOPIC = "topic", _("Only subscribers who get this topic")


def keep_while_expanding(collector: Collector, field: Any, parts: Any, using: str) -> None:
    """As SET_NULL, but refuses while a send that uses the segment or topic has not made all of its deliveries."""
    running = Send.objects.using(using).filter(state__in=IN_PROGRESS, expanded_at__isnull=True)
    used = [part for part in parts if running.filter(issue=part.issue_id).exists()]
    if used:
        # Django shows a message of its own, and the admin a sentence.
        raise ProtectedError("in use", set(used))
    models.SET_NULL(collector, field, parts, using)


class AudiencePart(models.Model):
    """One part of an issue's audience, written with the issue's content.

    `name` is how the part was written. Without the list, segment or topic that it names – not found when it was
    saved, or deleted since – the part is broken, and the issue is not sent: it never falls back to more recipients.
    """

    issue = models.ForeignKey(Issue, on_delete=models.CASCADE, related_name="audience_parts")
    position = models.PositiveSmallIntegerField()
    kind = models.CharField(max_length=8, choices=AudiencePartKind.choices)
    name = models.CharField(max_length=200)
    mailing_list = models.ForeignKey(MailingList, on_delete=models.SET_NULL, null=True, related_name="+")
    segment = models.ForeignKey(Segment, on_delete=keep_while_expanding, null=True, related_name="audience_parts")
    topic = models.ForeignKey(Topic, on_delete=keep_while_expanding, null=True, related_name="audience_parts")

    class Meta:
        default_permissions = ()
        ordering: ClassVar = ["position"]
        constraints = [
            models.UniqueConstraint(fields=["issue", "position"], name="audience_part_position_once"),
            models.UniqueConstraint(fields=["issue", "mailing_list"], name="audience_part_list_once"),
            # A segment is not included and excluded at the same time.
            models.UniqueConstraint(fields=["issue", "segment"], name="audience_part_segment_once"),
            models.UniqueConstraint(
                fields=["issue"], condition=Q(kind=AudiencePartKind.TOPIC), name="audience_part_one_topic"
            ),
            models.CheckConstraint(
                condition=Q(kind=AudiencePartKind.LIST, segment__isnull=True, topic__isnull=True)
                | Q(
                    kind__in=(AudiencePartKind.SEGMENT, AudiencePartKind.EXCLUDED),
                    mailing_list__isnull=True,
                    topic__isnull=True,
                )
                | Q(kind=AudiencePartKind.TOPIC, mailing_list__isnull=True, segment__isnull=True),
                name="audience_part_is_what_its_kind_says",
            ),
        ]

    def __str__(self) -> str:
        return self.name
