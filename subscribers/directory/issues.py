"""What subscribers did with the last issues. This app knows nothing of issues: another one registers the source."""

from __future__ import annotations

import datetime
import enum
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Protocol


class Outcome(enum.StrEnum):
    """What became of one issue for one subscriber, as far as it is known."""

    CLICKED = "clicked"
    OPENED = "opened"
    DELIVERED = "delivered"
    SENT = "sent"
    BOUNCED = "bounced"


#: Outcomes that are personal data.
REACTIONS = (Outcome.CLICKED, Outcome.OPENED)


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

    def without_reactions(self) -> IssueHistory:
        """The same for a viewer who may not see opens and clicks: these issues are shown as delivered."""
        marks = tuple(
            replace(mark, outcome=Outcome.DELIVERED) if mark.outcome in REACTIONS else mark for mark in self.marks
        )
        return IssueHistory(marks, self.received, dict(Counter(mark.outcome for mark in marks)))


class IssueSource(Protocol):
    """Reads the history of several subscribers at once."""

    def __call__(self, subscribers: Sequence[int], limit: int) -> Mapping[int, IssueHistory]:
        """By key of the subscriber, with at most `limit` marks each; without those who were sent nothing."""


_sources: list[IssueSource] = []


def register_issues(source: IssueSource) -> None:
    """Have this source read. A second registration changes nothing."""
    if source not in _sources:
        _sources.append(source)


def issue_histories(subscribers: Sequence[int], limit: int, *, is_personal: bool) -> dict[int, IssueHistory]:
    """The histories of these subscribers (keys). Without `is_personal`: no opens and clicks."""
    found: dict[int, IssueHistory] = {}
    for source in _sources:
        found |= source(subscribers, limit)
    return found if is_personal else {key: history.without_reactions() for key, history in found.items()}


def has_issues() -> bool:
    """Whether a source of issues is registered."""
    return bool(_sources)
