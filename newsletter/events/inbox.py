"""The webhook inbox: store first, apply later."""

from __future__ import annotations

import orjson

from newsletter.config.failpoints import Point, failpoint
from newsletter.engagement.consent import has_source
from newsletter.engagement.provider_hits import ENGAGEMENT_KINDS
from newsletter.models import EngagementSource, Event
from newsletter.providers import without_click
from newsletter.providers.base import SignedEvent


def store_event(provider: str, signed: SignedEvent) -> None:
    """Store a verified event, once: a repeat of the same event id changes nothing.

    PostgreSQL cannot store NUL; it is removed from the copy, after the signature was checked over the original. Its
    JSON escape stays: as text it does no harm, and removing it could break what surrounds it.
    """
    body = signed.body.replace("\x00", "")
    kind = _kind(body)
    if kind in ENGAGEMENT_KINDS and not has_source(EngagementSource.PROVIDER):
        # No newsletter may have them: link, address and agent are not even stored until the event is applied.
        body = without_click(provider, body)
    event = Event(provider=provider, event_id=signed.event_id, kind=kind, body=body)
    failpoint(Point.EVENT_UNSTORED)
    Event.objects.bulk_create([event], ignore_conflicts=True)
    failpoint(Point.EVENT_STORED)


def _kind(body: str) -> str:
    """The provider's name of the event, for the inbox in the admin; empty if the body is unreadable."""
    try:
        event = orjson.loads(body)
    except orjson.JSONDecodeError:
        return ""
    kind = str(event.get("type", "")) if isinstance(event, dict) else ""
    return "".join(char for char in kind if char.isprintable())[:64]
