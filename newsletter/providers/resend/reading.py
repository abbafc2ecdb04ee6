"""What Resend's provider reads with a key of full access: the log of events, counts, and received mails."""

from __future__ import annotations

import datetime
from collections.abc import Collection, Sequence
from urllib.parse import urlsplit

from django.conf import settings

from newsletter.providers.base import SignedEvent
from newsletter.providers.counts import CountsUnreadable, MailCounts
from newsletter.providers.event_log import EventLogPage, EventLogUnreadable, WebhookEndpoint
from newsletter.providers.inbound import InboundFile, InboundUnreadable, ReceivedMail
from newsletter.providers.resend.counts import MAX_MAILS, ResendCounts
from newsletter.providers.resend.event_log import ResendEventLog
from newsletter.providers.resend.events import EVENT_TYPES
from newsletter.providers.resend.receiving import RECEIVED, ResendReceiving, parse_received


class ReadsLogAndCounts:
    """The part of `ResendProvider` that implements SupportsEventLog, SupportsCounts and SupportsInbound."""

    def read_with(self, url: str, key: str) -> None:
        """Set the key; without one, nothing can be read."""
        self._event_log = ResendEventLog(url, key) if key else None
        self._counts = ResendCounts(url, key) if key else None
        self._receiving = ResendReceiving(url, key) if key else None
        self._host = (urlsplit(url).hostname or "").lower()

    @property
    def can_read_event_log(self) -> bool:
        """Whether there is a key with full access."""
        return self._event_log is not None

    @property
    def event_kinds(self) -> Collection[str]:
        """The kinds that `parse_webhook` gives a type; received mails, where reports are expected among them."""
        return (*EVENT_TYPES, RECEIVED) if settings.DMARC_REPORT_ADDRESS else EVENT_TYPES.keys()

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

    @property
    def can_read_inbound(self) -> bool:
        """Whether there is a key with full access."""
        return self._receiving is not None

    @property
    def inbound_hosts(self) -> frozenset[str]:
        """The host of the API."""
        return frozenset({self._host})

    def read_received(self, body: str) -> ReceivedMail | None:
        """The event email.received."""
        return parse_received(body)

    def inbound_files(self, mail_id: str) -> tuple[InboundFile, ...]:
        """GET /emails/receiving/{id}/attachments. Raises InboundUnreadable."""
        if self._receiving is None:
            raise InboundUnreadable("inbound_key_missing", permanent=True)
        return self._receiving.files(mail_id)
