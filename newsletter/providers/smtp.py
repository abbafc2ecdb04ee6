"""SMTP: any mail server, opened by Django's SMTP backend from its EMAIL_* settings. The only module that speaks SMTP.

SMTP has no idempotency key (RFC 5321), so this provider is at most once: a mail whose last dot was sent and not
answered is never posted again by itself. Everything before that dot is known not to have gone out (§4.1.1.4, §6.1).
"""

from __future__ import annotations

import binascii
import contextlib
import datetime
import hashlib
import smtplib
import ssl
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from email.header import Header
from email.message import Message as MimePart
from email.mime.multipart import MIMEMultipart
from email.policy import compat32
from email.utils import format_datetime, formataddr, parseaddr
from typing import Any, ClassVar, NoReturn, Self, cast

import orjson
from django.conf import settings
from django.core.mail.backends.smtp import EmailBackend
from django.utils import timezone

from newsletter.providers.base import (
    ConnectionCheck,
    EventRejected,
    Extent,
    Fate,
    Message,
    MessageResult,
    Outcome,
    OutcomeKind,
    ParsedEvent,
    SignedEvent,
    account_of,
    cleaned,
    outcome_of_each,
)

#: Seconds after which a post begins no further mail, so that a slow server does not outlast the batch's lease.
PATIENCE = 45.0

#: The server sets the pace by how fast it answers; posts follow each other without a rest.
POSTS_A_SECOND = 100.0

#: Seconds that the server may take when it is only asked how it is.
CONNECTION_CHECK_TIMEOUT = 5.0

#: Refusals in a row, with nobody accepted, after which it is hardly the readers' addresses: the rest is not tried.
TELLING_REFUSALS = 2

#: Replies to a mail's sender or recipient that are about our login, whoever the reader is (RFC 4954).
LOGIN_NEEDED = {530, 534, 535, 538}

#: Our columns keep this much of an id.
LONGEST_ID = 64

#: What ends the posts of a batch: the connection is gone, or every next mail would end the same way.
ENDS_THE_POST = {Fate.NOT_TRIED, Fate.HALTED, Fate.UNKNOWN}

#: No line is folded that fits (RFC 5322 §2.1.1): some mail programs do not find a link on a line of its own.
ON_THE_WIRE = compat32.clone(linesep="\r\n", max_line_length=998)

NOT_ASCII = "has letters that mail servers cannot deliver to yet."
NO_RECEIPTS = "Mail that goes out by SMTP is followed by no webhooks."
NOT_WHOLE = "The connection broke before the mail was whole, so it did not go out"
NO_ANSWER = "The mail was sent and the connection broke before the server answered. Its log knows whether it took it"


@dataclass(frozen=True, slots=True, kw_only=True)
class Mail:
    """One mail as it goes over the wire: bare addresses, and ASCII bytes with CRLF line ends, dots not yet doubled."""

    sender: str
    recipient: str
    id: str
    """Its Message-ID up to the @, by which bounces and the server's log lead back to the delivery."""
    content: bytes


