"""Checks of who would get the issue, and when they got the last one. Pure."""

from __future__ import annotations

import datetime
from collections.abc import Iterator

from newsletter.preflight.findings import Audience, Finding, Inspection, LastSend, look_at, must_fix
from newsletter.preflight.places import WHOLE_ISSUE

FAMILY = "audience"
SOON = datetime.timedelta(hours=12)
#: Mailbox providers begin to turn mail away when much of a list is dead; one in twenty is a sign of it.
MANY_SUPPRESSED = 0.05
ENOUGH_TO_COMPARE = 20
"""Readers below which a share says nothing."""


def check_audience(inspection: Inspection) -> Iterator[Finding]:
    """Must be fixed: nobody would get it."""
    audience = inspection.audience
    if audience.count == 0:
        yield must_fix(
            FAMILY,
            WHOLE_ISSUE,
            "Nobody on the list may be mailed now. Add readers, or wait until some have confirmed.",
        )
    yield from _check_suppressed(audience)
    if inspection.last_send:
        yield from _check_last_send(inspection.last_send, inspection.moment, audience.count)


def _check_suppressed(audience: Audience) -> Iterator[Finding]:
    suppressed = audience.left_out.get("suppressed", 0)
    known = audience.count + suppressed
    if known >= ENOUGH_TO_COMPARE and suppressed / known > MANY_SUPPRESSED:
        yield look_at(
            FAMILY,
            WHOLE_ISSUE,
            f"{suppressed:,} of {known:,} readers get nothing, since their mailbox is gone or they complained. That is "
            f"{suppressed / known:.0%} of the list: find out where these addresses came from.",
        )


def _check_last_send(last: LastSend, moment: datetime.datetime, count: int) -> Iterator[Finding]:
    if last.started <= moment < last.started + SOON:
        yield look_at(
            FAMILY,
            WHOLE_ISSUE,
            f"The same readers got “{last.title}” at {last.started:%H:%M} on {last.started:%Y-%m-%d}, less than "
            f"{SOON // datetime.timedelta(hours=1)} hours before. Make sure that this is meant.",
        )
    if count > 0 and last.readers >= ENOUGH_TO_COMPARE and count * 2 <= last.readers:
        yield look_at(
            FAMILY,
            WHOLE_ISSUE,
            f"It would go to {count:,} readers, and “{last.title}” went to {last.readers:,}. Find out where the others "
            "are before you send.",
        )


def passed_audience(inspection: Inspection) -> str:
    """What to say where nothing was found."""
    count = inspection.audience.count
    readers = "1 reader gets it" if count == 1 else f"{count:,} readers get it"
    suppressed = inspection.audience.left_out.get("suppressed", 0)
    return f"{readers}, and {suppressed:,} who must not be mailed get nothing" if suppressed else readers
