"""Counters of a send: how many of its deliveries are in which state, and what events say of them.

Database triggers on the delivery table keep the totals, so that no statement can forget them; applying events keeps
those by hour, mail domain and class of bounce. Both happen in the transaction of what they count.
"""

from __future__ import annotations

import datetime
import enum
import functools
from collections.abc import Collection, Iterable, Iterator, Mapping
from typing import ClassVar

from django.db import connection, models
from django.db.models import Sum

from newsletter.models.bulk_sql import execute_with_rows
from newsletter.models.delivery import EventType
from newsletter.models.send import Send
from subscribers.models import fold_counters


class CountScope(enum.StrEnum):
    """What the key of a counter is. Its name says what is counted."""

    TOTAL = ""
    REASON = "reason"
    """The key is a reason code, the name a state of deliveries."""
    HOUR = "hour"
    """The key is an hour in UTC, `2026-11-20T07`; the name is an event type."""
    DOMAIN = "domain"
    """The key is the domain of the address; the name is an event type."""
    BOUNCE = "bounce"
    """The key is the class of a bounce; the name is BOUNCED_DELIVERIES."""


class Place(enum.StrEnum):
    """Where reports show an accepted delivery. Others are shown at their state: each is in exactly one place."""

    ACCEPTED = "accepted"
    DELAYED = "delayed"
    REACHED = "reached"
    BOUNCED = "bounced"
    COMPLAINED = "complained"
    SUPPRESSED = "suppressed"
    """The provider did not send it, because the address is on its suppression list."""
    NOT_SENT = "not_sent"
    """The provider could not send it."""


#: Names of totals that are no state and no event type.
AUDIENCE, REACHED, FAILED_ANYWHERE, RETRIABLE = "audience", "reached", "failed_anywhere", "retriable"
STATE, EVENT, PLACE = "state.", "event.", "place."
BOUNCED_DELIVERIES = "deliveries"

#: One statement for any number of changes. Each connection has rows of its own, so that workers do not wait for each
#: other; the sum of all is the count. SQLite has one writer and one row.
ADD = """
    INSERT INTO newsletter_sendcount (send_id, scope, key, name, writer, value)
    SELECT rows.send_id, rows.scope, rows.key, rows.name, {writer}, rows.value FROM {{rows}} WHERE rows.value <> 0
    ORDER BY rows.send_id, rows.scope, rows.key, rows.name
    ON CONFLICT (send_id, scope, key, name, writer)
    DO UPDATE SET value = newsletter_sendcount.value + excluded.value
"""
COLUMNS = {"send_id": "bigint", "scope": "text", "key": "text", "name": "text", "value": "bigint"}

#: The writer of rows that are not counted again: what deliveries said that do not say it any more.
#: See `newsletter.privacy.engagement_times`.
KEPT = -1

Change = tuple[int, str, str, str]
"""Primary key of the send, scope, key and name."""


def hour_of(at: datetime.datetime) -> str:
    """The hour in UTC as the key of a counter: `2026-11-20T07`."""
    return _hour_key(int(at.timestamp() // 3600))


@functools.lru_cache(maxsize=1024)
def _hour_key(hours: int) -> str:
    return datetime.datetime.fromtimestamp(hours * 3600, datetime.UTC).strftime("%Y-%m-%dT%H")


def changes_by_key(
    send: int, domain: str, event_type: EventType, before: datetime.datetime | None, now: datetime.datetime | None
) -> Iterator[tuple[Change, int]]:
    """How the counters by hour and by domain change, when the first time of an event of one delivery changes."""
    name = event_type.value
    for at, amount in ((before, -1), (now, 1)):
        if at is not None:
            yield (send, CountScope.HOUR.value, hour_of(at), name), amount
    if (before is None) != (now is None):
        yield (send, CountScope.DOMAIN.value, domain, name), 1 if before is None else -1


class SendCountQuerySet(models.QuerySet["SendCount"]):
    def totals(self, sends: Iterable[int], names: Collection[str] = ()) -> dict[int, dict[str, int]]:
        """The totals of each send by name, or only these; a send that has no deliveries is missing."""
        rows = self.filter(send__in=list(sends), scope=CountScope.TOTAL, key="").order_by().values_list("send", "name")
        rows = rows.filter(name__in=names) if names else rows
        found: dict[int, dict[str, int]] = {}
        for send, name, value in rows.annotate(total=Sum("value")):
            found.setdefault(send, {})[name] = value
        return found

    def by_key(self, send: Send, scope: CountScope) -> dict[tuple[str, str], int]:
        """The counters of a scope by key and name; those that are zero are missing."""
        rows = self.filter(send=send, scope=scope).order_by().values_list("key", "name")
        return {(key, name): value for key, name, value in rows.annotate(total=Sum("value")) if value}

    def add(self, changes: Mapping[Change, int], *, writer: int | None = None) -> None:
        """Change counters by these amounts, in the transaction of what they count; in the connection's own rows."""
        own = "pg_backend_pid()" if connection.vendor == "postgresql" else "0"
        rows = ((*change, value) for change, value in sorted(changes.items()) if value)
        execute_with_rows(ADD.format(writer=own if writer is None else int(writer)), COLUMNS, rows)


class SendCount(models.Model):
    """One counter, or the part of it that one connection has counted."""

    send = models.ForeignKey(Send, on_delete=models.CASCADE, db_constraint=False, db_index=False, related_name="+")
    scope = models.CharField(max_length=8, blank=True)
    key = models.CharField(max_length=255, blank=True)
    name = models.CharField(max_length=64)
    writer = models.IntegerField(default=0)
    value = models.BigIntegerField(default=0)

    objects: ClassVar[SendCountQuerySet] = SendCountQuerySet.as_manager()  # type: ignore[assignment]

    class Meta:
        default_permissions = ()
        constraints = [
            models.UniqueConstraint(fields=["send", "scope", "key", "name", "writer"], name="send_count_once"),
        ]
        indexes = [
            # Rows of connections, which are added up from time to time.
            models.Index(fields=["id"], condition=models.Q(writer__gt=0), name="send_count_of_connection"),
        ]

    def __str__(self) -> str:
        return f"{self.scope} {self.key} {self.name}: {self.value}"


def fold_send_counts() -> bool:
    """Add up what connections have counted; see `fold_counters`."""
    return fold_counters(SendCount, ("send_id", "scope", "key", "name"))
