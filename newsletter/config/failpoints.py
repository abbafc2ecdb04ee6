"""Failpoints: named points at which a test kills or stops a process, to prove that no mail is lost or repeated.

A process without a failpoint pays one comparison at each point.
"""

from __future__ import annotations

import enum
import itertools
import os
import signal
from collections.abc import Callable
from dataclasses import dataclass, field

#: Values of ENVIRONMENT under which a failpoint may be set. None of them can be production.
ENVIRONMENTS = ("development", "test")


class Point(enum.Enum):
    """The points, in the order of an issue's way."""

    FREEZE_UNCOMMITTED = "freeze-uncommitted"
    FREEZE_COMMITTED = "freeze-committed"
    START_UNCOMMITTED = "start-uncommitted"
    START_COMMITTED = "start-committed"
    DIGEST_UNCOMMITTED = "digest-uncommitted"
    DIGEST_COMMITTED = "digest-committed"
    DRAFT_UNCOMMITTED = "draft-uncommitted"
    DRAFT_COMMITTED = "draft-committed"
    CHUNK_UNCOMMITTED = "chunk-uncommitted"
    CHUNK_COMMITTED = "chunk-committed"
    CLAIM_UNCOMMITTED = "claim-uncommitted"
    CLAIM_COMMITTED = "claim-committed"
    BEFORE_FIRST_BYTE = "before-first-byte"
    REQUEST_HALF_SENT = "request-half-sent"
    REQUEST_SENT = "request-sent"
    ANSWER_BEGUN = "answer-begun"
    ANSWER_READ = "answer-read"
    PROGRESS_UNCOMMITTED = "progress-uncommitted"
    PROGRESS_COMMITTED = "progress-committed"
    MAIL_BEGUN = "mail-begun"
    MAIL_HALF_SENT = "mail-half-sent"
    MAIL_SENT = "mail-sent"
    MAIL_ANSWERED = "mail-answered"
    OUTCOME_UNCOMMITTED = "outcome-uncommitted"
    OUTCOME_COMMITTED = "outcome-committed"
    EVENT_UNSTORED = "event-unstored"
    EVENT_STORED = "event-stored"
    EVENTS_UNCOMMITTED = "events-uncommitted"
    EVENTS_COMMITTED = "events-committed"
    LOG_EVENTS_UNCOMMITTED = "log-events-uncommitted"
    LOG_EVENTS_COMMITTED = "log-events-committed"
    LOG_PAGE_STORED = "log-page-stored"
    HITS_UNCOMMITTED = "hits-uncommitted"
    HITS_COMMITTED = "hits-committed"
    FINISH_UNCOMMITTED = "finish-uncommitted"
    FINISH_COMMITTED = "finish-committed"
    WEBHOOKS_UNCOMMITTED = "webhooks-uncommitted"
    WEBHOOKS_COMMITTED = "webhooks-committed"
    WEBHOOK_SENT = "webhook-sent"
    WEBHOOK_RECORDED = "webhook-recorded"
    ARCHIVE_UNCOMMITTED = "archive-uncommitted"
    ARCHIVE_COMMITTED = "archive-committed"


class Action(enum.Enum):
    """What happens at the point."""

    KILL = "kill"
    """SIGKILL: the process ends at once, as in a power cut."""
    STOP = "stop"
    """SIGSTOP: the process stops until SIGCONT, as on a machine that sleeps."""
    RAISE = "raise"
    """`Crash` is raised: the step ends, and the process lives."""


class Crash(BaseException):
    """Ends a step at a failpoint. No `except Exception` catches it, as none can catch a kill."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Failpoint:
    """`action` happens once, the `hit`-th time that `point` is reached.

    `count` returns how often it was reached, from 1. By default it counts for this process; a test may pass a count
    that several processes share.
    """

    point: Point
    hit: int
    action: Action
    count: Callable[[], int] = field(default_factory=lambda: itertools.count(1).__next__)

    def trigger(self) -> None:
        """Count, and act if this is the `hit`-th time."""
        if self.count() != self.hit:
            return
        if self.action is Action.RAISE:
            raise Crash(self.point.value)
        os.kill(os.getpid(), signal.SIGKILL if self.action is Action.KILL else signal.SIGSTOP)


_armed: Failpoint | None = None


def failpoint(point: Point) -> None:
    """Mark a point in the code. Does nothing unless a failpoint is armed for it."""
    if _armed is not None and _armed.point is point:
        _armed.trigger()


def arm(failpoint: Failpoint | None) -> None:
    """Set the failpoint of this process; None: remove it."""
    global _armed
    _armed = failpoint


def read_failpoint(text: str) -> Failpoint | None:
    """Parse `point:hit:action`, such as `claim-committed:3:kill`. None if the text is empty.

    Raises ValueError with a sentence for the operator.
    """
    if not text:
        return None
    point, _, rest = text.partition(":")
    hit, _, action = rest.partition(":")
    try:
        failpoint = Failpoint(point=Point(point), hit=int(hit), action=Action(action))
    except ValueError as error:
        points, actions = (", ".join(one.value for one in kind) for kind in (Point, Action))
        raise ValueError(f"must be point:number:action; points are {points}; actions are {actions}") from error
    if failpoint.hit < 1:
        raise ValueError("must have a number of 1 or more, such as claim-committed:1:kill")
    return failpoint
