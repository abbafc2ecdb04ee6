"""Recurring drafts: hours of the week at which the next draft is made by itself."""

from __future__ import annotations

import datetime
from typing import ClassVar

from django.core.validators import MaxValueValidator
from django.db import models
from django.db.models import Q
from django.db.models.functions import Now
from django.utils.formats import time_format
from django.utils.translation import gettext_lazy as _

from newsletter.models.issue import Issue
from newsletter.models.issue_template import IssueTemplate
from newsletter.models.newsletter import Newsletter
from newsletter.models.reasons import reason_sentence
from newsletter.models.weekday import EVERY_WEEK, Weekday

#: Links that one draft takes at most.
MOST_LINKS = 50


class RecurringDraftQuerySet(models.QuerySet["RecurringDraft"]):
    """Queries of recurring drafts."""

    def due(self, at: datetime.datetime | Now) -> RecurringDraftQuerySet:
        """Those whose next draft is due, the longest first; one that failed is due again at `retry_at`."""
        is_not_postponed = Q(retry_at__isnull=True) | Q(retry_at__lte=at)
        return self.filter(is_not_postponed, is_active=True, next_at__lte=at).order_by("next_at", "pk")


class RecurringDraft(models.Model):
    """“Fridays 16:00” in the newsletter's time zone: a draft is made of the template, with new links as stories."""

    newsletter = models.ForeignKey(
        Newsletter, on_delete=models.CASCADE, related_name="recurring_drafts", verbose_name=_("newsletter")
    )
    weekday = models.PositiveSmallIntegerField(_("weekday"), choices=Weekday.choices)
    time = models.TimeField(_("time"), default=datetime.time(9))
    is_active = models.BooleanField(_("active"), default=True, help_text=_("Drafts are made only while it is active."))
    template = models.ForeignKey(
        IssueTemplate,
        on_delete=models.SET_NULL,
        null=True,
        blank=True,
        verbose_name=_("template"),
        help_text=_("Leave empty to make the draft like the last issue."),
    )
    most_links = models.PositiveSmallIntegerField(
        _("links"),
        default=0,
        validators=[MaxValueValidator(MOST_LINKS)],
        help_text=_("How many kept links of the inbox the draft takes as stories at most, the newest first. 0: none."),
    )
    section = models.CharField(
        _("section"),
        max_length=200,
        blank=True,
        help_text=_("The section for these stories. Leave empty to use the section of each feed."),
    )
    next_date = models.DateField(null=True, editable=False, help_text=_("The day of the next draft."))
    next_at = models.DateTimeField(null=True, editable=False, help_text=_("Empty: not planned yet."))
    last_at = models.DateTimeField(null=True, editable=False, help_text=_("When the last draft was made."))
    retry_at = models.DateTimeField(null=True, editable=False, help_text=_("Set after a failure."))
    problem = models.CharField(
        max_length=64, blank=True, default="", editable=False, help_text=_("Code of why the draft could not be made.")
    )
    problem_values = models.JSONField(default=dict, editable=False)

    objects: ClassVar[RecurringDraftQuerySet] = RecurringDraftQuerySet.as_manager()  # type: ignore[assignment]

    class Meta:
        ordering = ["weekday", "time", "pk"]
        verbose_name = _("recurring draft")
        verbose_name_plural = _("recurring drafts")
        constraints = [
            models.CheckConstraint(condition=Q(weekday__lte=Weekday.SUNDAY), name="recurring_draft_weekday_known"),
            models.CheckConstraint(condition=Q(most_links__lte=MOST_LINKS), name="recurring_draft_links_bounded"),
        ]
        indexes = [models.Index(fields=["next_at"], condition=Q(is_active=True), name="recurring_draft_due")]

    def __str__(self) -> str:
        return str(EVERY_WEEK[Weekday(self.weekday)]) % {"time": time_format(self.time)}

    @property
    def problem_sentence(self) -> str:
        """Why the last draft could not be made; empty if it could."""
        return reason_sentence(self.problem, self.problem_values)


class DraftMade(models.Model):
    """One draft that was made: a day of a recurring draft has one at most, however often its step runs."""

    recurring_draft = models.ForeignKey(RecurringDraft, on_delete=models.CASCADE, related_name="made")
    date = models.DateField(help_text=_("In the time zone of the newsletter."))
    issue = models.ForeignKey(Issue, on_delete=models.SET_NULL, null=True, related_name="+")
    links = models.PositiveSmallIntegerField(default=0, help_text=_("Links that it took."))
    made_at = models.DateTimeField()

    class Meta:
        ordering = ["-date"]
        default_permissions = ()
        constraints = [
            models.UniqueConstraint(fields=["recurring_draft", "date"], name="draft_made_once_per_day"),
        ]

    def __str__(self) -> str:
        return f"{self.recurring_draft_id}, {self.date}"
