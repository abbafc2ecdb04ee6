"""The rate limit: calls per second of the whole team."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass

from newsletter.sandbox.refusals import refusal


@dataclass(frozen=True, slots=True)
class RateLimitState:
    """What is left of the current second."""

    limit: int
    remaining: int

    @property
    def headers(self) -> dict[str, str]:
        """The four headers of every recorded answer of Resend; the reset is always in one second."""
        return {
            "ratelimit-limit": str(self.limit),
            "ratelimit-remaining": str(self.remaining),
            "ratelimit-reset": "1",
            "ratelimit-policy": f"{self.limit};w=1",
        }


class RateLimiter:
    """A fixed window of one second without bursts, shared by all keys and domains of the team."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._second = 0
        self._used = 0

    def state(self, limit: int) -> RateLimitState:
        """What is left, without counting a call."""
        with self._lock:
            used = self._used if int(self._clock()) == self._second else 0
            return RateLimitState(limit, max(limit - used, 0))

    def use(self, limit: int) -> None:
        """Count one call. Raises Refusal (429 rate_limit_exceeded) if the limit is reached."""
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
