"""Throttle: how soon the next post may follow, by what the provider said last. Imports providers only."""

from __future__ import annotations

import time
from collections.abc import Callable

from newsletter.providers.base import Outcome, OutcomeKind

#: Before the provider has said its limit; Resend's lowest documented one.
FIRST_RATE = 2.0

#: Confirmation mails share the provider's limit and must not wait behind an issue (R-117).
SHARE = 0.8


class Throttle:
    """Paces the posts of one worker process. `clock` gives seconds that never run backwards."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._rate = FIRST_RATE
        self._open_at = 0.0

    def is_open(self) -> bool:
        """Whether a post may go out now."""
        return self._clock() >= self._open_at

    def delay(self) -> float:
        """Seconds until a post may go out."""
        return max(0.0, self._open_at - self._clock())

    def note(self, outcome: Outcome) -> None:
        """Learn from one answer: the limit it names, and how long it asked to wait."""
        self._rate = outcome.rate_limit or self._rate
        pause = outcome.retry_after if outcome.kind is OutcomeKind.LATER else None
        self._open_at = self._clock() + (pause or 1.0 / (self._rate * SHARE))
