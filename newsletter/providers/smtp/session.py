"""A session: one mail after the other over a connection, with a result for each.

Where the server offers PIPELINING (RFC 2920), the commands of a mail are sent in one write, and those of the next mail
follow the end of this one at once: one round trip per mail. Nothing of a mail's content is sent before it may begin.
"""

from __future__ import annotations

import contextlib
import os
import select
import smtplib
import time
from collections.abc import Callable
from typing import NamedTuple

from django.core.mail.backends.smtp import EmailBackend

from newsletter.config.failpoints import Point, failpoint
from newsletter.providers.base import BlockScope, MessageResult, ResultKind
from newsletter.providers.smtp.connection import close, connect, connection_settings, reply_text
from newsletter.providers.smtp.frozen import Mail

#: Seconds without a mail after which a connection is not used again. Servers close idle ones after 300 (RFC 5321
#: §4.5.3.2.7), and firewalls may forget them earlier.
MAX_IDLE = 30.0

#: Replies that are about our login and not about the mail (RFC 4954).
AUTHENTICATION_ERRORS = {530, 534, 535, 538}

#: Octets of a reply line (RFC 5321 §4.5.3.1.5 says 512); a longer one is no SMTP.
MAX_REPLY_LINE = 8192

#: Lines of a reply, and seconds from its first line to its last: each line restarts the socket's timeout.
MAX_REPLY_LINES, MAX_REPLY_SECONDS = 100, 600.0


class Reply(NamedTuple):
    """A reply of the server; the code is -1 if it is outside of the protocol."""

    code: int
    text: bytes