class SmtpProvider:
    """One connection a batch, one mail after the other, an outcome for each."""

    name: ClassVar[str] = "smtp"
    # After a crash in the middle nobody knows how far a batch came: so many readers then wait for a person.
    batch_size: ClassVar[int] = 10
    # Ten mails in half a second, as servers nearby do; a guess, since none says how fast it will be.
    posts_per_second: ClassVar[float] = 2.0
    key_lifetime: ClassVar[datetime.timedelta] = datetime.timedelta(0)
    has_events: ClassVar[bool] = False

    @property
    def account(self) -> str:
        """The login's at the server."""
        login = (settings.EMAIL_HOST_USER, settings.EMAIL_HOST_PASSWORD)
        return account_of(settings.EMAIL_HOST, settings.EMAIL_PORT, *login)

    def encode(self, message: Message) -> bytes:
        """The message as JSON. It becomes a mail when it is posted: transfer encodings would tear slots apart."""
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
        """A JSON object of the messages and the date that they all bear: what is frozen decides every byte."""
        date = orjson.dumps(format_datetime(timezone.now()))
        return b'{"date":' + date + b',"messages":[' + b",".join(messages) + b"]}"

    def post_batch(self, body: bytes, *, key: str, size: int) -> Outcome:
        """Post the mails in turn over one connection. The key only names mails that belong to no delivery."""
        mails = mails_of(body, key)
        try:
            with Connection.open() as connection:
                return outcome_of_each(list(_results(connection, mails)), rate_limit=POSTS_A_SECOND)
        except NoConnection as fault:
            return Outcome(kind=fault.kind, extent=Extent.TEAM, reason=str(fault))

    def post_message(self, message: Message, *, key: str) -> Outcome:
        """Post one mail. A repeat under the same key is a second mail, with the same Message-ID."""
        outcome = self.post_batch(self.join([self.encode(message)]), key=key, size=1)
        if outcome.kind is not OutcomeKind.PARTIAL:
            return outcome
        (result,) = outcome.results
        return Outcome(kind=SINGLE[result.fate], reason=result.reason)

    def check_connection(self) -> ConnectionCheck:
        """Connect, log in, and hang up."""
        try:
            with Connection.open(timeout=CONNECTION_CHECK_TIMEOUT):
                return ConnectionCheck(is_well=True, sentence="The mail server lets us in.")
        except NoConnection as fault:
            return ConnectionCheck(is_well=False, sentence=str(fault))

    def verify(self, headers: Mapping[str, str], body: bytes) -> SignedEvent:
        """Nothing can prove that it comes from here. Raises EventRejected."""
        raise EventRejected(NO_RECEIPTS)

    def parse(self, body: str) -> ParsedEvent:
        """Nothing can be read. Raises EventRejected."""
        raise EventRejected(NO_RECEIPTS)


#: What the result of a single mail means to who posted it.
SINGLE = {
    Fate.REFUSED: OutcomeKind.SPLIT,
    Fate.LATER: OutcomeKind.LATER,
    Fate.UNKNOWN: OutcomeKind.UNKNOWN,
}


def from_settings() -> SmtpProvider:
    """The provider; the server is what Django's EMAIL_* settings say at each post."""
    return SmtpProvider()


# From frozen bytes to mails


def mails_of(body: bytes, key: str) -> list[Mail]:
    """The mails of a frozen body; the same bytes and key make the same mails."""
    post = orjson.loads(body)
    return [_mail(fields, post["date"], f"{key}:{place}") for place, fields in enumerate(post["messages"])]


def _mail(fields: Mapping[str, Any], date: str, name: str) -> Mail:
    sender, recipient = parseaddr(fields["from"])[1], parseaddr(fields["to"])[1]
    mail_id = _id(fields["tags"], name)
    mail = MIMEMultipart("alternative", boundary=f"=_{hashlib.sha256(name.encode()).hexdigest()[:32]}")
    mail["From"], mail["To"] = _address("From", fields["from"]), _address("To", fields["to"])
    if fields["reply_to"]:
        mail["Reply-To"] = _address("Reply-To", fields["reply_to"])
    mail["Subject"] = _words("Subject", fields["subject"])
    mail["Date"] = date
    mail["Message-ID"] = f"<{mail_id}@{sender.rpartition('@')[2]}>"
    for header, value in fields["headers"].items():
        mail[header] = _words(header, value)
    # What a mail program prefers comes last (RFC 2046 §5.1.4).
    mail.attach(_part("plain", fields["text"]))
    mail.attach(_part("html", fields["html"]))
    return Mail(sender=sender, recipient=recipient, id=mail_id, content=mail.as_bytes(policy=ON_THE_WIRE))


def _id(tags: Mapping[str, str], name: str) -> str:
    """Names delivery and edition, so that a bounce tells whose mail it was; other mails are named by their key."""
    if "delivery" in tags and "edition" in tags:
        return f"{tags['delivery']}.{tags['edition']}.{tags.get('env', '')}"[:LONGEST_ID].rstrip(".")
    return hashlib.sha256(name.encode()).hexdigest()[:32]


