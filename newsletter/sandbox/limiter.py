"""How many calls the team may make in one second."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass

from newsletter.sandbox.refusals import refusal


@dataclass(frozen=True, slots=True)
class Allowance:
    """What is left of the second in which a call came."""

    limit: int
    remaining: int

    @property
    def headers(self) -> dict[str, str]:
        """The four headers that every recorded answer of Resend has; the reset is always one second away."""
        return {
            "ratelimit-limit": str(self.limit),
            "ratelimit-remaining": str(self.remaining),
            "ratelimit-reset": "1",
            "ratelimit-policy": f"{self.limit};w=1",
        }


class RateLimiter:
    """A strict window of one second, without bursts, shared by all keys and domains of the team."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._second = 0
        self._used = 0

    def look(self, limit: int) -> Allowance:
        """What is left, without using it."""
        with self._lock:
            used = self._used if int(self._clock()) == self._second else 0
            return Allowance(limit, max(limit - used, 0))

    def use(self, limit: int) -> None:
        """Count one call; 429 rate_limit_exceeded if the second is used up."""
        with self._lock:
            second = int(self._clock())
            if second != self._second:
                self._second, self._used = second, 0
            if self._used >= limit:
                raise refusal(
                    "rate_limit_exceeded",
                    f"Too many requests. You can only make {limit} requests per second. "
                    "See rate limit response headers for more information.",
                )
            self._used += 1
