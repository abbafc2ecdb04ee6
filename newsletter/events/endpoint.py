"""The webhook endpoint of this site at a provider: found by its URL, and kept with its state."""

from __future__ import annotations

import datetime
from collections.abc import Iterable
from urllib.parse import urlsplit

from django.conf import settings
from django.utils import timezone

from newsletter.models import EventLogReading
from newsletter.providers.event_log import SupportsEventLog, WebhookEndpoint

WORKER = "worker"

#: How far a reading goes beyond the newest event of the last one: events need not be logged in the order of their time.
OVERLAP = datetime.timedelta(minutes=10)

#: How far the first reading goes back: Resend keeps events for 30 days.
FIRST_SPAN = datetime.timedelta(days=30)

#: Kinds that an endpoint may leave out: that a mail was sent is known, and opens and clicks are a choice.
OPTIONAL_KINDS = ("email.sent", "email.opened", "email.clicked")

MISSING = "endpoint_missing"


def endpoint_url(provider: str) -> str:
    """Where a provider has to post its events."""
    return f"{settings.SITE_URL}/webhooks/{provider}/"


def reading_of(provider: str) -> EventLogReading:
    """The provider's row, made if there is none."""
    found = EventLogReading.objects.filter(provider=provider).first()
    if found is None:
        EventLogReading.objects.bulk_create([EventLogReading(provider=provider)], ignore_conflicts=True)
        found = EventLogReading.objects.get(provider=provider)
    return found


def default_since(reading: EventLogReading) -> datetime.datetime:
    """How far a reading goes back: to where the last complete one began."""
    return reading.covered_until - OVERLAP if reading.covered_until else timezone.now() - FIRST_SPAN


def check_endpoint(name: str, provider: SupportsEventLog) -> EventLogReading:
    """Ask the provider for the endpoint of this site and keep the answer. Raises EventLogUnreadable.

    If the provider has disabled it, a reading is requested: nothing arrives any more.
    """
    reading = reading_of(name)
    endpoints = provider.read_endpoints()
    found = _of_this_site(endpoints, endpoint_url(name))
    if found is None:
        url = next((endpoint.url for endpoint in endpoints), "")
        changes: dict[str, object] = {"endpoint_id": "", "endpoint_url": url, "code": MISSING, "detail": ""}
    else:
        changes = _changes(reading, found, provider)
    EventLogReading.objects.filter(pk=reading.pk).update(checked_at=timezone.now(), **changes)
    reading.refresh_from_db()
    return reading


def _changes(reading: EventLogReading, found: WebhookEndpoint, provider: SupportsEventLog) -> dict[str, object]:
    kinds = needed_kinds(provider)
    missing = [] if found.kinds is None else [kind for kind in kinds if kind not in found.kinds]
    changes: dict[str, object] = {
        "endpoint_url": found.url,
        "is_enabled": found.is_enabled,
        "missing_kinds": missing,
    }
    if reading.code == MISSING:
        changes |= {"code": "", "detail": ""}
    if found.id != reading.endpoint_id:
        # A new endpoint has a log of its own.
        changes |= {"endpoint_id": found.id, "cursor": "", "skipped": []}
        changes |= dict.fromkeys(("covered_until", "started_at", "finished_at"))
    elif not found.is_enabled and reading.is_enabled and reading.requested_since is None:
        changes |= {"requested_since": default_since(reading), "requested_by": WORKER}
    return changes


def needed_kinds(provider: SupportsEventLog) -> list[str]:
    """The kinds of events without which deliveries, bounces or complaints stay unknown."""
    return sorted(kind for kind in provider.event_kinds if kind not in OPTIONAL_KINDS)


def _of_this_site(endpoints: Iterable[WebhookEndpoint], url: str) -> WebhookEndpoint | None:
    """The endpoint whose URL is this site's, up to scheme and final slash; the best of several."""
    found = [endpoint for endpoint in endpoints if _place(endpoint.url) == _place(url)]
    return min(found, key=lambda endpoint: (endpoint.url != url, not endpoint.is_enabled), default=None)


def _place(url: str) -> tuple[str, int | None, str]:
    """Host, port and path; the port is None where it is the scheme's own."""
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        return "", None, url
    is_default = port == {"https": 443, "http": 80}.get(parts.scheme)
    return (parts.hostname or "").lower(), None if is_default else port, parts.path.rstrip("/")
