"""Standstill: sends that no provider can carry are paused with the reason, and go on once one can.

A key that is refused or a quota that is used up stops every send of the team, not one after the other. What ends it –
a person who resumes one of them, another key, the next day – lets all of them go on that were stopped by it.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence

from newsletter.models import InvalidTransition, Issue, IssueStatus
from newsletter.providers.base import Provider
from newsletter.providers.throttle import find_outage

log = logging.getLogger(__name__)

GOES_ON = "The provider takes mail again."


def follow_provider_outages(route: Sequence[Provider]) -> bool:
    """Pause what is being sent while no provider of the route takes mail; let it go on when one does. A step."""
    # Looking for issues first: most of the time there are none, and the providers need not be looked at.
    waiting = Issue.objects.filter(status=IssueStatus.PAUSED, waits_for_provider=True)
    sending = Issue.objects.filter(status=IssueStatus.SENDING)
    if not (sending.exists() or waiting.exists()):
        return False
    if outage := find_outage(route):
        reason = str(outage.reason)
        for issue in sending:
            _move(issue, IssueStatus.PAUSED, reason=reason, hold_reason=reason, waits_for_provider=True)
    else:
        for issue in waiting:
            _move(issue, IssueStatus.SENDING, reason=GOES_ON, hold_reason="", waits_for_provider=False)
    return False


def _move(issue: Issue, to: IssueStatus, **changes: object) -> None:
    only_from = (IssueStatus.PAUSED,) if to is IssueStatus.SENDING else (IssueStatus.SENDING,)
    try:
        issue.move(to, only_from=only_from, by="worker", **changes)  # type: ignore[arg-type]
    except InvalidTransition:
        # Somebody moved it meanwhile; what they decided stands.
        log.info("issue %s moved on by itself", issue.pk)
