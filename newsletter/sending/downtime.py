"""Absence: what was under way when the system was away for long waits for a person.

A database that was restored from a backup looks the same as one whose workers were off: its last sign of life is old.
Its sends may have ended long ago, and the provider has forgotten the keys by which it would notice a repeat (R-137).
"""

from __future__ import annotations

import datetime
import logging

from django.conf import settings
from django.db import transaction
from django.db.models import Max, Q
from django.utils import timezone

from newsletter.models import InvalidTransition, Issue, IssueStatus, IssueTransition, WorkerHeartbeat

#: Sends that go on without a person as soon as a provider takes mail.
IS_ABOUT_TO_GO_ON = Q(status=IssueStatus.PAUSED, waits_for_provider=True)

log = logging.getLogger(__name__)


def hold_after_downtime() -> int:
    """Pause every send if the last worker was seen more than OVERDUE_MINUTES ago; how many.

    To be called when a worker starts, before it gives a sign of life of its own. Workers that were stopped in order
    leave no sign, and then nothing is known and nothing is held.
    """
    last = WorkerHeartbeat.objects.aggregate(last=Max("seen_at"))["last"]
    now = timezone.now()
    if last is None or now - last <= datetime.timedelta(minutes=settings.OVERDUE_MINUTES):
        return 0
    reason = (
        f"No worker ran between {last:%Y-%m-%d %H:%M} and {now:%Y-%m-%d %H:%M} UTC, or the database was restored from "
        "a backup of then. In that case readers may have this issue already: compare with your provider's log. "
        "Resume it if they have not, cancel the rest if they have."
    )
    held = sum(_hold(issue, reason) for issue in Issue.objects.filter(status=IssueStatus.SENDING))
    return held + sum(_keep(issue, reason) for issue in Issue.objects.filter(IS_ABOUT_TO_GO_ON))


def _keep(issue: Issue, reason: str) -> bool:
    """What was only waiting for a provider must not go on by itself either, once one takes mail."""
    with transaction.atomic():
        kept = Issue.objects.filter(IS_ABOUT_TO_GO_ON, pk=issue.pk).update(
            waits_for_provider=False, hold_reason=reason[:500]
        )
        if kept:
            IssueTransition.objects.create(
                issue=issue, source=issue.status, target=issue.status, by="worker", reason=reason[:500]
            )
    return bool(kept)


def _hold(issue: Issue, reason: str) -> bool:
    try:
        issue.move(IssueStatus.PAUSED, only_from=(IssueStatus.SENDING,), by="worker", reason=reason, hold_reason=reason)
    except InvalidTransition:
        # Another worker that starts now was faster.
        return False
    log.warning("issue %s waits for a person: nobody was here for long", issue.pk)
    return True
