"""The SMTP provider: posts the mails of a batch over one connection, which it keeps for the next batch.

SMTP has no idempotency keys, so this provider sends at most once: a mail whose final dot was sent without a reply is
not posted again automatically. Resend's mail server is the exception, since it takes a key in a header.
"""

from __future__ import annotations

import datetime
import re
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import lru_cache, partial
from typing import ClassVar

from django.utils import timezone

from newsletter.models import Reason
from newsletter.providers.base import (
    BlockScope,
    ConnectionCheck,
    EncodedPart,
    EventRejected,
    MayBegin,
    Message,
    MessageResult,
    Outcome,
    OutcomeKind,
    ParsedEvent,
    ResultKind,
    SignedEvent,
    account_fingerprint,
    combine_results,
)
from newsletter.providers.smtp.connection import NoConnection, connection_settings
from newsletter.providers.smtp.frozen import Mail, body_of_one, join_mails, mails_of
from newsletter.providers.smtp.mime import encode_mail, whole
from newsletter.providers.smtp.session import Session

#: Seconds after which a post begins no further mail, so that a slow server does not outlast the batch's lease.
MAX_POST_DURATION = 45.0

#: Rate limit in posts per second. The server limits the rate by how fast it answers, so this is high.
RATE_LIMIT = 100.0

#: Seconds that a connection check may take.
CONNECTION_CHECK_TIMEOUT = 5.0

#: Refusals with no accepted mail after which the rest of the batch is not attempted: the cause is hardly the addresses.
REFUSAL_THRESHOLD = 2

#: Results that end the post: the connection is gone, or every other mail would have the same result.
FINAL_RESULTS = {ResultKind.NOT_ATTEMPTED, ResultKind.BLOCKED, ResultKind.UNKNOWN}

#: Codes after which the first mail of a post is tried once more over a new connection, if the connection was kept.
RECONNECT_AFTER = {"connection_lost", "sender_deferred"}

#: Mail servers that take an idempotency key (Resend docs, “Send emails with SMTP”).
HOSTS_WITH_KEYS = {"smtp.resend.com"}

#: There each mail counts as a request of the account, of which ten a second are allowed (Resend docs, “Rate limit”).
RESEND_MAILS_PER_SECOND, RESEND_BATCH_SIZE = 10.0, 10


