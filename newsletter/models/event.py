"""The event: one webhook event of a provider, kept as it came."""

from __future__ import annotations

from collections.abc import Collection
from typing import ClassVar

from django.db import models
from django.db.models import F, OuterRef, Q, QuerySet, Subquery
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from newsletter.models.delivery import Delivery
from newsletter.models.reasons import reason_sentence
from subscribers.state_machine import StateMachine


class EventState(models.TextChoices):
    """What became of an event. Its body is only changed to remove what it says about a subscriber."""

    NEW = "new", _("New")
    APPLIED = "applied", _("Applied")
    IGNORED = "ignored", _("Ignored")
    ORPHAN = "orphan", _("Unmatched")


#: Orders events so that only an index with this expression serves: ordered by key, PostgreSQL would read the table from
#: its newest row on, in the hope of meeting the wanted rows soon.
NEWEST_FIRST = F("id") * -1

EVENT_MACHINE = StateMachine(
    states=EventState,
    transitions={
        EventState.NEW: {EventState.APPLIED, EventState.IGNORED, EventState.ORPHAN},
        EventState.APPLIED: set(),
        # To be applied again: see newsletter.events.replay.
        EventState.IGNORED: {EventState.NEW},
        EventState.ORPHAN: {EventState.NEW},
    },
    initial_states={EventState.NEW},
)


class EventQuerySet(models.QuerySet["Event"]):
    """Questions about events."""

    def supersede_mails(self, deliveries: QuerySet[Delivery]) -> None:
        """Note on all events of these deliveries that they are about a mail that is replaced by another one."""
        mail_id = Delivery.objects.filter(pk=OuterRef("delivery_id")).values("provider_id")[:1]
        about = self.filter(delivery_id__in=deliveries.values("pk"), superseded_mail="")
        about.update(superseded_mail=Subquery(mail_id))

    def superseded_mails(self, deliveries: Collection[int]) -> set[str]:
        """The provider's ids of the mails of these deliveries that were replaced."""
        about = self.filter(delivery_id__in=deliveries).exclude(superseded_mail="")
        return set(about.values_list("superseded_mail", flat=True))


class Event(models.Model):
    """One verified event. Unique by the provider's event id, so that a repeat changes nothing."""

    provider = models.CharField(_("provider"), max_length=16)
    event_id = models.CharField(_("provider's id"), max_length=128)
    kind = models.CharField(_("kind"), max_length=64, help_text=_("The provider's name of the event."))
    body = models.TextField(help_text=_("The event as it was signed."))
    received_at = models.DateTimeField(_("received at"), default=timezone.now)
    state = models.CharField(_("state"), max_length=8, choices=EventState.choices, default=EventState.NEW)
    reason = models.CharField(max_length=64, blank=True, default="", help_text=_("Reason code for this state."))
    bounce = models.CharField(_("bounce"), max_length=16, blank=True, default="", help_text=_("The class of a bounce."))
    detail = models.CharField(max_length=300, blank=True, default="", help_text=_("What the provider adds."))
    superseded_mail = models.CharField(
        max_length=64,
        blank=True,
        default="",
        help_text=_("The provider's id of its mail, where that failed and another one was sent in its place."),
    )
    delivery_id = models.BigIntegerField(null=True, db_index=True)

    objects: ClassVar[EventQuerySet] = EventQuerySet.as_manager()  # type: ignore[assignment]

    class Meta:
        verbose_name = _("provider event")
        verbose_name_plural = _("provider events")
        constraints = [
            models.UniqueConstraint(fields=["provider", "event_id"], name="event_once"),
            models.CheckConstraint(condition=Q(state__in=EventState.values), name="event_state_known"),
        ]
        indexes = [
            models.Index(fields=["id"], condition=Q(state=EventState.NEW), name="event_to_apply"),
            # Diagnostics and metrics count them; there are few.
            models.Index(fields=["received_at"], condition=Q(state=EventState.ORPHAN), name="event_orphans"),
            # The admin lists the newest of a reason, of a state and of a kind. Most events have no reason, are applied,
            # and are of one kind: those need no index.
            models.Index("reason", NEWEST_FIRST, condition=~Q(reason=""), name="event_by_reason"),
            models.Index("state", NEWEST_FIRST, condition=Q(state__in=("ignored", "orphan")), name="event_unused"),
            models.Index("kind", NEWEST_FIRST, condition=~Q(kind="email.delivered"), name="event_by_kind"),
        ]

    def __str__(self) -> str:
        return f"{self.kind} · {self.event_id}"

    @property
    def note(self) -> str:
        """Why it was ignored, and what the provider adds."""
        return reason_sentence(self.reason, {"text": self.detail})
