"""The clock: how far ours is from a provider's, by the Date of its answers, and an alarm in the log.

Leases and keys bear a wrong clock. Webhooks do not: they are signed with their time, and five minutes off they are
refused (R-131).
"""

from __future__ import annotations

import datetime
import logging
import time
from collections.abc import Callable, Mapping
from email.utils import parsedate_to_datetime

log = logging.getLogger(__name__)

#: Seconds that our clock and the provider's may differ (R-131).
LARGEST_SKEW = 60.0

#: Seconds between two alarms of one process.
ALARM_EVERY = 600.0


def skew_of(headers: Mapping[str, str]) -> float | None:
    """Seconds by which the clock of the answer's Date header is ahead of ours; None if it tells no time.

    `headers` finds names in any case, as HTTP clients' do.
    """
    try:
        said = parsedate_to_datetime(headers["date"])
    except (KeyError, ValueError, OverflowError):
        return None
    said = said if said.tzinfo else said.replace(tzinfo=datetime.UTC)
    return (said - datetime.datetime.now(datetime.UTC)).total_seconds()


class ClockWatch:
    """Looks at every answer of a provider, and raises an alarm now and then while the clocks differ too much."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock, self._next_alarm = clock, clock()

    def look(self, headers: Mapping[str, str]) -> None:
        """One answer, as soon as it has come."""
        skew = skew_of(headers)
        if skew is None or abs(skew) <= LARGEST_SKEW or self._clock() < self._next_alarm:
            return
        self._next_alarm = self._clock() + ALARM_EVERY
        log.error(
            "our clock is %.0f s %s the provider's: let this machine keep its time (NTP), since webhooks are refused "
            "from 300 s on",
            abs(skew),
            "behind" if skew > 0 else "ahead of",
        )
