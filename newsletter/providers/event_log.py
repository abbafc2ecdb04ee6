"""The protocol of a provider that keeps a log of the events it sent to webhook endpoints, and the values it returns."""

from __future__ import annotations

import datetime
from collections.abc import Collection
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

from newsletter.providers.base import SignedEvent
from newsletter.providers.reasons import ReasonError


class EventLogUnreadable(ReasonError):
    """The log, or the list of endpoints, could not be read; `permanent` if asking again will not help.

    `retry_after` is the wait in seconds that the provider asked for; None if it named none.
    """

    def __init__(self, code: str, detail: str = "", *, permanent: bool, retry_after: float | None = None) -> None:
        super().__init__(code, detail)
        self.permanent, self.retry_after = permanent, retry_after


@dataclass(frozen=True, slots=True, kw_only=True)
class WebhookEndpoint:
    """An endpoint of the account, to which the provider posts events."""

    id: str
    url: str
    is_enabled: bool
    kinds: frozenset[str] | None
    """The kinds of events that it gets; None for all, or if the provider does not say."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LoggedEvent:
    """One line of the log."""

    id: str
    """The provider's id of the event: that of the webhook."""
    kind: str
    created_at: datetime.datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class EventLogPage:
    """One page of the log of an endpoint, newest first."""

    entries: tuple[LoggedEvent, ...]
    cursor: str
    """Where the next page begins."""
    has_more: bool


@runtime_checkable
class SupportsEventLog(Protocol):
    """A provider whose log of events can be read, so that events whose webhooks did not arrive are not lost."""

    @property
    def can_read_event_log(self) -> bool:
        """Whether the settings allow to read it."""

    @property
    def event_kinds(self) -> Collection[str]:
        """The kinds of events that say something about a mail. Others need not be read."""

    def read_endpoints(self) -> tuple[WebhookEndpoint, ...]:
        """Every endpoint of the account. Raises EventLogUnreadable."""

    def read_event_log(self, endpoint_id: str, *, after: str) -> EventLogPage:
        """One page. `after` is the cursor of the page before; empty for the newest. Raises EventLogUnreadable.

        The code `cursor_lost` says that the provider no longer knows `after`.
        """

    def read_logged_event(self, endpoint_id: str, event_id: str) -> SignedEvent | None:
        """The event as its webhook has it; None if the log has no payload of it. Raises EventLogUnreadable.

        It comes over a connection to the provider, so it needs no signature.
        """
