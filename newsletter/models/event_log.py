"""What is kept beside the events: how far a provider's log was read, how many events were not used, and replays."""

from __future__ import annotations

from typing import ClassVar

from django.db import models
from django.db.models import Q
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from newsletter.models.bulk_sql import execute_with_rows
from newsletter.models.event import Event, EventState

ADD_TO_TALLY = """
    INSERT INTO newsletter_eventtally (state, reason, count)
    SELECT rows.state, rows.reason, rows.count FROM {rows} WHERE true
    ON CONFLICT (state, reason) DO UPDATE SET count = newsletter_eventtally.count + excluded.count
"""

#: States that an event is in when it was not used. From these it can be applied again.
UNUSED = (EventState.IGNORED, EventState.ORPHAN)


class EventLogReading(models.Model):
    """The endpoint of this site at a provider, and how far the provider's log of its events has been read.

    The log is read from its newest event back to `since`; then everything up to `covered_until` is known.
    """

    provider = models.CharField(max_length=16, unique=True)
    endpoint_id = models.CharField(max_length=64, blank=True, default="", help_text=_("The provider's id of it."))
    endpoint_url = models.CharField(max_length=500, blank=True, default="")
    is_enabled = models.BooleanField(default=True, help_text=_("Whether the provider posts events to the endpoint."))
    missing_kinds = models.JSONField(default=list, help_text=_("Kinds of events that the endpoint should get."))
    checked_at = models.DateTimeField(null=True, help_text=_("When the provider was last asked for the endpoint."))
    requested_since = models.DateTimeField(null=True, help_text=_("A reading is wanted, back to this time."))
    requested_by = models.CharField(max_length=150, blank=True, default="")
    started_at = models.DateTimeField(null=True, help_text=_("The present reading; empty if none is under way."))
    by = models.CharField(max_length=150, blank=True, default="", help_text=_("Who started it."))
    since = models.DateTimeField(null=True, help_text=_("The present or last reading goes back to this time."))
    cursor = models.CharField(max_length=128, blank=True, default="", help_text=_("The last event that was read."))
    newest_at = models.DateTimeField(null=True, help_text=_("The newest event of the present reading."))
    events_read = models.PositiveIntegerField(default=0)
    events_stored = models.PositiveIntegerField(default=0, help_text=_("Events that had not arrived by webhook."))
    events_gone = models.PositiveIntegerField(default=0, help_text=_("Missing events that the log has no payload of."))
    skipped = models.JSONField(default=list, help_text=_("Events of the present page that the log has no payload of."))
    claimed_until = models.DateTimeField(null=True)
    not_before = models.DateTimeField(null=True, help_text=_("The provider is not asked before this time."))
    finished_at = models.DateTimeField(null=True, help_text=_("The last complete reading."))
    covered_until = models.DateTimeField(null=True, help_text=_("The newest event of the last complete reading."))
    found_at = models.DateTimeField(null=True, help_text=_("The last reading that found missing events."))
    found = models.PositiveIntegerField(default=0, help_text=_("How many it found."))
    failed_at = models.DateTimeField(null=True, help_text=_("The last failure since the log was read."))
    code = models.CharField(max_length=64, blank=True, default="")
    detail = models.CharField(max_length=300, blank=True, default="")

    class Meta:
        default_permissions = ()

    def __str__(self) -> str:
        return self.provider


class EventTallyQuerySet(models.QuerySet["EventTally"]):
    """Counting events that have a reason."""

    def add(self, counts: dict[tuple[str, str], int]) -> None:
        """Add to the counts of (state, reason), in the transaction that moves the events; a count may be negative.

        In one order of rows, so that two transactions never wait for each other.
        """
        rows = [(str(state), reason, count) for (state, reason), count in sorted(counts.items()) if reason and count]
        execute_with_rows(ADD_TO_TALLY, {"state": "text", "reason": "text", "count": "bigint"}, rows)

    def unused(self) -> dict[str, int]:
        """{reason: number of events} of those that were ignored or fit no delivery."""
        totals = self.filter(state__in=UNUSED, count__gt=0).values_list("reason").annotate(total=models.Sum("count"))
        return dict(totals.order_by("reason"))


class EventTally(models.Model):
    """How many events are in a state for a reason: counting millions of rows would take seconds."""

    state = models.CharField(max_length=8, choices=EventState.choices)
    reason = models.CharField(max_length=64)
    count = models.BigIntegerField(default=0)

    objects: ClassVar[EventTallyQuerySet] = EventTallyQuerySet.as_manager()  # type: ignore[assignment]

    class Meta:
        default_permissions = ()
        constraints = [models.UniqueConstraint(fields=["state", "reason"], name="event_tally_once")]

    def __str__(self) -> str:
        return f"{self.state} {self.reason}: {self.count}"


class EventReplay(models.Model):
    """A decision to apply unused events again: who made it, about which events, and how many there were."""

    by = models.CharField(max_length=150)
    about_state = models.CharField(
        max_length=8, choices=EventState.choices, blank=True, default="", help_text=_("Any if empty.")
    )
    about_reason = models.CharField(max_length=64, blank=True, default="", help_text=_("Any if empty."))
    last_event = models.BigIntegerField(default=0, help_text=_("Events up to this one were moved."))
    until_event = models.BigIntegerField(help_text=_("Later events are not part of it."))
    events = models.PositiveIntegerField(default=0, help_text=_("How many were moved."))
    started_at = models.DateTimeField(default=timezone.now)
    finished_at = models.DateTimeField(null=True)

    class Meta:
        default_permissions = ()
        indexes = [
            models.Index(fields=["id"], condition=Q(finished_at__isnull=True), name="event_replay_under_way"),
        ]

    def __str__(self) -> str:
        return f"{self.by} · {self.pk}"

    def next_events(self, limit: int) -> models.QuerySet[Event]:
        """The next of its events, oldest first. One whose body was removed says nothing that could be applied."""
        unused = Event.objects.filter(state__in=(self.about_state,) if self.about_state else UNUSED)
        about = unused.filter(reason=self.about_reason) if self.about_reason else unused
        return about.filter(pk__gt=self.last_event, pk__lte=self.until_event).exclude(body="").order_by("pk")[:limit]