class Session:
    """An open connection. After `close` or `abort` it is of no use any more."""

    def __init__(self, backend: EmailBackend, smtp: smtplib.SMTP) -> None:
        assert smtp.sock is not None  # noqa: S101 - `connect` has opened it
        assert smtp.file is not None  # noqa: S101 - and has read replies
        self._backend, self._sock, self._file = backend, smtp.sock, smtp.file
        self._is_pipelining, self._has_size = smtp.has_extn("pipelining"), smtp.has_extn("size")
        self._origin = (os.getpid(), connection_settings())
        self._used_at = time.monotonic()
        #: The mail whose commands were sent after the end of the mail before it, and their replies not read yet.
        self._announced: Mail | None = None
        self._needs_reset = False
        self.is_open = True
        self.has_sent = False

    @classmethod
    def open(cls, timeout: float | None = None) -> Session:
        """Connect as the settings say. Raises NoConnection."""
        return cls(*connect(timeout))

    def may_be_used_again(self) -> bool:
        """Whether it belongs to this process and these settings, is not idle for long, and the server has not left."""
        if not self.is_open or self._origin != (os.getpid(), connection_settings()):
            return False
        if time.monotonic() - self._used_at > MAX_IDLE:
            return False
        # An unexpected reply, or the end of the connection, can be read before anything was sent.
        return not select.select([self._sock], [], [], 0)[0]

    def close(self) -> None:
        """Say goodbye and disconnect."""
        if self._announced is not None:
            # The server may be waiting for that mail's content: it would take a goodbye for it.
            self.abort()
        if self.is_open and self._origin[0] == os.getpid():
            close(self._backend)
        self.is_open = False

    def end_post(self) -> None:
        """No mail follows for now: disconnect if the server has been told of one."""
        if self.is_open and self._announced is not None:
            self.abort()

    def abort(self) -> None:
        """Disconnect at once. A mail whose end was not sent is not delivered (RFC 5321 §4.1.1.4)."""
        self.is_open = False
        for part in (self._file, self._sock):
            with contextlib.suppress(OSError):
                part.close()

    def send(self, mail: Mail, reason_against: Callable[[], str], *, following: Mail | None = None) -> MessageResult:
        """Send one mail to its one recipient. Never raises for the server: every error is a result.

        `reason_against` is asked right before its first byte; with a reason it is not sent. `following` is the mail
        that is sent next if this one goes well.
        """
        if not mail.sender.isascii():
            return MessageResult(kind=ResultKind.BLOCKED, code="sender_not_ascii")
        if not mail.recipient.isascii():
            return MessageResult(kind=ResultKind.REFUSED, code="recipient_not_ascii")
        self._used_at = time.monotonic()
        try:
            if refusal := self._start(mail):
                return refusal
            if reason := reason_against():
                self.abort()
                return MessageResult(kind=ResultKind.NOT_ATTEMPTED, code=reason)
            failpoint(Point.MAIL_BEGUN)
            # Everything but the end: a mail whose end was not sent must not be delivered (RFC 5321 §4.1.1.4).
            self._sock.sendall(mail.content)
            failpoint(Point.MAIL_HALF_SENT)
        except OSError as error:
            self.abort()
            return MessageResult(kind=ResultKind.NOT_ATTEMPTED, code="connection_lost", detail=type(error).__name__)
        except BaseException:
            # The database failed, or the process is stopped: the server must not wait for the rest.
            self.abort()
            raise
        return self._finish(mail, following if self._is_pipelining else None)

    def _start(self, mail: Mail) -> MessageResult | None:
        """MAIL, RCPT and DATA; the refusal, if there is one."""
        if not self._is_pipelining:
            return self._start_one_by_one(mail)
        if self._announced is not mail:
            self._sock.sendall(self._commands(mail))
        self._announced = None
        if self._needs_reset:
            self._reply()
            self._needs_reset = False
        if refusal := _sender_refusal(self._reply()):
            return self._refused(refusal)
        recipient = self._reply()
        if refusal := _recipient_refusal(recipient):
            return self._refused(refusal, recipient)
        data = self._reply()
        if refusal := _data_refusal(data):
            return self._refused(refusal, recipient, data)
        return None

    def _refused(
        self, refusal: MessageResult, recipient: Reply | None = None, data: Reply | None = None
    ) -> MessageResult:
        """Read the replies to the commands behind the one that was refused."""
        # If that fails, the next mail's result says so.
        with contextlib.suppress(OSError):
            recipient, data = recipient or self._reply(), data or self._reply()
            self._needs_reset = True
            if data.code == 354 and 400 <= recipient.code < 600:
                # The server waits for a mail without a recipient: it ends at once (RFC 2920 §3.1).
                self._sock.sendall(b".\r\n")
                self._reply()
            elif data.code == 354:
                # The server may have taken the recipient, who would get an empty mail.
                self.abort()
        return refusal

    def _start_one_by_one(self, mail: Mail) -> MessageResult | None:
        mail_from, rcpt_to, data = self._command_lines(mail)
        refusal = (
            _sender_refusal(self._ask(mail_from))
            or _recipient_refusal(self._ask(rcpt_to))
            or _data_refusal(self._ask(data))
        )
        if refusal:
            # Reset the session for the next mail. If that fails, the next mail's result says so.
            with contextlib.suppress(OSError):
                self._ask(b"RSET\r\n")
        return refusal

    def _finish(self, mail: Mail, following: Mail | None) -> MessageResult:
        """Send the end of the mail and read the reply. From here on a missing reply means UNKNOWN."""
        end = b".\r\n"
        if following is not None and following.sender.isascii() and following.recipient.isascii():
            end += self._commands(following)
            self._announced = following
        try:
            self._sock.sendall(end)
            failpoint(Point.MAIL_SENT)
            reply = self._reply()
        except OSError as error:
            self.abort()
            return MessageResult(kind=ResultKind.UNKNOWN, code="no_reply_to_message", detail=type(error).__name__)
        failpoint(Point.MAIL_ANSWERED)
        if reply.code == 250:
            self.has_sent = True
            return MessageResult(kind=ResultKind.ACCEPTED, id=mail.id)
        if not 400 <= reply.code < 600:
            detail = reply_text(*reply)
            return MessageResult(kind=ResultKind.UNKNOWN, code="unexpected_reply", detail=detail)
        return _refusal(reply, permanent=REFUSED_MESSAGE, temporary=DEFERRED_MESSAGE)

    def _commands(self, mail: Mail) -> bytes:
        reset = b"RSET\r\n" if self._needs_reset else b""
        return reset + b"".join(self._command_lines(mail))

    def _command_lines(self, mail: Mail) -> tuple[bytes, bytes, bytes]:
        size = f" SIZE={len(mail.headers) + len(mail.body)}" if self._has_size else ""
        mail_from, rcpt_to = f"MAIL FROM:<{mail.sender}>{size}\r\n", f"RCPT TO:<{mail.recipient}>\r\n"
        return mail_from.encode("ascii"), rcpt_to.encode("ascii"), b"DATA\r\n"

    def _ask(self, command: bytes) -> Reply:
        self._sock.sendall(command)
        return self._reply()

    def _reply(self) -> Reply:
        """The next reply; raises OSError if the connection ends."""
        lines: list[bytes] = []
        late = time.monotonic() + MAX_REPLY_SECONDS
        while line := self._file.readline(MAX_REPLY_LINE):
            code = line[:3]
            lines.append(line[4:])
            if not code.isdigit() or len(line) == MAX_REPLY_LINE or len(lines) > MAX_REPLY_LINES:
                return Reply(-1, line.strip())
            if line[3:4] != b"-":
                return Reply(int(code), b"".join(lines))
            if time.monotonic() > late:
                raise TimeoutError
        raise ConnectionResetError


