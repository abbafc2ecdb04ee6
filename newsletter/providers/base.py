"""What every provider can do and say, in our words.

A provider never raises for what the other side answers: each post ends in exactly one `Outcome`, and the step that
posted decides what follows. Errors are for receipts that cannot be trusted (`EventRejected`).
"""

from __future__ import annotations

import datetime
import enum
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import ClassVar, Protocol, runtime_checkable

from django.utils.crypto import salted_hmac

from newsletter.models import Fact
from subscribers.addresses import UNFIT_FOR_HEADERS

#: The only headers we set besides those that a provider makes from a message's fields (R-18), in lower case.
HEADERS = frozenset(
    {
        "list-unsubscribe",
        "list-unsubscribe-post",
        "list-id",
        "list-archive",
        "list-owner",
        "list-help",
        "list-post",
        "feedback-id",
        "auto-submitted",
        "precedence",
        "x-auto-response-suppress",
        "x-entity-ref-id",
        "in-reply-to",
        "references",
    }
)
TAG = re.compile(r"[A-Za-z0-9_-]{1,256}")
ADDRESS = re.compile(r"[^\s<>()\[\],;:\"'`]+@[^\s<>()\[\],;:\"'`]+")


def cleaned(text: object) -> str:
    """Someone else's text, safe to store, log and show: no address, no control characters, at most 300 long."""
    printable = "".join(char if char.isprintable() else " " for char in str(text)[:2000])
    return ADDRESS.sub("(an address)", printable)[:300].strip()


class MessageRefused(ValueError):
    """A message that must not be built: a header that is not ours to set, a line break in one, a tag with text."""

    permanent = True


class OutcomeKind(enum.Enum):
    """What is known after one attempt to post (R-107)."""

    ACCEPTED = "accepted"
    """The provider took every message; `ids` are theirs, in order."""
    LATER = "later"
    """Nothing went out, and the same post may succeed after `retry_after`: no connection, or too many requests."""
    HALT = "halt"
    """Nothing went out, and nothing will until a person acts: key, domain, quota."""
    SPLIT = "split"
    """Nothing went out because of the content of at least one message, or the size of the whole."""
    UNKNOWN = "unknown"
    """Perhaps it went out: no answer, half an answer, a server error. Only the same bytes and key may follow."""
    STUCK = "stuck"
    """The provider knows the key with other bytes. Perhaps something went out; posting again cannot tell."""
    PARTIAL = "partial"
    """The provider takes messages one by one, and they did not all end the same way; `results` has each."""


class Extent(enum.Enum):
    """How far a HALT reaches."""

    ISSUE = "issue"
    """What the mails of this issue share is at fault, such as its sender: other issues may fare better."""
    TEAM = "team"
    """Everything of the account is refused until a person acts, or its key is another."""
    QUOTA = "quota"
    """Everything of the account is refused for `retry_after` seconds; then it goes on by itself."""


class Fate(enum.Enum):
    """What is known about one message of a post whose messages go out one by one."""

    ACCEPTED = "accepted"
    """The provider has it, and it must not be posted again."""
    REFUSED = "refused"
    """It did not go out, and would not the next time."""
    LATER = "later"
    """It did not go out; the same message may be taken after a while."""
    NOT_TRIED = "not tried"
    """Its turn did not come, or the post broke before it was whole: it did not go out."""
    HALTED = "halted"
    """It did not go out, and no other message would either until a person acts."""
    UNKNOWN = "unknown"
    """It was sent whole and its answer is missing: it may be out, and is never posted again by itself."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MessageResult:
    """What became of one message: `id` with ACCEPTED, else `reason`, a sentence without an address."""

    fate: Fate
    id: str = ""
    reason: str = ""
    extent: Extent = Extent.ISSUE
    """With HALTED."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What one attempt ended in. `reason` is a sentence for a person; never holds an address or a secret."""

    kind: OutcomeKind
    ids: tuple[str, ...] = ()
    results: tuple[MessageResult, ...] = ()
    """With PARTIAL: one for each message, in order."""
    reason: str = ""
    extent: Extent = Extent.ISSUE
    """With HALT."""
    retry_after: float | None = None
    """Seconds that the provider asked to wait."""
    rate_limit: float | None = None
    """Requests a second that the provider allows the whole team, from its own headers."""


