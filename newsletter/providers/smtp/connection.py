"""Connections to the mail server that Django's EMAIL_* settings name: greeted, encrypted and logged in."""

from __future__ import annotations

import contextlib
import smtplib
import socket
import ssl
from typing import NamedTuple, NoReturn, cast

from django.conf import settings
from django.core.mail.backends.smtp import EmailBackend

from newsletter.providers.base import OutcomeKind, sanitize
from newsletter.providers.reasons import ReasonError


class NoConnection(ReasonError):
    """No mail could be sent; `kind` says whether waiting helps."""

    def __init__(self, kind: OutcomeKind, code: str, detail: str = "") -> None:
        super().__init__(code, detail)
        self.kind = kind


class ConnectionSettings(NamedTuple):
    """Everything that decides to which server a connection leads, and how."""

    host: str
    port: int
    user: str
    password: str
    timeout: float | None
    """In seconds."""
    starttls: bool
    implicit_tls: bool


def connection_settings() -> ConnectionSettings:
    """As they are now. With Django 6.1, which deprecates EMAIL_*, this reads MAILERS."""
    return ConnectionSettings(
        host=settings.EMAIL_HOST,
        port=settings.EMAIL_PORT,
        user=settings.EMAIL_HOST_USER,
        password=settings.EMAIL_HOST_PASSWORD,
        timeout=settings.EMAIL_TIMEOUT,
        starttls=settings.EMAIL_USE_TLS,
        implicit_tls=settings.EMAIL_USE_SSL,
    )


def connect(timeout: float | None = None) -> tuple[EmailBackend, smtplib.SMTP]:
    """Connect, encrypt and log in; `timeout` in seconds replaces that of the settings. Raises NoConnection."""
    backend = EmailBackend(timeout=timeout)
    try:
        backend.open()
        smtp = cast(smtplib.SMTP, backend.connection)
        smtp.ehlo_or_helo_if_needed()
        assert smtp.sock is not None  # noqa: S101 - it was just opened
        # A mail ends with a small write, which must not wait for the acknowledgement of the large one before it.
        smtp.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    except (OSError, UnicodeError) as error:
        # smtplib's errors are OSErrors, too.
        close(backend)
        _raise_no_connection(error)
    return backend, smtp


def close(backend: EmailBackend) -> None:
    """Say goodbye and disconnect."""
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
        raise NoConnection(kind, code, reply_text(error.smtp_code, error.smtp_error)) from error
    raise NoConnection(OutcomeKind.RETRY_LATER, _connection_error(error), type(error).__name__) from error


def reply_text(code: int, text: bytes | str) -> str:
    """The server's reply in one line, such as `550 5.1.1 no such user`."""
    return f"{code} {sanitize(text.decode('utf-8', 'replace') if isinstance(text, bytes) else text)}".rstrip()


def _connection_error(error: OSError) -> str:
    if isinstance(error, ConnectionRefusedError):
        return "connection_refused"
    if isinstance(error, socket.gaierror):
        return "dns_error"
    return "connection_timeout" if isinstance(error, TimeoutError) else "connection_failed"