def _address(header: str, value: str) -> str:
    name, address = parseaddr(value)
    if not address.isascii():
        # A mail with it is not sent at all; see Connection.send.
        return _words(header, value)
    if name.isascii():
        return formataddr((name, address))
    return f"{Header(name, 'utf-8', header_name=header).encode()} <{address}>"


def _words(header: str, value: str) -> str:
    """ASCII as it stands – a link that is encoded or broken is one that mail programs do not find –, else RFC 2047."""
    return value if value.isascii() else Header(value, "utf-8", header_name=header).encode()


def _part(subtype: str, text: str) -> MimePart:
    # Quoted-printable, by the standard library's C code: every server takes it, and no line is longer than 76.
    part = MimePart()
    part["Content-Type"] = f'text/{subtype}; charset="utf-8"'
    part["Content-Transfer-Encoding"] = "quoted-printable"
    lines = "\n".join(text.splitlines()) + "\n"
    part.set_payload(binascii.b2a_qp(lines.encode(), istext=True).decode("ascii"))
    return part


# Over the wire


def _results(connection: Connection, mails: list[Mail]) -> Iterator[MessageResult]:
    """Exactly one result for each mail. After one that ends the post the others are not tried."""
    deadline = time.monotonic() + PATIENCE
    ended, refused, accepted = "", 0, 0
    for mail in mails:
        if ended:
            yield MessageResult(fate=Fate.NOT_TRIED, reason=ended)
            continue
        result = connection.send(mail)
        yield result
        refused += result.fate is Fate.REFUSED
        accepted += result.fate is Fate.ACCEPTED
        if result.fate in ENDS_THE_POST:
            ended = f"Its turn did not come. {result.reason}"
        elif refused >= TELLING_REFUSALS and not accepted:
            ended = f"Its turn did not come, since everybody before it was refused. {result.reason}"
        elif time.monotonic() > deadline:
            ended = "The mail server is slow; the rest of the batch is posted in another turn."


class NoConnection(Exception):
    """No mail could be begun; `kind` says whether waiting helps. The sentence is for a person."""

    def __init__(self, kind: OutcomeKind, sentence: str) -> None:
        super().__init__(sentence)
        self.kind = kind


class Connection:
    """An open connection, greeted, encrypted and logged in as the settings say. Use as a context."""

    def __init__(self, backend: EmailBackend, smtp: smtplib.SMTP) -> None:
        self._backend, self._smtp = backend, smtp

    @classmethod
    def open(cls, timeout: float | None = None) -> Self:
        """Connect as Django's EMAIL_* settings say, `timeout` seconds may be given instead. Raises NoConnection."""
        backend = EmailBackend(timeout=timeout)
        try:
            backend.open()
            smtp = cast(smtplib.SMTP, backend.connection)
            smtp.ehlo_or_helo_if_needed()
        except (OSError, UnicodeError) as error:
            # smtplib's errors are OSErrors, too.
            _close(backend)
            _refuse_connection(error)
        return cls(backend, smtp)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        _close(self._backend)

    def send(self, mail: Mail) -> MessageResult:
        """One mail to its one reader. Never raises: whatever happens is the result."""
        if not mail.sender.isascii():
            return MessageResult(fate=Fate.HALTED, reason=f"The sender's address {NOT_ASCII}")
        if not mail.recipient.isascii():
            return MessageResult(fate=Fate.REFUSED, reason=f"The address {NOT_ASCII}")
        try:
            if refusal := self._offer(mail):
                # Forget this mail, so that the next can begin. If even that fails, the next one will say so.
                with contextlib.suppress(OSError):
                    self._smtp.rset()
                return refusal
            # Everything but the end: a mail whose end was not sent may not be delivered (RFC 5321 §4.1.1.4).
            self._smtp.send(_with_doubled_dots(mail.content))
        except OSError as error:
            return MessageResult(fate=Fate.NOT_TRIED, reason=f"{NOT_WHOLE} ({type(error).__name__}).")
        return self._finish(mail)

    def _offer(self, mail: Mail) -> MessageResult | None:
        """Name sender and reader and ask to send; the refusal, if there is one."""
        size = [f"SIZE={len(mail.content)}"] if self._smtp.has_extn("size") else []
        code, said = self._smtp.mail(mail.sender, size)
        if code != 250:
            return _refused(code, said, permanent=Fate.HALTED, for_now=Fate.NOT_TRIED)
        code, said = self._smtp.rcpt(mail.recipient)
        if code not in (250, 251):
            return _refused(code, said, permanent=Fate.REFUSED, for_now=Fate.LATER)
        code, said = self._smtp.docmd("DATA")
        if code != 354:
            return _refused(code, said, permanent=Fate.REFUSED, for_now=Fate.LATER)
        return None

    def _finish(self, mail: Mail) -> MessageResult:
        """Send the end of the mail and read what became of it. From here on no answer means not known."""
        try:
            self._smtp.send(b".\r\n")
            code, said = self._smtp.getreply()
        except OSError as error:
            return MessageResult(fate=Fate.UNKNOWN, reason=f"{NO_ANSWER} ({type(error).__name__}).")
        if code == 250:
            return MessageResult(fate=Fate.ACCEPTED, id=mail.id)
        if not 400 <= code < 600:
            return MessageResult(fate=Fate.UNKNOWN, reason=_sentence(code, said))
        return _refused(code, said, permanent=Fate.REFUSED, for_now=Fate.LATER)


