"""SMTP: any mail server, through Django's SMTP backend and its EMAIL_* settings. The only module that speaks SMTP.

SMTP has no idempotency keys, so this provider sends at most once: a mail whose final dot was sent without a reply is
not posted again automatically. A mail whose final dot was not sent was not delivered (RFC 5321 §4.1.1.4, §6.1).
"""

from __future__ import annotations

import binascii
import contextlib
import datetime
import hashlib
import smtplib
import socket
import ssl
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from email.header import Header
from email.message import Message as MimePart
from email.mime.multipart import MIMEMultipart
from email.policy import compat32
from email.utils import format_datetime, formataddr, parseaddr
from functools import lru_cache
from typing import Any, ClassVar, NoReturn, Self, cast

import orjson
from django.conf import settings
from django.core.mail.backends.smtp import EmailBackend
from django.utils import timezone

from newsletter.providers.base import (
    MAX_ID_LENGTH,
    BlockScope,
    ConnectionCheck,
    EventRejected,
    Message,
    MessageResult,
    Outcome,
    OutcomeKind,
    ParsedEvent,
    ResultKind,
    SignedEvent,
    account_fingerprint,
    combine_results,
    sanitize,
)
from newsletter.providers.reasons import ReasonError

#: Seconds after which a post begins no further mail, so that a slow server does not outlast the batch's lease.
MAX_POST_DURATION = 45.0

#: Rate limit in posts per second. The server limits the rate by how fast it answers, so this is high.
RATE_LIMIT = 100.0

#: Seconds that a connection check may take.
CONNECTION_CHECK_TIMEOUT = 5.0

#: Refusals with no accepted mail after which the rest of the batch is not attempted: the cause is hardly the addresses.
REFUSAL_THRESHOLD = 2

#: Replies that are about our login and not about the mail (RFC 4954).
AUTHENTICATION_ERRORS = {530, 534, 535, 538}


#: Results that end the post: the connection is gone, or every other mail would have the same result.
FINAL_RESULTS = {ResultKind.NOT_ATTEMPTED, ResultKind.BLOCKED, ResultKind.UNKNOWN}

#: A line is folded only if it is too long (RFC 5322 §2.1.1): some mail programs do not find a link on a folded line.
WIRE_POLICY = compat32.clone(linesep="\r\n", max_line_length=998)


@dataclass(frozen=True, slots=True, kw_only=True)
class Mail:
    """One mail as it is sent: bare addresses, and ASCII bytes with CRLF line ends, dots not yet doubled."""

    sender: str
    recipient: str
    id: str
    """The local part of its Message-ID, by which bounces and the server's log lead back to the delivery."""
    content: bytes


class SmtpProvider:
    """Posts a batch over one connection, one mail after the other, with a result for each."""

    name: ClassVar[str] = "smtp"
    # After a crash during a batch it is unknown which mails were sent: all of them then wait for an operator.
    batch_size: ClassVar[int] = 10
    # An estimate: a nearby server takes ten mails in half a second.
    posts_per_second: ClassVar[float] = 2.0
    key_lifetime: ClassVar[datetime.timedelta] = datetime.timedelta(0)
    supports_webhooks: ClassVar[bool] = False

    @property
    def account(self) -> str:
        """The fingerprint of the server and the login."""
        login = (settings.EMAIL_HOST_USER, settings.EMAIL_HOST_PASSWORD)
        return account_fingerprint(settings.EMAIL_HOST, settings.EMAIL_PORT, *login)

    def encode(self, message: Message) -> bytes:
        """The message as JSON. It becomes MIME when it is posted, since transfer encodings would split placeholders."""
        return orjson.dumps(
            {
                "from": message.sender,
                "to": message.to,
                "reply_to": message.reply_to,
                "subject": message.subject,
                "html": message.html,
                "text": message.text,
                "headers": dict(message.headers),
                "tags": dict(message.tags),
            }
        )

    def join(self, messages: list[bytes]) -> bytes:
        """A JSON object of the messages and their common Date header, so that every attempt makes the same bytes."""
        date = orjson.dumps(format_datetime(timezone.now()))
        return b'{"date":' + date + b',"messages":[' + b",".join(messages) + b"]}"

    def post_batch(self, body: bytes, *, key: str, size: int) -> Outcome:
        """Post the mails over one connection. The key only makes the Message-ID of mails without a delivery."""
        mails = mails_of(body, key)
        try:
            with Connection.open() as connection:
                return combine_results(list(_results(connection, mails)), rate_limit=RATE_LIMIT)
        except NoConnection as error:
            return Outcome(kind=error.kind, scope=BlockScope.ACCOUNT, code=error.code, detail=error.detail)

    def post_message(self, message: Message, *, key: str) -> Outcome:
        """Post one mail. A repeat under the same key is a second mail, with the same Message-ID."""
        outcome = self.post_batch(self.join([self.encode(message)]), key=key, size=1)
        if outcome.kind is not OutcomeKind.PARTIAL:
            return outcome
        (result,) = outcome.results
        return Outcome(kind=OUTCOME_OF_ONE[result.kind], code=result.code, detail=result.detail)

    def check_connection(self) -> ConnectionCheck:
        """Connect, log in and disconnect."""
        try:
            with Connection.open(timeout=CONNECTION_CHECK_TIMEOUT):
                return ConnectionCheck(is_ok=True, code="connection_ok")
        except NoConnection as error:
            return ConnectionCheck(is_ok=False, code=error.code, detail=error.detail)

    def verify_webhook(self, headers: Mapping[str, str], body: bytes) -> SignedEvent:
        """SMTP has no webhooks. Raises EventRejected."""
        raise EventRejected("events_unsupported")

    def parse_webhook(self, body: str) -> ParsedEvent:
        """SMTP has no webhooks. Raises EventRejected."""
        raise EventRejected("events_unsupported")


