"""Throttle: how soon the next post may follow, by what the provider said last. Imports providers only."""

from __future__ import annotations

import time
from collections.abc import Callable

from newsletter.providers.base import Outcome, OutcomeKind

#: Posts a second before the provider has said its limit; Resend's lowest documented one.
FIRST_RATE = 2.0

#: Confirmation mails share the provider's limit and must not wait behind an issue (R-117).
SHARE = 0.8

#: Seconds. A provider that asks for more is asked again after this long: waiting in silence for a day helps nobody.
LONGEST_PAUSE = 300.0

NO_ANSWER = (OutcomeKind.UNKNOWN, OutcomeKind.LATER)


class Throttle:
    """Paces the posts of one worker process. `clock` gives seconds that never run backwards.

    It is the circuit breaker, too: each post in a row without an acceptance or a clear refusal doubles the pause, so
    that ten minutes of outage cost about ten posts (R-119).
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._rate = FIRST_RATE
        self._failures = 0
        self._open_at = 0.0

    @property
    def is_struggling(self) -> bool:
        """Whether the last post brought no answer that helps."""
        return self._failures > 0

    def is_open(self) -> bool:
        """Whether a post may go out now."""
        return self._clock() >= self._open_at

    def delay(self) -> float:
        """Seconds until a post may go out."""
        return max(0.0, self._open_at - self._clock())

    def note(self, outcome: Outcome) -> None:
        """Learn from one answer: the limit it names, how long it asked to wait, whether it was one at all."""
        self._rate = outcome.rate_limit or self._rate
        self._failures = self._failures + 1 if outcome.kind in NO_ANSWER else 0
        backoff = 2.0 ** (self._failures - 1) if self._failures else 0.0
        pause = max(1.0 / (self._rate * SHARE), outcome.retry_after or backoff)
        self._open_at = self._clock() + min(pause, LONGEST_PAUSE)
