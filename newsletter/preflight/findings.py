"""What the checks look at, and what they find. Plain values."""

from __future__ import annotations

import datetime
import hashlib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Protocol

from newsletter.content.document import IssueContent
from newsletter.content.fields import content_faults
from newsletter.content.problems import Severity

__all__ = [
    "Audience",
    "Family",
    "Finding",
    "Fix",
    "Inspection",
    "LastSend",
    "LinkHop",
    "LinkLook",
    "PastIssue",
    "Rendered",
    "Sender",
    "Severity",
    "fix_of",
    "look_at",
    "must_fix",
]


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

    @property
    def key(self) -> str:
        """What a page calls it by; the same for the same finding at the next look."""
        said = "\0".join((self.severity, self.family, self.place, self.sentence))
        return hashlib.sha256(said.encode("utf-8", "surrogatepass")).hexdigest()[:16]


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
class PastIssue:
    """An issue that went out before: what it was called, and what its stories were."""

    title: str
    date: datetime.date
    titles: tuple[str, ...] = ()
    links: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class LinkHop:
    """A redirect on the way of a link, with its HTTP status."""

    url: str
    status: int


@dataclass(frozen=True, slots=True, kw_only=True)
class LinkLook:
    """What the last look at an address found. Without a `status` there was no answer, and `reason` says why."""

    status: int | None = None
    final_url: str = ""
    hops: tuple[LinkHop, ...] = ()
    reason: str = ""
    has_https: bool | None = None
    """For http addresses: whether https answers the same."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LastSend:
    """The newest issue of the newsletter that was sent before this one."""

    title: str
    started: datetime.datetime
    """On the newsletter's clocks."""
    readers: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Audience:
    """How many readers an issue goes to, and how many of the list it does not, by reason."""

    count: int
    left_out: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Inspection:
    """Everything that checks may look at. They get values, not rows: no check asks the database or the network."""

    content: IssueContent
    sender: Sender
    moment: datetime.datetime
    """When the issue goes out, or would if it were sent now, on the newsletter's clocks."""
    audience: Audience
    rendered: Rendered | None
    """None where it cannot be rendered; whoever tried says why in `unrendered`."""
    unrendered: str = ""
    """Why there is no rendering, as a sentence."""
    past: tuple[PastIssue, ...] = ()
    """The last issues of the newsletter, newest first."""
    links: Mapping[str, LinkLook] = field(default_factory=dict)
    """What is known of the addresses that the issue names; those not in it have not been looked at yet."""
    last_send: LastSend | None = None

    @property
    def send_day(self) -> datetime.date:
        """The day on which the issue goes out."""
        return self.moment.date()


Check = Callable[[Inspection], Iterable[Finding]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Family:
    """Checks that belong together."""

    name: str
    check: Check
    passed: Callable[[Inspection], str]
    """What to say where nothing was found; nothing where nothing could be looked at."""


def must_fix(family: str, place: str, sentence: str, fix: Fix | None = None) -> Finding:
    """A finding that blocks sending."""
    return Finding(Severity.ERROR, family, place, sentence, fix)


def look_at(family: str, place: str, sentence: str, fix: Fix | None = None) -> Finding:
    """A finding that can be right on purpose."""
    return Finding(Severity.WARNING, family, place, sentence, fix)


def fix_of(label: str, before: IssueContent, after: IssueContent) -> Fix | None:
    """`after` as a fix, unless it changes nothing or could not be stored."""
    if after == before or not frozenset(content_faults(after)) <= _faults_before(before):
        return None
    return Fix(label, after)


@lru_cache(maxsize=2)
def _faults_before(content: IssueContent) -> frozenset[str]:
    """What is wrong with the content that all fixes of a run start from."""
    return frozenset(content_faults(content))