def _refused(code: int, said: bytes, *, permanent: Fate, for_now: Fate) -> MessageResult:
    if code in LOGIN_NEEDED:
        return MessageResult(fate=Fate.HALTED, reason=_sentence(code, said), extent=Extent.TEAM)
    # 4xx; an answer that is none ends the post, as nothing behind it can be understood either.
    otherwise = for_now if 400 <= code < 500 else Fate.NOT_TRIED
    return MessageResult(fate=permanent if 500 <= code < 600 else otherwise, reason=_sentence(code, said))


def _sentence(code: int, said: bytes | str) -> str:
    text = said.decode("utf-8", "replace") if isinstance(said, bytes) else said
    return f"The mail server answered {code} {cleaned(text)}".rstrip(" .") + "."


def _with_doubled_dots(content: bytes) -> bytes:
    """RFC 5321 §4.5.2, and a line end before the dot that ends the mail."""
    end = b"" if content.endswith(b"\r\n") else b"\r\n"
    first = b"." if content.startswith(b".") else b""
    return first + content.replace(b"\r\n.", b"\r\n..") + end


def _close(backend: EmailBackend) -> None:
    # What became of the mails is known by now; how the connection ends tells nothing about them.
    with contextlib.suppress(OSError):
        backend.close()


def _refuse_connection(error: OSError | UnicodeError) -> NoReturn:
    """Say why there is no connection, and whether a person must act. Raises NoConnection."""
    if isinstance(error, UnicodeError):
        sentence = "SMTP_HOST, SMTP_USER or SMTP_PASSWORD has letters that cannot be sent to a mail server."
        raise NoConnection(OutcomeKind.HALT, sentence) from None
    if isinstance(error, smtplib.SMTPNotSupportedError):
        sentence = f"The mail server does not offer what the settings ask for: {cleaned(error)} Look at SMTP_TLS."
        raise NoConnection(OutcomeKind.HALT, sentence) from error
    if isinstance(error, ssl.SSLCertVerificationError):
        sentence = f"The mail server cannot prove that it is SMTP_HOST: {cleaned(error.verify_message)}."
        raise NoConnection(OutcomeKind.HALT, sentence) from error
    if isinstance(error, smtplib.SMTPResponseException):
        kind = OutcomeKind.HALT if 500 <= error.smtp_code < 600 else OutcomeKind.LATER
        raise NoConnection(kind, f"No connection: {_sentence(error.smtp_code, error.smtp_error)}") from error
    sentence = f"There is no connection to the mail server ({type(error).__name__})."
    raise NoConnection(OutcomeKind.LATER, sentence) from error
