"""The protocol of a provider, and the values that it takes and returns.

A provider never raises for an answer of the other side: each post ends in exactly one `Outcome`, and the step that
posted decides what follows. Exceptions are for events that cannot be trusted (`EventRejected`) and for failed searches.
"""

from __future__ import annotations

import datetime
import enum
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import ClassVar, NamedTuple, Protocol, runtime_checkable

from django.utils.crypto import salted_hmac

from newsletter.config.translatable import translatable
from newsletter.models import EventType
from newsletter.providers.bounce_classes import BounceClass
from newsletter.providers.foreign_text import sanitize as sanitize
from newsletter.providers.reasons import ReasonError, provider_reason_sentence
from subscribers.addresses import UNFIT_FOR_HEADERS

#: The only headers that a message may set, in lower case; a provider makes the others from the message's fields.
ALLOWED_HEADERS = frozenset(
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
#: Columns keep this many characters of a provider's id of a mail.
MAX_ID_LENGTH = 64
TAG = re.compile(r"[A-Za-z0-9_-]{1,256}")


class InvalidMessage(ValueError):
    """A message that must not be built: a header that is not allowed, a line break in a header, an invalid tag."""


class OutcomeKind(enum.Enum):
    """What is known after one attempt to post."""

    ACCEPTED = "accepted"
    """The provider took every message; `ids` are its ids, in order."""
    RETRY_LATER = "retry_later"
    """Nothing was sent, and the same post may succeed after `retry_after`: no connection, or too many requests."""
    BLOCKED = "blocked"
    """Nothing was sent, and nothing will be until the cause is fixed: key, domain, quota. `scope` says how far."""
    REFUSED = "refused"
    """Nothing was sent, because at least one message is invalid or the request is too large."""
    UNKNOWN = "unknown"
    """The mail may have been sent: no answer, half an answer, a server error. A retry needs the same bytes and key."""
    KEY_CONFLICT = "key_conflict"
    """The provider knows the key with other bytes. Something may have been sent, and posting again cannot tell."""
    PARTIAL = "partial"
    """The provider takes messages one by one, and they ended differently; `results` has each."""


class BlockScope(enum.Enum):
    """What a BLOCKED outcome or result applies to."""

    ISSUE = "issue"
    """The mails of this issue, because of what they share, such as the sender. Other issues may be accepted."""
    ACCOUNT = "account"
    """Every mail of the account, until an operator fixes the cause or the key changes."""
    QUOTA = "quota"
    """Every mail of the account for `retry_after` seconds. Then sending resumes automatically."""


class ResultKind(enum.Enum):
    """What is known about one message, where a provider takes the messages of a post one by one."""

    ACCEPTED = "accepted"
    """The provider has it. It must not be posted again."""
    REFUSED = "refused"
    """It was not sent, and another attempt would be refused, too."""
    RETRY_LATER = "retry_later"
    """It was not sent; the same message may be accepted later."""
    NOT_ATTEMPTED = "not_attempted"
    """It was not sent: the post ended before this message was complete."""
    BLOCKED = "blocked"
    """It was not sent, and no other message would be until the cause is fixed."""
    UNKNOWN = "unknown"
    """It was sent completely and the answer is missing, so it may have been delivered. It is posted again only if the
    provider has idempotency keys; see `MessageResult.repeat`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MessageResult:
    """The result for one message: `id` with ACCEPTED, else `code` and `detail`."""

    kind: ResultKind
    id: str = ""
    code: str = ""
    """A reason code, see `newsletter.providers.reasons`."""
    detail: str = ""
    """The provider's own words. Never holds an address or a secret."""
    scope: BlockScope = BlockScope.ISSUE
    """With BLOCKED."""
    repeat: bytes = b""
    """With UNKNOWN, where the provider has idempotency keys: the body that posts this message again under its key."""

    @property
    def reason(self) -> str:
        """Code and detail as a translatable sentence."""
        return provider_reason_sentence(self.code, self.detail)


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """The result of one attempt to post."""

    kind: OutcomeKind
    ids: tuple[str, ...] = ()
    """With ACCEPTED: the provider's id of each message, in order."""
    results: tuple[MessageResult, ...] = ()
    """With PARTIAL: one for each message, in order."""
    code: str = ""
    """A reason code, see `newsletter.providers.reasons`."""
    detail: str = ""
    """The provider's own words. Never holds an address or a secret."""
    scope: BlockScope = BlockScope.ISSUE
    """With BLOCKED."""
    retry_after: float | None = None
    """Seconds that the provider asked to wait."""
    rate_limit: float | None = None
    """Requests per second that the provider allows the whole account, as its answer says."""
    account: str = ""
    """The `provider_account` that was asked, where the route chose it: set by `throttle.post_message`."""

    @property
    def reason(self) -> str:
        """Code and detail as a translatable sentence."""
        return provider_reason_sentence(self.code, self.detail)


def combine_results(results: Sequence[MessageResult], *, rate_limit: float | None = None) -> Outcome:
    """The outcome of a post of at least one message, where each message has a result of its own."""
    kinds = {result.kind for result in results}
    ids: tuple[str, ...] = ()
    if kinds == {ResultKind.ACCEPTED}:
        kind, ids = OutcomeKind.ACCEPTED, tuple(result.id for result in results)
    elif kinds <= {ResultKind.BLOCKED, ResultKind.NOT_ATTEMPTED}:
        kind = OutcomeKind.BLOCKED if ResultKind.BLOCKED in kinds else OutcomeKind.RETRY_LATER
    else:
        kind = OutcomeKind.PARTIAL
    explained = next((result for result in results if result.code), results[0])
    return Outcome(
        kind=kind,
        ids=ids,
        results=tuple(results) if kind is OutcomeKind.PARTIAL else (),
        code=explained.code,
        detail=explained.detail,
        scope=next((result.scope for result in results if result.kind is ResultKind.BLOCKED), BlockScope.ISSUE),
        rate_limit=rate_limit,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """One mail to exactly one recipient. Any of its strings may contain placeholder tokens.

    The constructor checks headers and tags, because the JSON that a message becomes is not checked again. Raises
    InvalidMessage.
    """

    sender: str
    to: str
    subject: str
    html: str
    text: str
    reply_to: str = ""
    headers: Mapping[str, str] = field(default_factory=dict)
    tags: Mapping[str, str] = field(default_factory=dict)
    written_at: datetime.datetime | None = None
    """The time in the mail, the same for every attempt. None: when the body of a post is made."""

    def __post_init__(self) -> None:
        """Refuse a message that could inject a header."""
        if error := next(_errors(self), ""):
            raise InvalidMessage(error)


def _errors(message: Message) -> Iterator[str]:
    lines = [message.sender, message.to, message.reply_to, message.subject, *message.headers.values()]
    if any(UNFIT_FOR_HEADERS.search(line) for line in lines):
        yield translatable("An address, the subject or a header contains a line break or an invisible character.")
    for name in message.headers:
        if name.lower() not in ALLOWED_HEADERS:
            yield translatable("The header “{name}” is not one that a message may set.", name=name)
    for name, value in message.tags.items():
        if not TAG.fullmatch(name) or not TAG.fullmatch(value):
            yield translatable("The tag “{name}” contains characters other than letters, digits, _ and -.", name=name)
    if not (message.to and message.subject and message.html and message.text):
        yield translatable("A message needs a recipient, a subject, HTML and text.")


@dataclass(frozen=True, slots=True, kw_only=True)
class ParsedEvent:
    """One verified event. `event_type` is None if it says nothing about a mail."""

    kind: str
    """The provider's name for this kind of event."""
    event_type: EventType | None
    at: datetime.datetime
    provider_id: str = ""
    """The provider's id of the mail."""
    recipient: str = ""
    tags: Mapping[str, str] = field(default_factory=dict)
    bounce: BounceClass | None = None
    """What a bounce is about."""
    is_permanent: bool | None = None
    """Whether the provider calls a bounce permanent, and does not try the address again; None: it does not say."""
    detail: str = ""
    """The provider's own words: why a mail failed or bounced, or which link was clicked. Holds no address."""


class EventRejected(ReasonError):
    """An event without a valid signature, which is not stored, or one that cannot be read, which is ignored."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SignedEvent:
    """An event with a valid signature: the provider's id for it, and the body as it was signed."""

    event_id: str
    body: str


def account_fingerprint(*parts: object) -> str:
    """A keyed hash, the same for the same key, login and address. It reveals nothing about them."""
    return salted_hmac("newsletter.providers.account", "\0".join(map(str, parts)), algorithm="sha256").hexdigest()[:32]


def provider_account(provider: Provider) -> str:
    """Identifies who got a batch's bytes, such as `resend:0f3a…`, at most 32 characters.

    The account is part of it, because another account of the same provider does not know the idempotency key.
    """
    return f"{provider.name}:{provider.account[:12]}"


class EncodedPart(NamedTuple):
    """Bytes of an encoded message, and the encoding of the values that fill the placeholders in them."""

    content: bytes
    encode_value: Callable[[str], bytes]


#: Matches no placeholder: for messages that have none.
NO_PLACEHOLDERS = re.compile(r"(?!)")


class Provider(Protocol):
    """Sends mail, and reports what became of it."""

    name: ClassVar[str]
    supports_webhooks: ClassVar[bool]
    """Whether it sends webhooks about deliveries, bounces and complaints. They are taken at /webhooks/`name`/."""

    @property
    def batch_size(self) -> int:
        """The most messages that one post may hold."""

    @property
    def posts_per_second(self) -> float:
        """The documented rate limit, to estimate how long a send takes. Answers name the rate that is in force."""

    @property
    def key_lifetime(self) -> datetime.timedelta:
        """How long after the first attempt its key may be used; zero without keys. See docs/add-a-provider.md, 1."""

    @property
    def has_webhook_secret(self) -> bool:
        """Whether the settings have what verifies its webhooks. Without it, their URL answers 404."""

    @property
    def account(self) -> str:
        """The account whose limits and quotas its posts count towards, at most 64 characters; `account_fingerprint`."""

    def __hash__(self) -> int:
        """By identity, because encoded messages are cached per provider."""

    def encode(self, message: Message) -> bytes:
        """One message as this provider's bytes. Placeholder tokens in it stay whole."""

    def join(self, messages: Sequence[Sequence[bytes]]) -> bytes:
        """The body of one post from encoded messages, each in pieces: a body of megabytes is to be copied once."""

    def post_batch(self, body: bytes, *, key: str, size: int) -> Outcome:
        """Post exactly these bytes, `size` messages, under this idempotency key. Never raises for an answer."""

    def post_message(self, message: Message, *, key: str) -> Outcome:
        """Post one transactional or test mail."""

    def verify_webhook(self, headers: Mapping[str, str], body: bytes) -> SignedEvent:
        """Check the signature over the raw body. Header names are lower case. Raises EventRejected."""

    def parse_webhook(self, body: str) -> ParsedEvent:
        """Read a verified body. Unknown kinds give an event without a type. Raises EventRejected if unreadable."""


@runtime_checkable
class EncodesInParts(Protocol):
    """A provider whose encoding of a value depends on its place in the message. All others encode messages as JSON."""

    def encode_parts(self, message: Message, placeholders: re.Pattern[str]) -> tuple[EncodedPart, ...]:
        """The message as `encode` makes it, in parts. Each match of `placeholders` stays as it is."""


#: Called with the index of the message that comes next and the results of those before it, right before the first
#: byte of its content is sent. Returns the code of the reason why it must not be sent; empty if it may.
MayBegin = Callable[[int, Sequence[MessageResult]], str]


@runtime_checkable
class PostsOneByOne(Protocol):
    """A provider that takes the messages of a post one after the other, so that the progress can be recorded.

    After a crash only the messages between the latest record and the latest allowed beginning have an unknown outcome.
    """

    def post_each(self, body: bytes, *, key: str, size: int, may_begin: MayBegin) -> Outcome:
        """`post_batch` that asks before each message. From the first one that may not begin, none is attempted."""

    def unknown_results(self, body: bytes, *, key: str, indexes: range) -> tuple[MessageResult, ...]:
        """The results of messages of a body of which nothing is known, because the process ended during the post."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ConnectionCheck:
    """The result of asking a provider whether it would take mail now. Nothing is sent for it."""

    is_ok: bool
    code: str
    """A reason code, see `newsletter.providers.reasons`."""
    detail: str = ""
    """The provider's own words. Never holds an address or a secret."""
    clock_skew: float | None = None
    """Seconds by which the provider's clock is ahead of ours; None if the answer had no time."""
    domains: Mapping[str, str] | None = None
    """The state of each sending domain, such as `verified`; None if the key may not read them."""

    @property
    def reason(self) -> str:
        """Code and detail as a translatable sentence."""
        return provider_reason_sentence(self.code, self.detail)


@runtime_checkable
class SupportsConnectionCheck(Protocol):
    """A provider that can be asked cheaply whether it would take mail."""

    def check_connection(self) -> ConnectionCheck:
        """Ask, within seconds. Never raises for an answer or for a missing one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SendingDomain:
    """A domain of the account. Tracking is None where the provider does not say."""

    name: str
    """In lower case."""
    status: str
    """The provider's word, such as `verified`."""
    open_tracking: bool | None
    click_tracking: bool | None


class DomainsUnreadable(ReasonError):
    """The provider's domains could not be read: the key may not, or no answer came."""


@runtime_checkable
class SupportsDomains(Protocol):
    """A provider whose sending domains can be read."""

    def read_domains(self) -> tuple[SendingDomain, ...]:
        """Every domain of the account, within seconds. Raises DomainsUnreadable."""


class ProviderSearchFailed(ReasonError):
    """The provider's list of mails could not be read; `permanent` if asking again will not help."""

    def __init__(self, code: str, detail: str = "", *, permanent: bool) -> None:
        super().__init__(code, detail)
        self.permanent = permanent


@dataclass(frozen=True, slots=True, kw_only=True)
class SearchPage:
    """One page of the provider's list of mails, newest first, compared with the messages of a batch."""

    found: Mapping[int, str]
    """The provider's ids of the batch's mails on this page, by the index of the message in the body."""
    unverifiable: int
    """Mails with a recipient and the subject of the batch that may be its mails: the provider does not tell their tags,
    or only the number of the delivery differs."""
    mails_read: int
    cursor: str
    """Where the next page begins."""
    oldest_at: datetime.datetime | None
    """When the oldest mail of the page was created; None if the page is empty."""
    has_more: bool


@runtime_checkable
class SupportsSearch(Protocol):
    """A provider whose list of mails can be read."""

    @property
    def can_search(self) -> bool:
        """Whether the settings allow to read that list."""

    def search(self, body: bytes, *, after: str) -> SearchPage:
        """Compare one page of the list with the messages of a frozen body, by their tags and never by time.

        `after` is the cursor of the page before; empty for the newest page. Raises ProviderSearchFailed.
        """

    def mail_created_at(self, mail_id: str) -> datetime.datetime | None:
        """When the provider created a mail, by its own clock; None for an unknown id. Raises ProviderSearchFailed."""
