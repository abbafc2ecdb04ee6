"""A mail backend that records every attempt and raises the errors that a test has set."""

from __future__ import annotations

import datetime
from collections.abc import Sequence
from dataclasses import dataclass, field

from django.core.mail import EmailMessage, EmailMultiAlternatives
from django.core.mail.backends.base import BaseEmailBackend

BACKEND = f"{__name__}.RecordingBackend"


@dataclass
class Recorder:
    """The recorded attempts. Each takes the next of `errors`, if any are left; otherwise the mail is accepted."""

    errors: list[Exception] = field(default_factory=list)
    attempts: list[EmailMultiAlternatives] = field(default_factory=list)
    key_lifetime: datetime.timedelta = datetime.timedelta(hours=23)
    is_stopped: bool = False

    @property
    def keys(self) -> list[str]:
        """The idempotency key of each attempt."""
        return [str(getattr(mail, "idempotency_key", "")) for mail in self.attempts]


RECORDER = Recorder()


class RecordingBackend(BaseEmailBackend):
    """Passes every mail to the recorder."""

    @property
    def key_lifetime(self) -> datetime.timedelta:
        """As long as the recorder says."""
        return RECORDER.key_lifetime

    @property
    def is_stopped(self) -> bool:
        """As the recorder says."""
        return RECORDER.is_stopped

    def send_messages(self, email_messages: Sequence[EmailMessage]) -> int:
        """Record each mail, then raise the next error or accept it."""
        for mail in email_messages:
            assert isinstance(mail, EmailMultiAlternatives)
            RECORDER.attempts.append(mail)
            if RECORDER.errors:
                raise RECORDER.errors.pop(0)
            mail.provider_id = f"mail-{len(RECORDER.attempts)}"  # type: ignore[attr-defined]
        return len(email_messages)