#: The outcome of a post of one mail, by its result.
OUTCOME_OF_ONE = {
    ResultKind.REFUSED: OutcomeKind.REFUSED,
    ResultKind.RETRY_LATER: OutcomeKind.RETRY_LATER,
    ResultKind.UNKNOWN: OutcomeKind.UNKNOWN,
}


@lru_cache(maxsize=1)
def from_settings() -> SmtpProvider:
    """The provider: one object for all settings, since it keeps no state and reads Django's EMAIL_* at each post."""
    return SmtpProvider()


# From frozen bytes to mails


def mails_of(body: bytes, key: str) -> list[Mail]:
    """The mails of a frozen body. The same bytes and key make the same mails."""
    post = orjson.loads(body)
    return [_mail(fields, post["date"], f"{key}:{index}") for index, fields in enumerate(post["messages"])]


def _mail(fields: Mapping[str, Any], date: str, name: str) -> Mail:
    sender, recipient = parseaddr(fields["from"])[1], parseaddr(fields["to"])[1]
    mail_id = _id(fields["tags"], name)
    mail = MIMEMultipart("alternative", boundary=f"=_{hashlib.sha256(name.encode()).hexdigest()[:32]}")
    mail["From"], mail["To"] = _header_address("From", fields["from"]), _header_address("To", fields["to"])
    if fields["reply_to"]:
        mail["Reply-To"] = _header_address("Reply-To", fields["reply_to"])
    mail["Subject"] = _header_text("Subject", fields["subject"])
    mail["Date"] = date
    mail["Message-ID"] = f"<{mail_id}@{sender.rpartition('@')[2]}>"
    for header, value in fields["headers"].items():
        mail[header] = _header_text(header, value)
    # The preferred part comes last (RFC 2046 §5.1.4).
    mail.attach(_part("plain", fields["text"]))
    mail.attach(_part("html", fields["html"]))
    return Mail(sender=sender, recipient=recipient, id=mail_id, content=mail.as_bytes(policy=WIRE_POLICY))


def _id(tags: Mapping[str, str], name: str) -> str:
    """The delivery and edition, so that a bounce leads to its delivery; for other mails a hash of `name`."""
    if "delivery" in tags and "edition" in tags:
        return f"{tags['delivery']}.{tags['edition']}.{tags.get('env', '')}"[:MAX_ID_LENGTH].rstrip(".")
    return hashlib.sha256(name.encode()).hexdigest()[:32]


def _header_address(header: str, value: str) -> str:
    name, address = parseaddr(value)
    if not address.isascii():
        # A mail with such an address is not sent; see Connection.send.
        return _header_text(header, value)
    if name.isascii():
        return formataddr((name, address))
    return f"{Header(name, 'utf-8', header_name=header).encode()} <{address}>"


def _header_text(header: str, value: str) -> str:
    """ASCII unchanged, since mail programs do not find an encoded or folded link; other text as in RFC 2047."""
    return value if value.isascii() else Header(value, "utf-8", header_name=header).encode()


