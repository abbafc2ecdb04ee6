"""Recurring schedules ("Tuesdays 07:00") of a newsletter, and their occurrences."""

from __future__ import annotations

import datetime
from typing import ClassVar

from django.db import models
from django.db.models import Q
from django.db.models.functions import Now
from django.utils.formats import date_format, time_format
from django.utils.translation import gettext_lazy

from newsletter.models.issue import Issue
from newsletter.models.newsletter import Newsletter
from newsletter.models.reasons import reason_sentence
from newsletter.models.weekday import EVERY_WEEK, Weekday


class RecurringSchedule(models.Model):
    """“Tuesdays 07:00” in the newsletter's time zone: the approved issue is sent then."""

    newsletter = models.ForeignKey(
        Newsletter,
        on_delete=models.CASCADE,
        related_name="recurring_schedules",
        verbose_name=gettext_lazy("newsletter"),
    )
    weekday = models.PositiveSmallIntegerField(gettext_lazy("weekday"), choices=Weekday.choices)
    time = models.TimeField(gettext_lazy("time"), default=datetime.time(7))
    is_active = models.BooleanField(
        gettext_lazy("active"), default=True, help_text=gettext_lazy("Issues are sent only while it is active.")
    )
    title = models.CharField(
        gettext_lazy("title of the draft"),
        max_length=150,
        blank=True,
        help_text=gettext_lazy(
            "A draft with this title is created for each occurrence; {date} stands for its date. Leave empty to create "
            "no draft."
        ),
    )
    sections = models.TextField(
        gettext_lazy("sections of the draft"), blank=True, help_text=gettext_lazy("One heading per line.")
    )
    problem = models.CharField(
        max_length=64,
        blank=True,
        default="",
        editable=False,
        help_text=gettext_lazy("Code of why its next occurrence cannot be planned; empty if it can."),
    )
    problem_values = models.JSONField(default=dict, editable=False)

    class Meta:
        ordering = ["weekday", "time"]
        verbose_name = gettext_lazy("recurring schedule")
        verbose_name_plural = gettext_lazy("recurring schedules")
        constraints = [
            models.UniqueConstraint(fields=["newsletter", "weekday", "time"], name="recurring_schedule_once"),
            models.CheckConstraint(condition=Q(weekday__lte=Weekday.SUNDAY), name="recurring_schedule_weekday_known"),
        ]

    def __str__(self) -> str:
        return str(EVERY_WEEK[Weekday(self.weekday)]) % {"time": time_format(self.time)}

    @property
    def problem_sentence(self) -> str:
        """Why its next occurrence cannot be planned; empty if it can."""
        return reason_sentence(self.problem, self.problem_values)


class OccurrenceQuerySet(models.QuerySet["Occurrence"]):
    """Queries of occurrences."""

    def ahead(self) -> OccurrenceQuerySet:
        """Occurrences that are planned or due, in the order of their start."""
        return self.filter(finished_at__isnull=True, schedule__is_active=True).order_by("starts_at", "pk")

    def due(self, at: datetime.datetime | Now) -> OccurrenceQuerySet:
        """Occurrences that start now, in the order of their start; one that failed is due again at `retry_start_at`."""
        is_not_postponed = Q(retry_start_at__isnull=True) | Q(retry_start_at__lte=at)
        return self.ahead().filter(is_not_postponed, starts_at__lte=at)


class Occurrence(models.Model):
    """One occurrence of a recurring schedule, planned or finished.

    There is one per day, even on the day when the clocks go back and show its time twice.
    """

    schedule = models.ForeignKey(
        RecurringSchedule, on_delete=models.CASCADE, related_name="occurrences", verbose_name=gettext_lazy("schedule")
    )
    date = models.DateField(gettext_lazy("date"), help_text=gettext_lazy("In the time zone of the newsletter."))
    starts_at = models.DateTimeField(
        gettext_lazy("starts at"), help_text=gettext_lazy("Computed by the rules of the time zone as they are now.")
    )
    issue = models.ForeignKey(
        Issue,
        on_delete=models.SET_NULL,
        null=True,
        related_name="occurrences",
        verbose_name=gettext_lazy("issue"),
        help_text=gettext_lazy("The draft created for it, or the issue sent by it."),
    )
    finished_at = models.DateTimeField(gettext_lazy("finished at"), null=True)
    reason = models.CharField(
        max_length=64,
        blank=True,
        default="",
        help_text=gettext_lazy("Code of the result; while it is planned, of the latest error."),
    )
    values = models.JSONField(default=dict)
    retry_start_at = models.DateTimeField(
        gettext_lazy("start retried at"), null=True, help_text=gettext_lazy("Set after the start failed.")
    )

    objects: ClassVar[OccurrenceQuerySet] = OccurrenceQuerySet.as_manager()  # type: ignore[assignment]

    class Meta:
        ordering = ["-date"]
        verbose_name = gettext_lazy("occurrence")
        verbose_name_plural = gettext_lazy("occurrences")
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
        return f"{self.schedule}, {date_format(self.date)}"

    @property
    def outcome(self) -> str:
        """The result; while it is planned, the latest error."""
        return reason_sentence(self.reason, self.values)
