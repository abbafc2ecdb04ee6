"""Clock skew: the difference between our clock and the Date header of a provider's responses.

Leases and idempotency keys tolerate a wrong clock. Webhooks do not: their signature
covers a timestamp, and they are refused if it is off by more than five minutes.
"""

from __future__ import annotations

import datetime
import logging
import time
from collections.abc import Callable, Mapping
from email.utils import parsedate_to_datetime

log = logging.getLogger(__name__)

#: Seconds that our clock and the provider's may differ without a warning.
LARGEST_SKEW = 60.0

#: Seconds between two warnings of one process.
WARNING_INTERVAL = 600.0


def skew_of(headers: Mapping[str, str]) -> float | None:
    """Seconds by which a response's Date header is ahead of our clock; None without a valid date.

    `headers` must find names in any case, as HTTP clients' headers do.
    """
    try:
        date = parsedate_to_datetime(headers["date"])
    except (KeyError, ValueError, OverflowError):
        return None
    date = date if date.tzinfo else date.replace(tzinfo=datetime.UTC)
    return (date - datetime.datetime.now(datetime.UTC)).total_seconds()


class ClockMonitor:
    """Checks the skew at every response. While it is too large, logs an error every WARNING_INTERVAL seconds."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock, self._next_warning = clock, clock()

    def check(self, headers: Mapping[str, str]) -> None:
        """Check the headers of one response. Call it as soon as the response has arrived."""
        skew = skew_of(headers)
        if skew is None or abs(skew) <= LARGEST_SKEW or self._clock() < self._next_warning:
            return
        self._next_warning = self._clock() + WARNING_INTERVAL
        log.error(
            "our clock is %.0f s %s the provider's; synchronize this machine's clock (NTP), "
            "because webhooks are refused from 300 s on",
            abs(skew),
            "behind" if skew > 0 else "ahead of",
        )