class SmtpProvider:
    """Posts a batch over one connection, one mail after the other, with a result for each."""

    name: ClassVar[str] = "smtp"
    supports_webhooks: ClassVar[bool] = False
    has_webhook_secret: ClassVar[bool] = False

    def __init__(self, sleep: Callable[[float], None] = time.sleep) -> None:
        self._sleep = sleep
        #: The connection of each thread, kept between two posts.
        self._kept = threading.local()

    @property
    def _has_keys(self) -> bool:
        return connection_settings().host.lower().rstrip(".") in HOSTS_WITH_KEYS

    @property
    def batch_size(self) -> int:
        """After a crash only the mails that were begun and not recorded are unknown, not the whole batch."""
        return RESEND_BATCH_SIZE if self._has_keys else 100

    @property
    def posts_per_second(self) -> float:
        """An estimate: a nearby server takes fifty mails in a second."""
        return RESEND_MAILS_PER_SECOND / RESEND_BATCH_SIZE if self._has_keys else 0.5

    @property
    def key_lifetime(self) -> datetime.timedelta:
        """Resend keeps idempotency keys for 24 hours; one hour less allows for clock differences."""
        return datetime.timedelta(hours=23 if self._has_keys else 0)

    @property
    def account(self) -> str:
        """The fingerprint of the server and the login.

        With keys it is another one: earlier versions posted without keys, and such a post must not be repeated.
        """
        server = connection_settings()
        keys = ("keys",) if self._has_keys else ()
        return account_fingerprint(server.host, server.port, server.user, server.password, *keys)

    def encode(self, message: Message) -> bytes:
        """The whole mail, behind a line with its envelope."""
        return whole(encode_mail(message))

    def encode_parts(self, message: Message, placeholders: re.Pattern[str]) -> tuple[EncodedPart, ...]:
        """The same with placeholders, whose values are encoded differently in headers and in the body."""
        return encode_mail(message, placeholders)

    def join(self, messages: Sequence[Sequence[bytes]]) -> bytes:
        """The mails with their envelopes and their common Date, so that every attempt makes the same bytes."""
        return join_mails([b"".join(pieces) for pieces in messages], timezone.now())

    def post_batch(self, body: bytes, *, key: str, size: int) -> Outcome:
        """Post the mails over one connection."""
        return self.post_each(body, key=key, size=size, may_begin=_always)

    def post_each(self, body: bytes, *, key: str, size: int, may_begin: MayBegin) -> Outcome:
        """Post the mails, and ask before each. The key names mails without a delivery, and those at Resend."""
        mails = mails_of(body, key, has_keys=self._has_keys)
        results: list[MessageResult] = []
        try:
            self._send_all(mails, results, may_begin)
        except NoConnection as error:
            return Outcome(kind=error.kind, scope=BlockScope.ACCOUNT, code=error.code, detail=error.detail)
        return combine_results(self._with_repeats(results, body, key), rate_limit=self._rate_limit)

    def unknown_results(self, body: bytes, *, key: str, indexes: range) -> tuple[MessageResult, ...]:
        """With keys the mails are posted again, each by itself; without keys they are held."""
        if self._has_keys:
            unknown = MessageResult(kind=ResultKind.UNKNOWN, code="no_answer")
            return tuple(replace(unknown, repeat=body_of_one(body, key, index)) for index in indexes)
        return (MessageResult(kind=ResultKind.UNKNOWN, code=Reason.NOT_REPEATABLE),) * len(indexes)

    def post_message(self, message: Message, *, key: str) -> Outcome:
        """Post one mail. Without keys a repeat is a second mail, with the same Message-ID."""
        body = join_mails([self.encode(message)], message.written_at or timezone.now())
        outcome = self.post_batch(body, key=key, size=1)
        if outcome.kind is not OutcomeKind.PARTIAL:
            return outcome
        (result,) = outcome.results
        return Outcome(kind=OUTCOME_OF_ONE[result.kind], code=result.code, detail=result.detail)

    def check_connection(self) -> ConnectionCheck:
        """Connect, log in and disconnect."""
        try:
            Session.open(timeout=CONNECTION_CHECK_TIMEOUT).close()
        except NoConnection as error:
            return ConnectionCheck(is_ok=False, code=error.code, detail=error.detail)
        return ConnectionCheck(is_ok=True, code="connection_ok")

    def close(self) -> None:
        """Close the connection that this thread has kept."""
        if session := self._kept_session():
            session.close()
        self._kept.session = None

    def verify_webhook(self, headers: Mapping[str, str], body: bytes) -> SignedEvent:
        """SMTP has no webhooks. Raises EventRejected."""
        raise EventRejected("events_unsupported")

    def parse_webhook(self, body: str) -> ParsedEvent:
        """SMTP has no webhooks. Raises EventRejected."""
        raise EventRejected("events_unsupported")

    @property
    def _rate_limit(self) -> float:
        return self.posts_per_second if self._has_keys else RATE_LIMIT

    def _with_repeats(self, results: list[MessageResult], body: bytes, key: str) -> list[MessageResult]:
        if not self._has_keys:
            return results
        return [
            replace(result, repeat=body_of_one(body, key, index)) if result.kind is ResultKind.UNKNOWN else result
            for index, result in enumerate(results)
        ]

    def _kept_session(self) -> Session | None:
        session: Session | None = getattr(self._kept, "session", None)
        return session

    def _session(self) -> Session:
        """The kept connection, or a new one. Raises NoConnection."""
        session = self._kept_session()
        if session is None or not session.may_be_used_again():
            self.close()
            session = self._kept.session = Session.open()
        return session

    def _send_all(self, mails: list[Mail], results: list[MessageResult], may_begin: MayBegin) -> None:
        """Append one result for each mail. After a result that ends the post the other mails are not attempted."""
        deadline = time.monotonic() + MAX_POST_DURATION
        session = self._session()
        try:
            for index, mail in enumerate(mails):
                if index and self._has_keys:
                    self._sleep(1 / RESEND_MAILS_PER_SECOND)
                following = mails[index + 1] if index + 1 < len(mails) else None
                begin = partial(may_begin, index, results)
                result = session.send(mail, begin, following=following)
                if not index and _is_over(session, result):
                    self.close()
                    session = self._session()
                    result = session.send(mail, begin, following=following)
                results.append(result)
                if stop := _reason_to_stop(results, is_late=time.monotonic() > deadline):
                    results += [stop] * (len(mails) - len(results))
                    session.close()
                    return
        finally:
            session.end_post()


def _always(index: int, results: Sequence[MessageResult]) -> str:
    return ""


def _is_over(session: Session, result: MessageResult) -> bool:
    """Whether a connection that was kept is of no use any more: it was closed, or takes no more mails."""
    return session.has_sent and result.kind is ResultKind.NOT_ATTEMPTED and result.code in RECONNECT_AFTER


def _reason_to_stop(results: list[MessageResult], *, is_late: bool) -> MessageResult | None:
    """The result of all further mails, if they must not be attempted after these results."""
    latest = results[-1]
    stop = MessageResult(kind=ResultKind.NOT_ATTEMPTED, code=latest.code, detail=latest.detail)
    if latest.kind in FINAL_RESULTS:
        return stop
    if latest.kind is ResultKind.REFUSED and _are_only_refusals(results):
        return replace(stop, code="previous_messages_refused")
    return MessageResult(kind=ResultKind.NOT_ATTEMPTED, code="server_slow") if is_late else None


def _are_only_refusals(results: list[MessageResult]) -> bool:
    kinds = [result.kind for result in results]
    return kinds.count(ResultKind.REFUSED) >= REFUSAL_THRESHOLD and ResultKind.ACCEPTED not in kinds


#: The outcome of a post of one mail, by its result.
OUTCOME_OF_ONE = {
    ResultKind.REFUSED: OutcomeKind.REFUSED,
    ResultKind.RETRY_LATER: OutcomeKind.RETRY_LATER,
    ResultKind.UNKNOWN: OutcomeKind.UNKNOWN,
}


@lru_cache(maxsize=1)
def from_settings() -> SmtpProvider:
    """The provider: one object for all settings, since it reads Django's EMAIL_* at each post."""
    return SmtpProvider()
