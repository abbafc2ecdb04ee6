"""Slots: the hours of the week at which a newsletter comes out, and what became of each of them."""

from __future__ import annotations

import datetime
from typing import ClassVar

from django.db import models
from django.db.models import Q
from django.db.models.functions import Now

from newsletter.models.issue import Issue
from newsletter.models.newsletter import Newsletter


class Weekday(models.IntegerChoices):
    """As Python counts them."""

    MONDAY = 0, "Monday"
    TUESDAY = 1, "Tuesday"
    WEDNESDAY = 2, "Wednesday"
    THURSDAY = 3, "Thursday"
    FRIDAY = 4, "Friday"
    SATURDAY = 5, "Saturday"
    SUNDAY = 6, "Sunday"


class RecurringSchedule(models.Model):
    """“Tuesdays 07:00”, as clocks in the newsletter's zone show it: the draft that is marked ready goes out then."""

    newsletter = models.ForeignKey(Newsletter, on_delete=models.CASCADE, related_name="recurring_schedules")
    weekday = models.PositiveSmallIntegerField(choices=Weekday.choices)
    time = models.TimeField(default=datetime.time(7))
    is_active = models.BooleanField("active", default=True, help_text="Whether issues go out then.")
    title = models.CharField(
        max_length=150,
        blank=True,
        help_text="Title of the draft that is made for each one; {date} stands for its day. Empty: none is made.",
    )
    sections = models.TextField(blank=True, help_text="Titles of the sections of that draft, one per line.")
    problem = models.CharField(
        max_length=300, blank=True, editable=False, help_text="Why its next day cannot be planned; empty if it can."
    )

    class Meta:
        ordering = ["weekday", "time"]
        constraints = [
            models.UniqueConstraint(fields=["newsletter", "weekday", "time"], name="recurring_schedule_once"),
            models.CheckConstraint(condition=Q(weekday__lte=Weekday.SUNDAY), name="recurring_schedule_weekday_known"),
        ]

    def __str__(self) -> str:
        return f"{Weekday(self.weekday).label}s {self.time:%H:%M}"


class OccurrenceQuerySet(models.QuerySet["Occurrence"]):
    """Questions about occurrences."""

    def ahead(self) -> OccurrenceQuerySet:
        """Runs that are planned or due, the next one first."""
        return self.filter(finished_at__isnull=True, schedule__is_active=True).order_by("starts_at", "pk")

    def due(self, moment: datetime.datetime | Now) -> OccurrenceQuerySet:
        """Runs whose time has come, the longest waiting first; one that failed has its turn later."""
        is_its_turn = Q(next_try_at__isnull=True) | Q(next_try_at__lte=moment)
        return self.ahead().filter(is_its_turn, starts_at__lte=moment)


class Occurrence(models.Model):
    """One occurrence of a schedule, planned or over. There is one for each day, however often a clock shows its time."""

    schedule = models.ForeignKey(RecurringSchedule, on_delete=models.CASCADE, related_name="occurrences")
    date = models.DateField(help_text="The day, in the newsletter's zone.")
    starts_at = models.DateTimeField(help_text="The instant, as the zone's rules are known now.")
    issue = models.ForeignKey(
        Issue, on_delete=models.SET_NULL, null=True, related_name="occurrences", help_text="Made for it, or sent in it."
    )
    finished_at = models.DateTimeField(null=True)
    outcome = models.CharField(
        max_length=500, blank=True, help_text="What became of it; while it is ahead, what went wrong so far."
    )
    next_try_at = models.DateTimeField(null=True, help_text="Its start failed; it is tried again then.")

    objects: ClassVar[OccurrenceQuerySet] = OccurrenceQuerySet.as_manager()  # type: ignore[assignment]

    class Meta:
        ordering = ["-date"]
        constraints = [
            models.UniqueConstraint(fields=["schedule", "date"], name="occurrence_once_per_day"),
            models.UniqueConstraint(
                fields=["schedule"], condition=Q(finished_at__isnull=True), name="occurrence_one_ahead"
            ),
        ]
        indexes = [
            models.Index(fields=["starts_at"], condition=Q(finished_at__isnull=True), name="occurrence_due"),
        ]

    def __str__(self) -> str:
        return f"{self.schedule}, {self.date}"
