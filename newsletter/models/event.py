"""The receipt: one event from a provider, kept as it came."""

from __future__ import annotations

from collections.abc import Collection
from typing import ClassVar

from django.db import models
from django.db.models import F, OuterRef, Q, QuerySet, Subquery, Value
from django.db.models.functions import Concat, Left
from django.utils import timezone

from newsletter.models.delivery import Delivery


class EventState(models.TextChoices):
    """What became of a receipt. The event itself is never changed."""

    NEW = "new", "To be applied"
    APPLIED = "applied", "Applied"
    IGNORED = "ignored", "Nothing to do"
    ORPHAN = "orphan", "Belongs to no mail of ours"


#: How the note of a receipt begins whose mail failed at the provider, and in whose place another goes out; the mail's
#: id follows. What is told of it from then on says nothing about the other.
GIVEN_UP = "given up:"


class EventQuerySet(models.QuerySet["Event"]):
    """Questions about receipts."""

    def give_up_mails(self, deliveries: QuerySet[Delivery]) -> None:
        """Note on all receipts of these deliveries that they are about a mail that was given up."""
        mail_id = Delivery.objects.filter(pk=OuterRef("delivery_id")).values("provider_id")[:1]
        about = self.filter(delivery_id__in=deliveries.values("pk")).exclude(note__startswith=GIVEN_UP)
        note = Concat(Value(f"{GIVEN_UP} "), Subquery(mail_id), Value(" "), F("note"), output_field=models.CharField())
        about.update(note=Left(note, 300))

    def given_up_mails(self, deliveries: Collection[int]) -> set[str]:
        """The provider's ids of the mails of these deliveries that were given up."""
        about = self.filter(delivery_id__in=deliveries, note__startswith=f"{GIVEN_UP} ")
        return {note.split(" ")[2] for note in about.values_list("note", flat=True)}


class Event(models.Model):
    """One verified event. Unique by the provider's event id, so that a repeat is a no-op (R-85)."""

    provider = models.CharField(max_length=16)
    event_id = models.CharField(max_length=128)
    kind = models.CharField(max_length=64, help_text="The provider's word for the event.")
    body = models.TextField(help_text="The event as it was signed.")
    received_at = models.DateTimeField(default=timezone.now)
    state = models.CharField(max_length=8, choices=EventState.choices, default=EventState.NEW)
    note = models.CharField(max_length=300, blank=True)
    delivery_id = models.BigIntegerField(null=True, db_index=True)

    objects: ClassVar[EventQuerySet] = EventQuerySet.as_manager()  # type: ignore[assignment]

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["provider", "event_id"], name="event_once"),
            models.CheckConstraint(condition=Q(state__in=EventState.values), name="event_state_known"),
        ]
        indexes = [
            models.Index(fields=["id"], condition=Q(state=EventState.NEW), name="event_to_apply"),
        ]

    def __str__(self) -> str:
        return f"{self.kind} · {self.event_id}"
