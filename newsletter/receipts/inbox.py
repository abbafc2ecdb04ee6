"""The inbox of receipts: store first, apply later. Imports models and providers."""

from __future__ import annotations

import orjson

from newsletter.drill import Point, reached
from newsletter.models import Receipt
from newsletter.providers.base import SignedReceipt


def store_receipt(provider: str, signed: SignedReceipt) -> None:
    """Keep a verified event, once: a repeat of the same event id changes nothing (R-85).

    PostgreSQL cannot hold NUL; it is taken out of the copy, after the signature was checked over the original. Its
    escape in JSON stays: as text it does no harm, and cutting it out could break what surrounds it.
    """
    body = signed.body.replace("\x00", "")
    receipt = Receipt(provider=provider, event_id=signed.event_id, kind=_kind(body), body=body)
    reached(Point.RECEIPT_UNSTORED)
    Receipt.objects.bulk_create([receipt], ignore_conflicts=True)
    reached(Point.RECEIPT_STORED)


def _kind(body: str) -> str:
    """The provider's word for the event, for people who look through the inbox; empty if the body is unreadable."""
    try:
        event = orjson.loads(body)
    except orjson.JSONDecodeError:
        return ""
    kind = str(event.get("type", "")) if isinstance(event, dict) else ""
    return "".join(char for char in kind if char.isprintable())[:64]