def outcome_of_each(results: Sequence[MessageResult], *, rate_limit: float | None = None) -> Outcome:
    """What a post of at least one message ended in, where each has a result of its own."""
    fates = {result.fate for result in results}
    ids: tuple[str, ...] = ()
    if fates == {Fate.ACCEPTED}:
        kind, ids = OutcomeKind.ACCEPTED, tuple(result.id for result in results)
    elif fates <= {Fate.HALTED, Fate.NOT_TRIED}:
        kind = OutcomeKind.HALT if Fate.HALTED in fates else OutcomeKind.LATER
    else:
        kind = OutcomeKind.PARTIAL
    each = tuple(results) if kind is OutcomeKind.PARTIAL else ()
    extent = next((result.extent for result in results if result.fate is Fate.HALTED), Extent.ISSUE)
    reason = next((result.reason for result in results if result.reason), "")
    return Outcome(kind=kind, ids=ids, results=each, reason=reason, extent=extent, rate_limit=rate_limit)


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """One mail to exactly one recipient (R-22). Any of its strings may contain slot tokens.

    Making one checks what stands on its outside, since the JSON that it becomes has no check of its own (R-18, R-19,
    R-24). Raises MessageRefused.
    """

    sender: str
    to: str
    subject: str
    html: str
    text: str
    reply_to: str = ""
    headers: Mapping[str, str] = field(default_factory=dict)
    tags: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Refuse a message that could forge a header."""
        if fault := next(_faults(self), ""):
            raise MessageRefused(fault)


def _faults(message: Message) -> Iterator[str]:
    lines = [message.sender, message.to, message.reply_to, message.subject, *message.headers.values()]
    if any(UNFIT_FOR_HEADERS.search(line) for line in lines):
        yield "A line break or an invisible character stands in an address, the subject or a header."
    for name in message.headers:
        if name.lower() not in HEADERS:
            yield f"The header {name!r} is not ours to set."
    for name, value in message.tags.items():
        if not TAG.fullmatch(name) or not TAG.fullmatch(value):
            yield f"The tag {name!r} holds more than letters, digits, _ and -."
    if not (message.to and message.subject and message.html and message.text):
        yield "A recipient, a subject, HTML and text are needed in every mail."


class BounceKind(enum.Enum):
    """What a bounce says about the mailbox (R-92)."""

    HARD = "hard"
    """The mailbox does not exist: never write there again."""
    SOFT = "soft"
    """Full, away, or not said: the next issue may arrive."""
    POLICY = "policy"
    """They refuse us, not the reader: our DNS or reputation. Suppressing would drop innocent people."""

    @property
    def note(self) -> str:
        """How the note of its receipt begins, by which bounces of a kind are counted."""
        return f"{self.value} bounce:"


@dataclass(frozen=True, slots=True, kw_only=True)
class ParsedEvent:
    """One verified event in our words. `fact` is None for what tells nothing about a mail of ours."""

    kind: str
    fact: Fact | None
    at: datetime.datetime
    provider_id: str = ""
    recipient: str = ""
    tags: Mapping[str, str] = field(default_factory=dict)
    bounce: BounceKind | None = None
    detail: str = ""


class EventRejected(Exception):
    """A receipt that does not prove who sent it, or cannot be read. Nothing of it may be stored."""

    permanent = True


@dataclass(frozen=True, slots=True, kw_only=True)
class SignedEvent:
    """A receipt whose signature holds: the provider's id for it, and the body as it was signed."""

    event_id: str
    body: str


def account_of(*parts: object) -> str:
    """The name of an account, the same for the same key, login and address; it tells nothing about them."""
    return salted_hmac("newsletter.providers.account", "\0".join(map(str, parts)), algorithm="sha256").hexdigest()[:32]


