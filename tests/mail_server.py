"""A strict mail server for tests: SMTP on this machine, with planned faults at every stage, and a list of its mails."""

from __future__ import annotations

import base64
import socket
import socketserver
import ssl
import struct
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace

import pytest
from django.conf import settings

from newsletter.providers import get_provider
from newsletter.providers.smtp import SmtpProvider, from_settings

DROP, SILENCE = "drop", "silence"


@dataclass(slots=True)
class MailFault:
    """What happens at a stage instead of its usual reply: a reply line, DROP or SILENCE; for one recipient or for all.

    Stages: connect, ehlo, auth, mail, rcpt, data, body (half of it was received), end (the mail is complete and not
    accepted), accepted (the mail is accepted, before the reply).
    """

    stage: str
    reply: str
    to: str = ""
    times: int = 1
    after: int = 0
    """How often that stage succeeds before."""


@dataclass(frozen=True, slots=True)
class AcceptedMail:
    """One mail that the server accepted."""

    sender: str
    recipient: str
    content: bytes
    encrypted: bool


@dataclass(slots=True)
class MailServer:
    """Listens on `port`. `violations` are the client's violations of the protocol."""

    tls: ssl.SSLContext | None = None
    implicit: bool = False
    login: tuple[str, str] | None = None
    largest: int = 1_000_000
    pipelining: bool = False
    keys: dict[str, bytes] | None = None
    """The mails by their Resend-Idempotency-Key, if the server takes keys: a repeat is answered and not accepted."""
    careless: bool = False
    """It asks for a mail although it accepted no recipient, as some servers do (RFC 2920 §3.1)."""
    faults: list[MailFault] = field(default_factory=list)
    mails: list[AcceptedMail] = field(default_factory=list)
    violations: list[str] = field(default_factory=list)
    connections: int = 0
    sockets: list[socket.socket] = field(default_factory=list)
    closing: threading.Event = field(default_factory=threading.Event)
    changed: threading.Condition = field(default_factory=threading.Condition)
    port: int = 0

    def plan(self, *faults: MailFault) -> None:
        """Plan these faults; each is counted down in a copy."""
        self.faults.extend(replace(fault) for fault in faults)

    def recipients(self) -> list[str]:
        """The recipient of each accepted mail, sorted."""
        return sorted(mail.recipient for mail in self.mails)

    def wait_for(self, count: int, seconds: float = 30.0) -> None:
        """Wait until this number of mails is accepted."""
        with self.changed:
            assert self.changed.wait_for(lambda: len(self.mails) >= count, seconds), f"{len(self.mails)} of {count}"

    def fault_at(self, stage: str, recipient: str = "") -> str:
        """Take the planned reply for this stage."""
        for fault in self.faults:
            if fault.stage != stage or fault.to not in ("", recipient):
                continue
            if fault.after:
                fault.after -= 1
            elif fault.times:
                fault.times -= 1
                return fault.reply
        return ""


class _Dropped(Exception):
    """The connection must be closed."""


class _Listener(socketserver.ThreadingTCPServer):
    daemon_threads = True
    allow_reuse_address = True
    mail_server: MailServer

    def handle_error(self, request: object, client_address: object) -> None:
        """Ignore errors: many tests break connections."""


