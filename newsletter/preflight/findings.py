"""What the checks look at, and what they find. Plain values; may import content's and rendering's."""

from __future__ import annotations

import datetime
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Protocol

from newsletter.content.document import IssueContent
from newsletter.content.problems import Severity

__all__ = ["Check", "Finding", "Inspection", "Rendered", "Sender", "Severity"]


@dataclass(frozen=True, slots=True)
class Fix:
    """A way to put a finding right that cannot do harm: `content` is the whole issue with it put right."""

    label: str
    """What it does, as words on a button: `Set the date to 2026-11-24`."""
    content: IssueContent


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that a check found. What must be fixed blocks sending; the rest deserves a look."""

    severity: Severity
    family: str
    place: str
    """Where it stands, for people: `Deep dives, story 3`. Empty for the issue as a whole."""
    sentence: str
    """What it is and what to do about it."""
    fix: Fix | None = None


class Rendered(Protocol):
    """A rendering of the issue with slot tokens made with `nonce`: fresh from rendering, or a frozen edition."""

    @property
    def html(self) -> str:
        """The HTML part."""

    @property
    def text(self) -> str:
        """The text part."""

    @property
    def nonce(self) -> str:
        """What the slot tokens in both parts are made with."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sender:
    """Who the mails are from, as readers and the law want to know it."""

    name: str
    email: str
    postal_address: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Inspection:
    """Everything that checks may look at. They get values, not rows: no check asks the database."""

    content: IssueContent
    sender: Sender
    send_day: datetime.date
    """The day on which the issue goes out, or would if it were sent now, in the newsletter's time zone."""
    audience: int
    """How many readers it would go to."""
    rendered: Rendered | None
    """None where it cannot be rendered; whoever tried says why."""


Check = Callable[[Inspection], Iterator[Finding]]
"""A family of checks."""