def _part(subtype: str, text: str) -> MimePart:
    # Quoted-printable by the standard library's C code: every server accepts it, and no line is longer than 76.
    part = MimePart()
    part["Content-Type"] = f'text/{subtype}; charset="utf-8"'
    part["Content-Transfer-Encoding"] = "quoted-printable"
    lines = "\n".join(text.splitlines()) + "\n"
    part.set_payload(binascii.b2a_qp(lines.encode(), istext=True).decode("ascii"))
    return part


# The SMTP session


def _results(connection: Connection, mails: list[Mail]) -> Iterator[MessageResult]:
    """Exactly one result for each mail. After a result that ends the post the other mails are not attempted."""
    deadline = time.monotonic() + MAX_POST_DURATION
    refused = accepted = 0
    skipped: MessageResult | None = None
    for mail in mails:
        if skipped:
            yield skipped
            continue
        result = connection.send(mail)
        yield result
        refused += result.kind is ResultKind.REFUSED
        accepted += result.kind is ResultKind.ACCEPTED
        if result.kind in FINAL_RESULTS:
            skipped = MessageResult(kind=ResultKind.NOT_ATTEMPTED, code=result.code, detail=result.detail)
        elif refused >= REFUSAL_THRESHOLD and not accepted:
            code = "previous_messages_refused"
            skipped = MessageResult(kind=ResultKind.NOT_ATTEMPTED, code=code, detail=result.detail)
        elif time.monotonic() > deadline:
            skipped = MessageResult(kind=ResultKind.NOT_ATTEMPTED, code="server_slow")


class NoConnection(ReasonError):
    """No mail could be sent; `kind` says whether waiting helps."""

    def __init__(self, kind: OutcomeKind, code: str, detail: str = "") -> None:
        super().__init__(code, detail)
        self.kind = kind


class Connection:
    """An open connection, greeted, encrypted and logged in as the settings say. Use it as a context manager."""

    def __init__(self, backend: EmailBackend, smtp: smtplib.SMTP) -> None:
        self._backend, self._smtp = backend, smtp

    @classmethod
    def open(cls, timeout: float | None = None) -> Self:
        """Connect as Django's EMAIL_* settings say; `timeout` in seconds replaces theirs. Raises NoConnection."""
        backend = EmailBackend(timeout=timeout)
        try:
            backend.open()
            smtp = cast(smtplib.SMTP, backend.connection)
            smtp.ehlo_or_helo_if_needed()
        except (OSError, UnicodeError) as error:
            # smtplib's errors are OSErrors, too.
            _close(backend)
            _raise_no_connection(error)
        return cls(backend, smtp)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        _close(self._backend)

    def send(self, mail: Mail) -> MessageResult:
        """Send one mail to its one recipient. Never raises: every error is a result."""
        if not mail.sender.isascii():
            return MessageResult(kind=ResultKind.BLOCKED, code="sender_not_ascii")
        if not mail.recipient.isascii():
            return MessageResult(kind=ResultKind.REFUSED, code="recipient_not_ascii")
        try:
            if refusal := self._start(mail):
                # Reset the session for the next mail. If that fails, the next mail's result says so.
                with contextlib.suppress(OSError):
                    self._smtp.rset()
                return refusal
            # Everything but the end: a mail whose end was not sent must not be delivered (RFC 5321 §4.1.1.4).
            self._smtp.send(_with_doubled_dots(mail.content))
        except OSError as error:
            kind = ResultKind.NOT_ATTEMPTED
            return MessageResult(kind=kind, code="connection_lost", detail=type(error).__name__)
        return self._finish(mail)

    def _start(self, mail: Mail) -> MessageResult | None:
        """MAIL, RCPT and DATA; the refusal, if there is one."""
        size = [f"SIZE={len(mail.content)}"] if self._smtp.has_extn("size") else []
        reply = self._smtp.mail(mail.sender, size)
        if reply[0] != 250:
            return _refusal(reply, permanent=BLOCKED_SENDER, temporary=DEFERRED_SENDER)
        reply = self._smtp.rcpt(mail.recipient)
        if reply[0] not in (250, 251):
            return _refusal(reply, permanent=REFUSED_MAILBOX, temporary=DEFERRED_MAILBOX)
        reply = self._smtp.docmd("DATA")
        if reply[0] != 354:
            return _refusal(reply, permanent=REFUSED_MESSAGE, temporary=DEFERRED_MESSAGE)
        return None

    def _finish(self, mail: Mail) -> MessageResult:
        """Send the end of the mail and read the reply. From here on a missing reply means UNKNOWN."""
        try:
            self._smtp.send(b".\r\n")
            code, text = self._smtp.getreply()
        except OSError as error:
            return MessageResult(kind=ResultKind.UNKNOWN, code="no_reply_to_message", detail=type(error).__name__)
        if code == 250:
            return MessageResult(kind=ResultKind.ACCEPTED, id=mail.id)
        if not 400 <= code < 600:
            return MessageResult(kind=ResultKind.UNKNOWN, code="unexpected_reply", detail=_reply_text(code, text))
        return _refusal((code, text), permanent=REFUSED_MESSAGE, temporary=DEFERRED_MESSAGE)


