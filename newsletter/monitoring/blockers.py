"""Hindrances: why a send that is under way does not move, for its report, `status` and the doctor."""

from __future__ import annotations

import datetime
from collections.abc import Iterator

from django.utils import timezone

from newsletter.models import Issue, IssueStatus, Newsletter
from newsletter.monitoring.diagnostics import (
    Diagnostic,
    Severity,
    throttle_diagnostics,
    tick_diagnostics,
    worker_diagnostics,
)
from newsletter.sending.limits import remaining_of, warm_up_day


def blockers_of(issue: Issue) -> list[Diagnostic]:
    """Nobody works, no provider takes mail, or the newsletter's own pace leaves no room; empty if it moves."""
    if issue.status != IssueStatus.SENDING:
        return []
    now = timezone.now()
    found = [*worker_diagnostics(), *tick_diagnostics(), *throttle_diagnostics(now), *pace_diagnostics(issue, now)]
    return [diagnostic for diagnostic in found if diagnostic.severity is not Severity.FINE or diagnostic.name == "pace"]


def pace_diagnostics(issue: Issue, now: datetime.datetime) -> Iterator[Diagnostic]:
    """Whether its newsletter may send no more mails for now, as somebody has decided."""
    newsletter = issue.newsletter
    if remaining_of(newsletter, now) != 0:
        return
    yield Diagnostic(
        name="pace",
        severity=Severity.FINE,
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
