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

    def lock_all(self) -> None:
        """Lock the plans of all newsletters until the transaction ends, in the order of their keys."""
        missing = Newsletter.objects.exclude(pk__in=self.values("pk")).values_list("pk", flat=True)
        self.bulk_create([WeeklyPlan(newsletter_id=pk) for pk in missing], ignore_conflicts=True)
        list(self.order_by("pk").select_for_update(of=("self",)).values_list("pk"))


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
    """Let no week end, no frequency change and no addresses be merged until the transaction ends.

    For transactions that start `issue`, or retry deliveries of it: whom it leaves out, and whose deliveries these are,
    must not change meanwhile. Before the rows of sends and of subscribers.
    """
    WeeklyPlan.objects.lock(issue.newsletter_id)