def carrier_of(provider: Provider) -> str:
    """Who has a batch's bytes, at most 32 characters: the provider and, in short, the account.

    Another account of the same provider would not know the key under which they were posted.
    """
    return f"{provider.name}:{provider.account[:12]}"


class Provider(Protocol):
    """Carries mail and tells what became of it."""

    name: ClassVar[str]
    batch_size: ClassVar[int]
    """The most messages that one post may hold."""
    posts_per_second: ClassVar[float]
    """What its documentation allows, to say beforehand how long a send takes; its answers tell the rate in force."""
    key_lifetime: ClassVar[datetime.timedelta]
    """How long after the first attempt the same key is safe to use again, with a margin for clocks.

    Zero for a provider that knows no keys: what may have gone out is never posted again by itself.
    """
    has_events: ClassVar[bool]
    """Whether it tells by webhook what became of a mail."""

    @property
    def account(self) -> str:
        """Whose limits and quotas its posts count towards, at most 64 characters: `account_of` the key and address."""

    def __hash__(self) -> int:
        """By identity: what is encoded for one provider is kept for it."""

    def encode(self, message: Message) -> bytes:
        """One message as this provider's bytes; slot tokens in it stay whole."""

    def join(self, messages: list[bytes]) -> bytes:
        """The body of one post from encoded messages."""

    def post_batch(self, body: bytes, *, key: str, size: int) -> Outcome:
        """Post exactly these bytes, `size` messages, under this idempotency key. Never raises for an answer."""

    def post_message(self, message: Message, *, key: str) -> Outcome:
        """Post one mail outside any issue: a confirmation, a test."""

    def verify(self, headers: Mapping[str, str], body: bytes) -> SignedEvent:
        """Check the signature over the raw body. Header names are lower case. Raises EventRejected."""

    def parse(self, body: str) -> ParsedEvent:
        """Read a verified body. Unknown kinds give an event without a fact. Raises EventRejected if unreadable."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ConnectionCheck:
    """What a provider answers when it is asked whether it would take our mail now. Nothing is sent for it."""

    is_well: bool
    sentence: str
    """What was found, for a person; never holds an address or a secret."""
    clock_skew: float | None = None
    """Seconds by which its clock is ahead of ours; None if it did not tell the time."""
    domains: Mapping[str, str] | None = None
    """Its word on each sending domain, such as `verified`; None if the key may not ask."""


@runtime_checkable
class SupportsConnectionCheck(Protocol):
    """A provider that can be asked cheaply whether it would take our mail."""

    def check_connection(self) -> ConnectionCheck:
        """Ask, within seconds. Never raises for an answer, or for none."""


class ProviderSearchFailed(Exception):
    """The provider's list could not be read; `permanent` where asking again will not help. A sentence for a person."""

    def __init__(self, sentence: str, *, permanent: bool) -> None:
        super().__init__(sentence)
        self.permanent = permanent


@dataclass(frozen=True, slots=True, kw_only=True)
class SearchPage:
    """One page of the provider's list, newest first, compared with the messages of a batch."""

    found: Mapping[int, str]
    """The provider's ids of the batch's mails on this page, by the place of the message in the body."""
    untold: int
    """Mails of the page to a reader of the batch under its subject of which it is not told whose they are."""
    mails_read: int
    cursor: str
    """Where the next page begins."""
    oldest: datetime.datetime | None
    """When the oldest mail of the page was made; None if the page is empty."""
    more: bool
    """Whether the list goes on."""


@runtime_checkable
class SupportsSearch(Protocol):
    """A provider that keeps a list of what it has taken, and may be asked."""

    @property
    def supports_search(self) -> bool:
        """Whether the settings let it read that list."""

    def look_up(self, body: bytes, *, after: str) -> SearchPage:
        """Compare one page with the messages of a frozen body, by what only they bear and never by the time.

        `after` is the cursor of the page before, empty for the newest page. Raises ProviderSearchFailed.
        """

    def made_at(self, mail_id: str) -> datetime.datetime | None:
        """When it made a mail, by its own clock; None if it knows none of this id. Raises ProviderSearchFailed."""
