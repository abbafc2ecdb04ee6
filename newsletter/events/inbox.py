"""The webhook inbox: store first, apply later."""

from __future__ import annotations

from typing import Any

import orjson
from django.db import InterfaceError, OperationalError, connection
from django.utils import timezone

from newsletter.config.failpoints import Point, failpoint
from newsletter.engagement.consent import has_source
from newsletter.engagement.provider_hits import ENGAGEMENT_KINDS
from newsletter.models import EngagementSource, Event
from newsletter.models.prepared import PreparedStatement
from newsletter.providers import without_click
from newsletter.providers.base import SignedEvent

#: The fields that are known when an event arrives. All others begin with their defaults.
KNOWN = ("provider", "event_id", "kind", "body", "received_at")
_BEGUN: dict[str, Any] = {
    str(field.column): field.get_prep_value(field.get_default())
    for field in Event._meta.concrete_fields
    if not field.primary_key and field.name not in KNOWN and not field.null and not field.has_db_default()
}
_INSERT = PreparedStatement(
    f"INSERT INTO {Event._meta.db_table} ({', '.join((*KNOWN, *_BEGUN))}) "  # noqa: S608 - names of our own columns
    f"VALUES ({', '.join(['%s'] * len((*KNOWN, *_BEGUN)))}) ON CONFLICT DO NOTHING"
)


def store_event(provider: str, signed: SignedEvent) -> None:
    """Store a verified event, once: a repeat of the same event id changes nothing. Raises DatabaseError.

    It is committed at the end, unless the caller has begun a transaction. PostgreSQL cannot store NUL; it is removed
    from the copy, after the signature was checked over the original. Its JSON escape stays: as text it does no harm,
    and removing it could break what surrounds it.
    """
    body = signed.body.replace("\x00", "")
    kind = _kind(body)
    if kind in ENGAGEMENT_KINDS and not has_source(EngagementSource.PROVIDER):
        # No newsletter may have them: link, address and agent are not even stored until the event is applied.
        body = without_click(provider, body)
    row = (provider, signed.event_id, kind, body, timezone.now(), *_BEGUN.values())
    failpoint(Point.EVENT_UNSTORED)
    _insert(row)
    failpoint(Point.EVENT_STORED)


def _insert(row: tuple[Any, ...]) -> None:
    """One statement on the connection of this thread, which is kept.

    If the connection turns out to be broken, as after a restart of the database, a new one is tried once: whether or
    not the first attempt was committed, the event is stored once.
    """
    if not connection.in_atomic_block:
        # As Django does at the beginning of its requests: webhooks do not pass through it.
        connection.close_if_unusable_or_obsolete()
    is_kept = connection.connection is not None
    try:
        _INSERT.execute(*row)
    except (InterfaceError, OperationalError):
        if not (is_kept and _is_broken()):
            raise
        connection.close()
        _INSERT.execute(*row)


def _is_broken() -> bool:
    """Whether PostgreSQL's connection was lost. SQLite has none that could be."""
    return bool(getattr(connection.connection, "closed", False)) and not connection.in_atomic_block


def _kind(body: str) -> str:
    """The provider's name of the event, for the inbox in the admin; empty if the body is unreadable."""
    try:
        event = orjson.loads(body)
    except orjson.JSONDecodeError:
        return ""
    kind = str(event.get("type", "")) if isinstance(event, dict) else ""
    return "".join(char for char in kind if char.isprintable())[:64]
