"""When the week of a newsletter is over, and why its digest is late."""

from __future__ import annotations

import datetime
from typing import ClassVar

from django.db import models
from django.db.models import Q
from django.db.models.functions import Now

from newsletter.models.issue import Issue
from newsletter.models.newsletter import Newsletter
from newsletter.models.reasons import reason_sentence


class WeeklyPlanQuerySet(models.QuerySet["WeeklyPlan"]):
    """Queries of plans."""

    def due(self, at: datetime.datetime | Now) -> WeeklyPlanQuerySet:
        """Plans whose week is over; one that failed is due again at `retry_at`."""
        is_not_postponed = Q(retry_at__isnull=True) | Q(retry_at__lte=at)
        return self.filter(is_not_postponed, ends_at__lte=at)

    def lock(self, newsletter_pk: int) -> WeeklyPlan:
        """The plan of a newsletter, locked until the transaction ends; made if there is none."""
        self.get_or_create(newsletter_id=newsletter_pk)
        return self.select_for_update(of=("self",)).get(pk=newsletter_pk)


class WeeklyPlan(models.Model):
    """The end of the current week of a newsletter, at which the digest is composed. It only moves forward."""

    newsletter = models.OneToOneField(Newsletter, on_delete=models.CASCADE, primary_key=True, related_name="+")
    date = models.DateField(null=True, help_text="The day of the end, in the newsletter's time zone.")
    ends_at = models.DateTimeField(null=True, help_text="Empty: not planned yet.")
    retry_at = models.DateTimeField(null=True, help_text="Set after a failure.")
    problem = models.CharField(
        max_length=64, blank=True, default="", help_text="Code of why the digest could not be composed."
    )
    problem_values = models.JSONField(default=dict)

    objects: ClassVar[WeeklyPlanQuerySet] = WeeklyPlanQuerySet.as_manager()  # type: ignore[assignment]

    class Meta:
        default_permissions = ()

    def __str__(self) -> str:
        return f"{self.newsletter_id}: {self.ends_at}"

    @property
    def problem_sentence(self) -> str:
        """Why the digest could not be composed; empty if it could."""
        return reason_sentence(self.problem, self.problem_values)


def lock_week(issue: Issue) -> None:
    """Let no week end and no frequency change until the transaction that starts `issue` ends.

    Otherwise they could change after it is decided whom the issue leaves out.
    """
    if issue.newsletter.offers_weekly and not issue.is_digest:
        WeeklyPlan.objects.lock(issue.newsletter_id)
