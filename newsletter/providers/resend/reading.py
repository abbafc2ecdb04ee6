"""What Resend's provider reads with a key of full access: the log of events, and counts."""

from __future__ import annotations

import datetime
from collections.abc import Collection, Sequence

from newsletter.providers.base import SignedEvent
from newsletter.providers.counts import CountsUnreadable, MailCounts
from newsletter.providers.event_log import EventLogPage, EventLogUnreadable, WebhookEndpoint
from newsletter.providers.resend.counts import MAX_MAILS, ResendCounts
from newsletter.providers.resend.event_log import ResendEventLog
from newsletter.providers.resend.events import EVENT_TYPES


class ReadsLogAndCounts:
    """The part of `ResendProvider` that implements SupportsEventLog and SupportsCounts."""

    def read_with(self, url: str, key: str) -> None:
        """Set the key; without one, nothing can be read."""
        self._event_log = ResendEventLog(url, key) if key else None
        self._counts = ResendCounts(url, key) if key else None

    @property
    def can_read_event_log(self) -> bool:
        """Whether there is a key with full access."""
        return self._event_log is not None

    @property
    def event_kinds(self) -> Collection[str]:
        """The kinds that `parse_webhook` gives a type."""
        return EVENT_TYPES.keys()

    def read_endpoints(self) -> tuple[WebhookEndpoint, ...]:
        """GET /webhooks. Raises EventLogUnreadable."""
        return self._event_log_or_raise().endpoints()

    def read_event_log(self, endpoint_id: str, *, after: str) -> EventLogPage:
        """One page of GET /webhooks/{id}/events. Raises EventLogUnreadable."""
        return self._event_log_or_raise().page(endpoint_id, after)

    def read_logged_event(self, endpoint_id: str, event_id: str) -> SignedEvent | None:
        """GET /webhooks/{id}/events/{event_id}. Raises EventLogUnreadable."""
        return self._event_log_or_raise().event(endpoint_id, event_id)

    def _event_log_or_raise(self) -> ResendEventLog:
        if self._event_log is None:
            raise EventLogUnreadable("event_log_key_missing", permanent=True)
        return self._event_log

    @property
    def can_count(self) -> bool:
        """Whether there is a key with full access."""
        return self._counts is not None

    @property
    def mails_per_count(self) -> int:
        return MAX_MAILS

    def count_mails(
        self, *, since: datetime.datetime, until: datetime.datetime, domain: str = "", mail_ids: Sequence[str] = ()
    ) -> MailCounts:
        """GET /emails/metrics. Raises CountsUnreadable."""
        if self._counts is None:
            raise CountsUnreadable("counts_key_missing", permanent=True)
        return self._counts.read(since, until, domain, mail_ids)
