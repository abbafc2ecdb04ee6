"""The protocol of a provider that receives mail for the account, and the values that it returns."""

from __future__ import annotations

import datetime
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

from newsletter.providers.reasons import ReasonError

#: Codes that are about our key: other mails fail in the same way, and this one is there when the key is mended.
KEY_CODES = frozenset({"inbound_key_missing", "inbound_refused"})


class InboundUnreadable(ReasonError):
    """A received mail could not be read; `permanent` if asking again will not help.

    `retry_after` is the wait in seconds that the provider asked for; None if it named none.
    """

    def __init__(self, code: str, detail: str = "", *, permanent: bool, retry_after: float | None = None) -> None:
        super().__init__(code, detail)
        self.permanent, self.retry_after = permanent, retry_after

    @property
    def retryable(self) -> bool:
        """Whether the same call may succeed later."""
        return not self.permanent


@dataclass(frozen=True, slots=True, kw_only=True)
class ReceivedMail:
    """What the event about a received mail says. Everything in it is the sender's word."""

    mail_id: str
    """The provider's id."""
    sender: str
    """The address in From; empty without one."""
    recipients: frozenset[str]
    """The addresses it went to, in lower case."""
    at: datetime.datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class InboundFile:
    """A file of a received mail, and where it can be loaded for some minutes, without a key."""

    name: str
    content_type: str
    """In lower case, without parameters."""
    size: int | None
    """Bytes, as the provider says; None if it does not."""
    url: str


@runtime_checkable
class SupportsInbound(Protocol):
    """A provider that receives mail, keeps it for a while, and lets its attachments be loaded."""

    @property
    def can_read_inbound(self) -> bool:
        """Whether the settings allow to read received mails."""

    @property
    def inbound_hosts(self) -> frozenset[str]:
        """Hosts of the provider itself, which may be in the local network, as the sandbox is."""

    def read_received(self, body: str) -> ReceivedMail | None:
        """What the body of a stored event says of a received mail; None if it is about something else."""

    def inbound_files(self, mail_id: str) -> tuple[InboundFile, ...]:
        """The attachments of a mail; the original mail, if it has none. Raises InboundUnreadable."""
