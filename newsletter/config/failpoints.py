"""Failpoint: named points on an issue's way at which a process can be told to die, to prove that nothing is lost by it.

Off, which it is outside of tests, a point costs one comparison.
"""

from __future__ import annotations

import enum
import itertools
import os
import signal
from collections.abc import Callable
from dataclasses import dataclass, field

#: Names of installations that may be drilled; a real one never is.
ENVIRONMENTS = ("development", "test")


class Point(enum.Enum):
    """Where a process may be told to die, in the order of an issue's way."""

    FREEZE_UNCOMMITTED = "freeze-uncommitted"
    FREEZE_COMMITTED = "freeze-committed"
    START_UNCOMMITTED = "start-uncommitted"
    START_COMMITTED = "start-committed"
    CHUNK_UNCOMMITTED = "chunk-uncommitted"
    CHUNK_COMMITTED = "chunk-committed"
    CLAIM_UNCOMMITTED = "claim-uncommitted"
    CLAIM_COMMITTED = "claim-committed"
    BEFORE_FIRST_BYTE = "before-first-byte"
    REQUEST_HALF_SENT = "request-half-sent"
    REQUEST_SENT = "request-sent"
    ANSWER_BEGUN = "answer-begun"
    ANSWER_READ = "answer-read"
    OUTCOME_UNCOMMITTED = "outcome-uncommitted"
    OUTCOME_COMMITTED = "outcome-committed"
    EVENT_UNSTORED = "receipt-unstored"
    EVENT_STORED = "receipt-stored"
    EVENTS_UNCOMMITTED = "receipts-uncommitted"
    EVENTS_COMMITTED = "receipts-committed"
    FINISH_UNCOMMITTED = "finish-uncommitted"
    FINISH_COMMITTED = "finish-committed"


class Action(enum.Enum):
    """What happens at the point."""

    KILL = "kill"
    """SIGKILL: the process is gone at once, as in a power cut."""
    STOP = "stop"
    """SIGSTOP: it stands still until it gets SIGCONT, as a machine that sleeps."""
    RAISE = "raise"
    """`Crash` is raised: nothing of the step that runs goes on, and the process lives."""


class Crash(BaseException):
    """The end of a step in a failpoint. No `except Exception` keeps it, as nothing keeps a kill."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Failpoint:
    """At the `hit`-th time that `point` is reached, `action` happens, once. `count` counts the times from 1.

    The count is this process's own, unless another is given: then several processes can share one.
    """

    point: Point
    hit: int
    action: Action
    count: Callable[[], int] = field(default_factory=lambda: itertools.count(1).__next__)

    def strike(self) -> None:
        """Count, and act if it is time."""
        if self.count() != self.hit:
            return
        if self.action is Action.RAISE:
            raise Crash(self.point.value)
        os.kill(os.getpid(), signal.SIGKILL if self.action is Action.KILL else signal.SIGSTOP)


_armed: Failpoint | None = None


def reached(point: Point) -> None:
    """Say that this point has been reached. Does nothing, unless the process is armed for it."""
    if _armed is not None and _armed.point is point:
        _armed.strike()


def arm(failpoint: Failpoint | None) -> None:
    """Let this process act so from now on; None: never."""
    global _armed
    _armed = failpoint


def read_failpoint(text: str) -> Failpoint | None:
    """A failpoint from `point:hit:action`, such as `claim-committed:3:kill`; None from an empty text.

    Raises ValueError with a sentence.
    """
    if not text:
        return None
    point, _, rest = text.partition(":")
    hit, _, action = rest.partition(":")
    try:
        failpoint = Failpoint(point=Point(point), hit=int(hit), action=Action(action))
    except ValueError as error:
        points, actions = (", ".join(one.value for one in kind) for kind in (Point, Action))
        raise ValueError(f"must look like claim-committed:3:kill; points are {points}; actions {actions}") from error
    if failpoint.hit < 1:
        raise ValueError("counts from 1")
    return failpoint
