"""A mail backend that remembers what it was given, byte for byte, and answers as a test has planned."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from django.core.mail import EmailMessage, EmailMultiAlternatives
from django.core.mail.backends.base import BaseEmailBackend

BACKEND = f"{__name__}.PostOffice"


@dataclass
class Counter:
    """What happens at the counter: each mail takes one answer from `planned`; without a plan it is accepted."""

    planned: list[Exception] = field(default_factory=list)
    handed_in: list[EmailMultiAlternatives] = field(default_factory=list)

    @property
    def keys(self) -> list[str]:
        """The idempotency key of each attempt."""
        return [str(getattr(mail, "idempotency_key", "")) for mail in self.handed_in]


counter = Counter()


class PostOffice(BaseEmailBackend):
    """Hands every mail in at the counter."""

    def send_messages(self, email_messages: Sequence[EmailMessage]) -> int:
        """Accept, or raise what was planned."""
        for mail in email_messages:
            assert isinstance(mail, EmailMultiAlternatives)
            counter.handed_in.append(mail)
            if counter.planned:
                raise counter.planned.pop(0)
            mail.provider_id = f"mail-{len(counter.handed_in)}"  # type: ignore[attr-defined]
        return len(email_messages)
