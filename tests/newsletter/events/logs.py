"""A provider's log of events that a test writes, and the one of a sandbox whose webhooks nobody receives."""

from __future__ import annotations

import datetime
from collections.abc import Collection
from dataclasses import dataclass, field

import orjson
from django.utils import timezone

from newsletter.events.endpoint import endpoint_url
from newsletter.models import EventLogReading
from newsletter.providers.base import SignedEvent
from newsletter.providers.event_log import EventLogPage, EventLogUnreadable, LoggedEvent, WebhookEndpoint
from newsletter.providers.resend.events import EVENT_TYPES

HOUR = datetime.timedelta(hours=1)


@dataclass
class WrittenLog:
    """A provider with a log, newest first. `failures` are raised by the next calls."""

    name: str = "resend"
    account: str = "tests"
    entries: list[LoggedEvent] = field(default_factory=list)
    gone: set[str] = field(default_factory=set)
    failures: list[EventLogUnreadable | None] = field(default_factory=list)
    endpoints: list[WebhookEndpoint] = field(default_factory=list)
    page_size: int = 3
    calls: list[str] = field(default_factory=list)
    can_read_event_log: bool = True

    def __post_init__(self) -> None:
        self.endpoints = self.endpoints or [endpoint()]

    @property
    def event_kinds(self) -> Collection[str]:
        return EVENT_TYPES.keys()

    def write(self, *ids: str, ago: datetime.timedelta = HOUR, kind: str = "email.delivered") -> None:
        """Write events, each newer than the one before."""
        for event_id in ids:
            latest = max((entry.created_at for entry in self.entries), default=timezone.now() - 30 * 24 * HOUR)
            at = max(timezone.now() - ago, latest + datetime.timedelta(microseconds=1))
            self.entries.insert(0, LoggedEvent(id=event_id, kind=kind, created_at=at))

    def read_endpoints(self) -> tuple[WebhookEndpoint, ...]:
        self._call("endpoints")
        return tuple(self.endpoints)

    def read_event_log(self, endpoint_id: str, *, after: str) -> EventLogPage:
        self._call(f"page {after}".strip())
        ids = [entry.id for entry in self.entries]
        if after and after not in ids:
            raise EventLogUnreadable("cursor_lost", permanent=False)
        start = ids.index(after) + 1 if after else 0
        shown = tuple(self.entries[start : start + self.page_size])
        more = start + self.page_size < len(ids)
        return EventLogPage(entries=shown, cursor=shown[-1].id if shown else after, has_more=more)

    def read_logged_event(self, endpoint_id: str, event_id: str) -> SignedEvent | None:
        self._call(event_id)
        body = orjson.dumps({"type": "email.delivered", "created_at": "2026-11-20T07:00:00Z", "data": {}}).decode()
        return None if event_id in self.gone else SignedEvent(event_id=event_id, body=body)

    def _call(self, name: str) -> None:
        self.calls.append(name)
        failure = self.failures.pop(0) if self.failures else None
        if failure is not None:
            raise failure


def endpoint(**changes: object) -> WebhookEndpoint:
    """The endpoint of this site."""
    known: dict[str, object] = {"id": "w1", "url": endpoint_url("resend"), "is_enabled": True, "kinds": None}
    return WebhookEndpoint(**{**known, **changes})  # type: ignore[arg-type]


def let_wait_pass() -> None:
    """Let the wait until the next run be over."""
    EventLogReading.objects.update(not_before=None, claimed_until=None)


def let_reading_be_due() -> None:
    """Let the last reading and the last check be hours old."""
    old = timezone.now() - 5 * HOUR
    EventLogReading.objects.filter(finished_at__isnull=False).update(finished_at=old)
    EventLogReading.objects.update(checked_at=old)
    let_wait_pass()
