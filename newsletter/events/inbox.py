"""The inbox of receipts: store first, apply later."""

from __future__ import annotations

import orjson

from newsletter.config.failpoints import Point, reached
from newsletter.models import Event
from newsletter.providers.base import SignedEvent


def store_event(provider: str, signed: SignedEvent) -> None:
    """Keep a verified event, once: a repeat of the same event id changes nothing (R-85).

    PostgreSQL cannot hold NUL; it is taken out of the copy, after the signature was checked over the original. Its
    escape in JSON stays: as text it does no harm, and cutting it out could break what surrounds it.
    """
    body = signed.body.replace("\x00", "")
    receipt = Event(provider=provider, event_id=signed.event_id, kind=_kind(body), body=body)
    reached(Point.EVENT_UNSTORED)
    Event.objects.bulk_create([receipt], ignore_conflicts=True)
    reached(Point.EVENT_STORED)


def _kind(body: str) -> str:
    """The provider's word for the event, for people who look through the inbox; empty if the body is unreadable."""
    try:
        event = orjson.loads(body)
    except orjson.JSONDecodeError:
        return ""
    kind = str(event.get("type", "")) if isinstance(event, dict) else ""
    return "".join(char for char in kind if char.isprintable())[:64]