#: Results and reason codes of permanent (5xx) and temporary (4xx) replies to MAIL, to RCPT, and to DATA or the end.
BLOCKED_SENDER = (ResultKind.BLOCKED, "sender_refused")
DEFERRED_SENDER = (ResultKind.NOT_ATTEMPTED, "sender_deferred")
REFUSED_MAILBOX = (ResultKind.REFUSED, "mailbox_unavailable")
DEFERRED_MAILBOX = (ResultKind.RETRY_LATER, "mailbox_deferred")
REFUSED_MESSAGE = (ResultKind.REFUSED, "message_refused")
DEFERRED_MESSAGE = (ResultKind.RETRY_LATER, "message_deferred")


def _refusal(
    reply: tuple[int, bytes], *, permanent: tuple[ResultKind, str], temporary: tuple[ResultKind, str]
) -> MessageResult:
    code, detail = reply[0], _reply_text(*reply)
    if code in AUTHENTICATION_ERRORS:
        scope = BlockScope.ACCOUNT
        return MessageResult(kind=ResultKind.BLOCKED, code="authentication_failed", detail=detail, scope=scope)
    if 500 <= code < 600:
        return MessageResult(kind=permanent[0], code=permanent[1], detail=detail)
    if 400 <= code < 500:
        return MessageResult(kind=temporary[0], code=temporary[1], detail=detail)
    # A reply outside of the protocol ends the post, since the replies after it cannot be understood either.
    return MessageResult(kind=ResultKind.NOT_ATTEMPTED, code="unexpected_reply", detail=detail)


def _reply_text(code: int, text: bytes | str) -> str:
    """The server's reply in one line, such as `550 5.1.1 no such user`."""
    return f"{code} {sanitize(text.decode('utf-8', 'replace') if isinstance(text, bytes) else text)}".rstrip()


def _with_doubled_dots(content: bytes) -> bytes:
    """RFC 5321 §4.5.2, and a line end before the dot that ends the mail."""
    end = b"" if content.endswith(b"\r\n") else b"\r\n"
    first = b"." if content.startswith(b".") else b""
    return first + content.replace(b"\r\n.", b"\r\n..") + end


def _close(backend: EmailBackend) -> None:
    # The results of the mails are known by now; an error while closing changes none of them.
    with contextlib.suppress(OSError):
        backend.close()


def _raise_no_connection(error: OSError | UnicodeError) -> NoReturn:
    """Raise NoConnection with the reason, and with BLOCKED if an operator must act."""
    if isinstance(error, UnicodeError):
        raise NoConnection(OutcomeKind.BLOCKED, "smtp_settings_invalid") from None
    if isinstance(error, smtplib.SMTPNotSupportedError):
        raise NoConnection(OutcomeKind.BLOCKED, "smtp_feature_unsupported", sanitize(error)) from error
    if isinstance(error, ssl.SSLCertVerificationError):
        raise NoConnection(OutcomeKind.BLOCKED, "certificate_invalid", sanitize(error.verify_message)) from error
    if isinstance(error, smtplib.SMTPResponseException):
        kind = OutcomeKind.BLOCKED if 500 <= error.smtp_code < 600 else OutcomeKind.RETRY_LATER
        is_login = isinstance(error, smtplib.SMTPAuthenticationError)
        code = "authentication_failed" if is_login else "connection_rejected"
        raise NoConnection(kind, code, _reply_text(error.smtp_code, error.smtp_error)) from error
    raise NoConnection(OutcomeKind.RETRY_LATER, _connection_error(error), type(error).__name__) from error


def _connection_error(error: OSError) -> str:
    if isinstance(error, ConnectionRefusedError):
        return "connection_refused"
    if isinstance(error, socket.gaierror):
        return "dns_error"
    return "connection_timeout" if isinstance(error, TimeoutError) else "connection_failed"
