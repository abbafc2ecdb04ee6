"""What a flood is made of: the mails that were sent, and what each event says, as its writer knows. No Django here."""

from __future__ import annotations

import datetime
from dataclasses import dataclass

UTC = datetime.UTC

#: The installation's ENVIRONMENT, which each of its mails carries as a tag: failpoints need this one.
ENVIRONMENT = "test"


@dataclass(frozen=True, slots=True, kw_only=True)
class Mail:
    """A mail that the provider has accepted."""

    delivery: int
    send: int
    issue: str
    edition: int
    links: int
    """How many links the issue has: `link_to(1)` and so on, in the order of the mail."""
    address: str
    """As its subscriber typed it."""
    is_erased: bool
    """Whether the subscriber was erased since."""
    mail_id: str
    started_at: datetime.datetime
    """When the send started."""
    has_provider_tracking: bool
    """Whether the newsletter's source of opens and clicks is the provider, with consent."""
    agreed_at: datetime.datetime | None
    """When the subscriber agreed to tracking."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Said:
    """A genuine event. What follows `body` is what it says, so that nobody has to parse it to know."""

    event_id: str
    body: bytes
    kind: str
    """Of the mail: sent, delayed, delivered, opened, clicked, failed, suppressed, bounced or complained."""
    at: datetime.datetime
    mail: Mail | None = None
    """The mail that it is about; None for those that are none of an issue's, or fit no delivery."""
    address: str = ""
    """The recipient's canonical address."""
    bounce: str = ""
    """The class of a bounce."""
    unused: str = ""
    """Why it is ignored or fits no delivery: `ignored event_unreadable`, `orphan other_edition`; empty if it counts."""
    link: str = ""
    agent: str | None = None
    ip: str = ""


def link_to(number: int) -> str:
    """The address of an issue's link, from 1."""
    return f"https://harbour.example/cranes/{number}"
