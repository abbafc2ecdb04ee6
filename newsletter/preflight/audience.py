"""Checks of the recipients of the issue, and of the time since the last issue. Pure."""

from __future__ import annotations

import datetime
from collections.abc import Iterator

from newsletter.config.translatable import translatable, translatable_plural
from newsletter.preflight.findings import AudienceSnapshot, Finding, Inspection, LastSend, error, warning
from newsletter.preflight.places import WHOLE_ISSUE

FAMILY = "audience"
MIN_DISTANCE = datetime.timedelta(hours=12)
#: Mailbox providers reject mail from senders who keep many dead addresses on their lists.
MAX_SUPPRESSED_SHARE = 0.05
MIN_AUDIENCE_TO_COMPARE = 20
"""Smaller audiences are not compared: their shares mean nothing."""

EMPTY_LIST = translatable(
    "The mailing list has no active subscribers. Add subscribers, or wait until new ones have confirmed."
)
EMPTY_CHOICE = translatable(
    "No active subscriber is in the chosen lists, segments and topic. Change the audience of the issue on its compose "
    "page."
)


def check_audience(inspection: Inspection) -> Iterator[Finding]:
    """Errors: the issue has no recipients, or a part of its audience cannot be used."""
    audience = inspection.audience
    yield from (error(FAMILY, "audience_broken", WHOLE_ISSUE, problem) for problem in audience.problems)
    # An issue that all subscribers get with the weekly digest is sent to no recipient by itself.
    if audience.count == 0 and not audience.problems and not audience.excluded.get("weekly"):
        yield error(FAMILY, "no_recipients", WHOLE_ISSUE, EMPTY_CHOICE if audience.is_narrowed else EMPTY_LIST)
    yield from _check_suppressed(audience)
    if inspection.last_send:
        yield from _check_last_send(inspection.last_send, inspection.sends_at, audience.count)


def _check_suppressed(audience: AudienceSnapshot) -> Iterator[Finding]:
    suppressed = audience.excluded.get("suppressed", 0)
    total = audience.count + suppressed
    if total >= MIN_AUDIENCE_TO_COMPARE and suppressed / total > MAX_SUPPRESSED_SHARE:
        yield warning(
            FAMILY,
            "many_suppressed",
            WHOLE_ISSUE,
            translatable(
                "{suppressed:,} of {total:,} subscribers ({share} %) are suppressed after bounces or complaints. Find "
                "out where their addresses came from.",
                suppressed=suppressed,
                total=total,
                share=round(100 * suppressed / total),
            ),
        )


def _check_last_send(last: LastSend, sends_at: datetime.datetime, count: int) -> Iterator[Finding]:
    if last.started <= sends_at < last.started + MIN_DISTANCE:
        yield warning(
            FAMILY,
            "sent_recently",
            WHOLE_ISSUE,
            translatable(
                "“{issue}” was sent to this mailing list at {time} ({zone}), less than {hours} hours before. Make sure "
                "that this is intended.",
                issue=last.title,
                time=f"{last.started:%Y-%m-%d %H:%M}",
                zone=str(last.started.tzinfo),
                hours=MIN_DISTANCE // datetime.timedelta(hours=1),
            ),
        )
    if count > 0 and last.recipients >= MIN_AUDIENCE_TO_COMPARE and count * 2 <= last.recipients:
        yield warning(
            FAMILY,
            "smaller_audience",
            WHOLE_ISSUE,
            translatable(
                "Recipients of this issue: {count:,}. Recipients of “{issue}”: {before:,}. Find out why the audience "
                "is smaller before you send.",
                count=count,
                issue=last.title,
                before=last.recipients,
            ),
        )


def passed_audience(inspection: Inspection) -> str:
    """The sentence to show if there are no findings."""
    count, suppressed = inspection.audience.count, inspection.audience.excluded.get("suppressed", 0)
    if suppressed:
        return translatable_plural(
            "The issue has 1 recipient. Suppressed addresses left out: {suppressed:,}.",
            "The issue has {count:,} recipients. Suppressed addresses left out: {suppressed:,}.",
            count=count,
            suppressed=suppressed,
        )
    return translatable_plural("The issue has 1 recipient.", "The issue has {count:,} recipients.", count=count)