class _Session(socketserver.BaseRequestHandler):
    server: _Listener
    request: socket.socket

    def handle(self) -> None:
        # Each reply leaves at once. Else replies to pipelined commands wait for the client's delayed acknowledgements.
        self.request.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.mail_server = self.server.mail_server
        self.mail_server.connections += 1
        self.mail_server.sockets.append(self.request)
        self.buffer, self.sender, self.recipient, self.is_open = b"", "", "", False
        self.may_be_pipelined = False
        self.logged_in = self.mail_server.login is None
        try:
            if self.mail_server.implicit:
                self._encrypt()
            self._say(self.mail_server.fault_at("connect") or "220 mail.test ready")
            while self._command(self._line()):
                pass
        except (_Dropped, OSError):
            # A reset, so that the client notices it immediately.
            self.request.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        finally:
            self.request.close()

    def _encrypt(self) -> None:
        assert self.mail_server.tls is not None
        self.request = self.mail_server.tls.wrap_socket(self.request, server_side=True)

    @property
    def encrypted(self) -> bool:
        return isinstance(self.request, ssl.SSLSocket)

    def _say(self, reply: str) -> None:
        if reply == DROP:
            raise _Dropped
        if reply == SILENCE:
            self.mail_server.closing.wait(60)
            raise _Dropped
        if self.buffer and not (self.mail_server.pipelining and self.may_be_pipelined):
            # The client sent more before it got a reply.
            self.mail_server.violations.append("pipelining, which is not offered or not allowed here")
        self.request.sendall(reply.encode() + b"\r\n")

    def _fill(self) -> None:
        received = self.request.recv(1 << 16)
        if not received:
            raise _Dropped
        self.buffer += received

    def _line(self) -> bytes:
        while b"\r\n" not in self.buffer:
            self._fill()
        line, _, self.buffer = self.buffer.partition(b"\r\n")
        return line

    def _command(self, line: bytes) -> bool:
        verb, _, rest = line.decode("ascii").partition(" ")
        # RFC 2920 §3.1: DATA, and what changes the session, must be the last command of a group.
        self.may_be_pipelined = verb.upper() in ("MAIL", "RCPT", "RSET")
        answer = getattr(self, f"_on_{verb.lower()}", None)
        if answer is None:
            self.mail_server.violations.append(f"unknown command {verb}")
            self._say("500 5.5.1 unknown command")
            return True
        return bool(answer(rest))

    def _on_ehlo(self, rest: str) -> bool:
        offers = [f"SIZE {self.mail_server.largest}"]
        if self.mail_server.pipelining:
            offers.append("PIPELINING")
        if self.mail_server.tls and not self.encrypted:
            offers.append("STARTTLS")
        if self.mail_server.login and (self.encrypted or not self.mail_server.tls):
            offers.append("AUTH PLAIN")
        lines = ["mail.test", *offers]
        written = "\r\n".join(f"250{' ' if line is lines[-1] else '-'}{line}" for line in lines)
        self._say(self.mail_server.fault_at("ehlo") or written)
        return True

    def _on_helo(self, rest: str) -> bool:
        self._say(self.mail_server.fault_at("ehlo") or "250 mail.test")
        return True

    def _on_starttls(self, rest: str) -> bool:
        self._say("220 2.0.0 go ahead")
        self._encrypt()
        return True

    def _on_auth(self, rest: str) -> bool:
        _, _, initial = rest.partition(" ")
        user, password = base64.b64decode(initial).decode().split("\0")[1:]
        self.logged_in = (user, password) == self.mail_server.login
        reply = "235 2.7.0 welcome" if self.logged_in else "535 5.7.8 wrong user or password"
        self._say(self.mail_server.fault_at("auth") or reply)
        return True

    def _on_mail(self, rest: str) -> bool:
        self.sender = rest.partition("<")[2].partition(">")[0]
        size = int(rest.upper().partition("SIZE=")[2] or 0)
        reply = "250 2.1.0 sender ok"
        if not self.logged_in:
            reply = "530 5.7.0 log in first"
        elif size > self.mail_server.largest:
            reply = "552 5.3.4 too large"
        if self.is_open:
            self.mail_server.violations.append("a mail within a mail")
        reply = self.mail_server.fault_at("mail") or reply
        self.is_open, self.has_recipient = reply.startswith("250"), False
        self._say(reply)
        return True

    def _on_rcpt(self, rest: str) -> bool:
        self.recipient = rest.partition("<")[2].partition(">")[0]
        reply = self.mail_server.fault_at("rcpt", self.recipient) or "250 2.1.5 recipient ok"
        if not self.is_open:
            reply = "503 5.5.1 MAIL first"
        # Some servers take a recipient with another code than the standard's.
        self.has_recipient = reply.startswith("25")
        self._say(reply)
        return True

    def _on_data(self, rest: str) -> bool:
        refusal = self.mail_server.fault_at("data", self.recipient)
        if not self.has_recipient and not self.mail_server.careless:
            refusal = "554 5.5.1 no valid recipients"
        self._say(refusal or "354 go on")
        if not refusal:
            self._body()
        return True

    def _body(self) -> None:
        half = self.mail_server.fault_at("body", self.recipient)
        # A mail without content ends with its first line.
        self.buffer = b"\r\n" + self.buffer
        while b"\r\n.\r\n" not in self.buffer:
            self._fill()
            if half:
                raise _Dropped
        content, _, self.buffer = self.buffer.partition(b"\r\n.\r\n")
        self.is_open, self.may_be_pipelined = False, True
        if not self.has_recipient:
            self._say("554 5.5.1 no valid recipients")
            return
        if reply := self.mail_server.fault_at("end", self.recipient):
            self._say(reply)
            return
        self._accept(content.removeprefix(b"\r\n") + b"\r\n")
        self._say(self.mail_server.fault_at("accepted", self.recipient) or "250 2.0.0 accepted")

    def _accept(self, content: bytes) -> None:
        lines = content.split(b"\r\n")
        if any(line.startswith(b".") and not line.startswith(b"..") for line in lines):
            self.mail_server.violations.append("a dot that is not doubled")
        content = content.replace(b"\r\n..", b"\r\n.")
        lines = content.split(b"\r\n")
        if any(b"\n" in line or b"\r" in line or len(line) > 998 or not line.isascii() for line in lines):
            self.mail_server.violations.append("a bare line end, an 8-bit byte or a line of more than 998 octets")
        if self.mail_server.keys is not None and self._is_repeat(content):
            return
        with self.mail_server.changed:
            self.mail_server.mails.append(AcceptedMail(self.sender, self.recipient, content, self.encrypted))
            self.mail_server.changed.notify_all()

    def _is_repeat(self, content: bytes) -> bool:
        assert self.mail_server.keys is not None
        key = content.partition(b"Resend-Idempotency-Key: ")[2].partition(b"\r\n")[0].decode()
        first = self.mail_server.keys.setdefault(key, content)
        if not key or first != content:
            self.mail_server.violations.append("no idempotency key, or one of another mail")
        return first is not content

    def _on_rset(self, rest: str) -> bool:
        self.sender, self.recipient, self.is_open = "", "", False
        self._say("250 2.0.0 ok")
        return True

    def _on_quit(self, rest: str) -> bool:
        self._say("221 2.0.0 bye")
        return False


@contextmanager
def running_mail_server(**options: object) -> Iterator[MailServer]:
    """A mail server while the block runs; the options are MailServer's."""
    server = MailServer(**options)  # type: ignore[arg-type]
    listener = _Listener(("127.0.0.1", 0), _Session)
    listener.mail_server = server
    server.port = int(listener.server_address[1])
    thread = threading.Thread(target=listener.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    try:
        yield server
    finally:
        from_settings().close()
        server.closing.set()
        for connection in server.sockets:
            # The client may have kept it.
            with suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
        listener.shutdown()
        listener.server_close()
        thread.join()


def connect_to(server: MailServer, monkeypatch: pytest.MonkeyPatch, **changes: object) -> SmtpProvider:
    """The project's provider, configured for this server, without encryption."""
    defaults: dict[str, object] = {
        "PROVIDER": "smtp",
        "EMAIL_HOST": "127.0.0.1",
        "EMAIL_PORT": server.port,
        "EMAIL_USE_TLS": False,
        "EMAIL_TIMEOUT": 10,
    }
    for name, value in (defaults | changes).items():
        monkeypatch.setattr(settings, name, value)
    provider = get_provider()
    assert isinstance(provider, SmtpProvider)
    provider.close()
    return provider