#: Results and reason codes of permanent (5xx) and temporary (4xx) replies to MAIL, to RCPT, and to DATA or the end.
BLOCKED_SENDER = (ResultKind.BLOCKED, "sender_refused")
TOO_LARGE = (ResultKind.BLOCKED, "message_too_large")
DEFERRED_SENDER = (ResultKind.NOT_ATTEMPTED, "sender_deferred")
REFUSED_MAILBOX = (ResultKind.REFUSED, "mailbox_unavailable")
DEFERRED_MAILBOX = (ResultKind.RETRY_LATER, "mailbox_deferred")
REFUSED_MESSAGE = (ResultKind.REFUSED, "message_refused")
DEFERRED_MESSAGE = (ResultKind.RETRY_LATER, "message_deferred")


def _sender_refusal(reply: Reply) -> MessageResult | None:
    # 552: the declared SIZE is above the server's limit (RFC 1870 §6.1), as it is for every mail of the issue.
    permanent = TOO_LARGE if reply.code == 552 else BLOCKED_SENDER
    return None if reply.code == 250 else _refusal(reply, permanent=permanent, temporary=DEFERRED_SENDER)


def _recipient_refusal(reply: Reply) -> MessageResult | None:
    is_accepted = reply.code in (250, 251)
    return None if is_accepted else _refusal(reply, permanent=REFUSED_MAILBOX, temporary=DEFERRED_MAILBOX)


def _data_refusal(reply: Reply) -> MessageResult | None:
    return None if reply.code == 354 else _refusal(reply, permanent=REFUSED_MESSAGE, temporary=DEFERRED_MESSAGE)


def _refusal(reply: Reply, *, permanent: tuple[ResultKind, str], temporary: tuple[ResultKind, str]) -> MessageResult:
    detail = reply_text(*reply)
    if reply.code in AUTHENTICATION_ERRORS:
        scope = BlockScope.ACCOUNT
        return MessageResult(kind=ResultKind.BLOCKED, code="authentication_failed", detail=detail, scope=scope)
    if 500 <= reply.code < 600:
        return MessageResult(kind=permanent[0], code=permanent[1], detail=detail)
    if 400 <= reply.code < 500:
        return MessageResult(kind=temporary[0], code=temporary[1], detail=detail)
    # A reply outside of the protocol ends the post, since the replies after it cannot be understood either.
    return MessageResult(kind=ResultKind.NOT_ATTEMPTED, code="unexpected_reply", detail=detail)
