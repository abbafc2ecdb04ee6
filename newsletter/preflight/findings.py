"""The input and output of checks, as plain values."""

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
from newsletter.rendering.palette import Pairing

__all__ = [
    "AudienceSnapshot",
    "Family",
    "Finding",
    "Fix",
    "Inspection",
    "KnownPicture",
    "LastSend",
    "LinkHop",
    "LinkStatus",
    "PastIssue",
    "Rendered",
    "Sender",
    "Severity",
    "apply_fixes",
    "error",
    "make_fix",
    "warning",
]


Change = Callable[[IssueContent], IssueContent | None]
"""Makes one correction in an issue; None if it cannot be made there without changing anything else."""


@dataclass(frozen=True, slots=True)
class Fix:
    """A safe correction for a finding: `content` is the whole corrected issue."""

    label: str
    """The text of its button: `Set the date to 2026-11-24`."""
    content: IssueContent
    change: Change = field(compare=False, repr=False)
    """Makes the correction, also after others were made."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One result of a check. An error blocks sending, a warning does not."""

    severity: Severity
    family: str
    code: str
    """What the finding is about, such as `no_content`. It is unique in its family and does not change."""
    place: str
    """The part of the issue: `Deep dives, story 3`. Empty for the issue as a whole."""
    message: str
    """The problem and how to solve it, in whole sentences."""
    fix: Fix | None = None
    field: str = field(default="", compare=False)
    """The field of the row at `place` that causes it, as the form names it: `url`. Empty if it is not one field."""

    @property
    def key(self) -> str:
        """Identifies the finding on a page. The next run gives the same finding the same key."""
        parts = "\0".join((self.severity, self.family, self.place, self.message))
        return hashlib.sha256(parts.encode("utf-8", "surrogatepass")).hexdigest()[:16]


class Rendered(Protocol):
    """A rendering of the issue, fresh or frozen as an edition. Its placeholder tokens contain `nonce`."""

    @property
    def html(self) -> str:
        """The HTML part."""

    @property
    def text(self) -> str:
        """The text part."""

    @property
    def nonce(self) -> str:
        """The random part of the placeholder tokens in both parts."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sender:
    """The sender of the newsletter."""

    name: str
    email: str
    postal_address: str
    tracks_opens: bool = False
    """Whether the provider is known to track opens of all mails from this address."""
    tracks_clicks: bool = False
    lets_provider_track: bool = False
    """Whether the provider's tracking is the chosen source of opens and clicks, with consent."""
    is_tracking_known: bool = False
    """Whether the provider has said whether it tracks."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PastIssue:
    """An issue that was sent before, with the titles and links of its stories."""

    title: str
    date: datetime.date
    titles: tuple[str, ...] = ()
    links: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class LinkHop:
    """One redirect of a link, with its HTTP status."""

    url: str
    status: int


@dataclass(frozen=True, slots=True, kw_only=True)
class LinkStatus:
    """The result of the last check of an address. If there was no response, `status` is None and `reason` is set."""

    status: int | None = None
    final_url: str = ""
    hops: tuple[LinkHop, ...] = ()
    reason: str = ""
    """Why there was no response, as a sentence."""
    has_https: bool | None = None
    """For http addresses: whether https returns the same page."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LastSend:
    """The newest issue of the newsletter that was sent before this one."""

    title: str
    started: datetime.datetime
    """In the newsletter's time zone."""
    recipients: int


@dataclass(frozen=True, slots=True, kw_only=True)
class AudienceSnapshot:
    """How many recipients the issue has, and how many subscribers are excluded, by reason."""

    count: int
    excluded: Mapping[str, int] = field(default_factory=dict)
    is_narrowed: bool = False
    """Whether further lists, segments or a topic were chosen."""
    problems: tuple[str, ...] = ()
    """Why it cannot be computed, as sentences with the way out. `count` is 0 then."""


@dataclass(frozen=True, slots=True, kw_only=True)
class KnownPicture:
    """A picture of the newsletter's library."""

    bytes: int
    is_decorative: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Inspection:
    """The input of all checks: values, so that no check queries the database or the network."""

    content: IssueContent
    sender: Sender
    sends_at: datetime.datetime
    """The scheduled start, or the present time, in the newsletter's time zone."""
    audience: AudienceSnapshot
    rendered: Rendered | None
    """None if the issue cannot be rendered; `render_error` then says why."""
    render_error: str = ""
    """A whole sentence."""
    past: tuple[PastIssue, ...] = ()
    """The last issues of the newsletter, newest first."""
    links: Mapping[str, LinkStatus] = field(default_factory=dict)
    """By address. Addresses that are missing here have not been checked yet."""
    last_send: LastSend | None = None
    pictures: Mapping[str, KnownPicture] = field(default_factory=dict)
    """By address. Pictures of other sites are missing here."""
    weak_colours: tuple[Pairing, ...] = ()
    """Pairs of colours of the brand with too little contrast, the weakest first."""
    merge_names: tuple[str, ...] | None = None
    """The merge fields that exist: the built-in ones and the list's custom fields. None: not known, any may exist."""

    @property
    def send_date(self) -> datetime.date:
        """The day on which the issue is sent."""
        return self.sends_at.date()


Check = Callable[[Inspection], Iterable[Finding]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Family:
    """Checks that belong together."""

    name: str
    check: Check
    passed: Callable[[Inspection], str]
    """The sentence to show if there are no findings. Empty if there was nothing to check."""


def error(family: str, code: str, place: str, message: str, fix: Fix | None = None, *, field: str = "") -> Finding:
    """A finding that blocks sending."""
    return Finding(Severity.ERROR, family, code, place, message, fix, field)


def warning(family: str, code: str, place: str, message: str, fix: Fix | None = None, *, field: str = "") -> Finding:
    """A finding that may be intended."""
    return Finding(Severity.WARNING, family, code, place, message, fix, field)


def make_fix(label: str, before: IssueContent, change: Change) -> Fix | None:
    """`change` as a fix; None if it changes nothing or what it makes could not be saved."""
    after = change(before)
    if after is None or after == before or not frozenset(content_faults(after)) <= _faults_before(before):
        return None
    return Fix(label, after, change)


def apply_fixes(content: IssueContent, fixes: Iterable[Fix]) -> IssueContent:
    """`content` with the corrections of all fixes that can still be made there, one after the other."""
    for fix in fixes:
        content = fix.change(content) or content
    return content


@lru_cache(maxsize=2)
def _faults_before(content: IssueContent) -> frozenset[str]:
    """The faults of the content that all fixes of a run start from."""
    return frozenset(content_faults(content))
