"""What subscribers did with the last issues. This app knows nothing of issues: another one registers the source."""

from __future__ import annotations

import datetime
import enum
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol


class Outcome(enum.StrEnum):
    """What became of one issue for one subscriber, as far as it is known."""

    CLICKED = "clicked"
    OPENED = "opened"
    DELIVERED = "delivered"
    SENT = "sent"
    BOUNCED = "bounced"


@dataclass(frozen=True, slots=True)
class IssueMark:
    """One issue for one subscriber."""

    title: str
    outcome: Outcome
    at: datetime.datetime | None


@dataclass(frozen=True, slots=True)
class IssueHistory:
    """The last issues of one subscriber, the oldest first."""

    marks: tuple[IssueMark, ...] = ()
    received: int = 0
    """How many of the issues that were looked at reached the subscriber."""
    counts: Mapping[Outcome, int] = field(default_factory=dict)
    """The marks by outcome."""


class IssueSource(Protocol):
    """Reads the history of several subscribers at once."""

    def __call__(self, subscribers: Sequence[int], limit: int) -> Mapping[int, IssueHistory]:
        """By key of the subscriber, with at most `limit` marks each; without those who were sent nothing."""


_sources: list[IssueSource] = []


def register_issues(source: IssueSource) -> None:
    """Have this source read. A second registration changes nothing."""
    if source not in _sources:
        _sources.append(source)


def issue_histories(subscribers: Sequence[int], limit: int) -> dict[int, IssueHistory]:
    """The histories of these subscribers (keys)."""
    found: dict[int, IssueHistory] = {}
    for source in _sources:
        found |= source(subscribers, limit)
    return found


def has_issues() -> bool:
    """Whether a source of issues is registered."""
    return bool(_sources)
