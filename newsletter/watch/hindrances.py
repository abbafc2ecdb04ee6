"""Hindrances: why a send that is under way does not move, for its report, `status` and the doctor. Imports symptoms."""

from __future__ import annotations

import datetime
from collections.abc import Iterator

from django.utils import timezone

from newsletter.models import Issue, IssueStatus, Newsletter
from newsletter.sending.allowance import room_of, warm_up_day
from newsletter.watch.symptoms import Grade, Symptom, flow_symptoms, pulse_symptoms, worker_symptoms


def hindrances_of(issue: Issue) -> list[Symptom]:
    """Nobody works, no provider takes mail, or the newsletter's own pace leaves no room; empty if it moves."""
    if issue.status != IssueStatus.SENDING:
        return []
    now = timezone.now()
    found = [*worker_symptoms(), *pulse_symptoms(), *flow_symptoms(now), *pace_symptoms(issue, now)]
    return [symptom for symptom in found if symptom.grade is not Grade.FINE or symptom.name == "pace"]


def pace_symptoms(issue: Issue, now: datetime.datetime) -> Iterator[Symptom]:
    """Whether its newsletter may send no more mails for now, as somebody has decided."""
    newsletter = issue.newsletter
    if room_of(newsletter, now) != 0:
        return
    yield Symptom(
        name="pace",
        grade=Grade.FINE,
        sentence=f"{newsletter.name} has sent what its own pace allows: {_pace_of(newsletter, now)}.",
        advice="Nothing to do: it goes on by itself. The pace is set on the newsletter's page.",
        issue=issue,
    )


def _pace_of(newsletter: Newsletter, now: datetime.datetime) -> str:
    paces = []
    if newsletter.hourly_limit is not None:
        paces.append(f"{newsletter.hourly_limit:,} mails an hour")
    if day := warm_up_day(newsletter, now):
        paces.append(f"{day.cap:,} mails on day {day.number} of its warm-up")
    return " and ".join(paces)
