"""Follow: makes messages from facts, behind a cursor for each endpoint. A step of the worker.

Facts are rows that are never deleted, and the id of a message is derived from its fact. The cursor moves in the
transaction that stores the messages: a kill loses none and makes none twice, and where facts are made nothing waits.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable

from django.db import transaction
from django.utils import timezone

from newsletter.config.failpoints import Point, failpoint
from newsletter.models import FOLLOWING, WebhookCursor, WebhookEndpoint, WebhookMessage
from newsletter.notifications.facts import SOURCES, Fact, Source
from newsletter.notifications.settled import Settled, latest_pk

#: Keys that are read in one transaction. An import makes a million consents, which are passed over in such pieces.
WINDOW = 5_000

#: Kept from one run to the next, for what was seen.
_settled = {source.name: Settled(source.model) for source in SOURCES}


def start_cursors(endpoint: WebhookEndpoint) -> None:
    """Let an endpoint be told of what happens from now on, and of nothing that was before."""
    for source in SOURCES:
        WebhookCursor.objects.update_or_create(
            endpoint=endpoint, source=source.name, defaults={"last_pk": latest_pk(source.model)}
        )


def message_uid(endpoint_pk: int, source: str, fact: Fact) -> str:
    """The id of the only message about this fact to this endpoint. The time tells facts with reused keys apart."""
    text = f"{endpoint_pk}:{source}:{fact.pk}:{fact.type}:{fact.at.isoformat()}"
    return "msg_" + hashlib.sha256(text.encode()).hexdigest()[:32]


def make_messages() -> bool:
    """Make messages from the next facts of each source for each endpoint. Returns whether there may be more."""
    endpoints = {row.pk: row for row in WebhookEndpoint.objects.filter(state__in=FOLLOWING)}
    if not endpoints:
        return False
    has_more = False
    for source in SOURCES:
        settled = _settled[source.name].pk()
        behind = WebhookCursor.objects.filter(endpoint__in=endpoints, source=source.name, last_pk__lt=settled)
        for cursor in behind.order_by("pk"):
            _follow(endpoints[cursor.endpoint_id], cursor, source, min(settled, cursor.last_pk + WINDOW))
            has_more = True
    return has_more


def _follow(endpoint: WebhookEndpoint, cursor: WebhookCursor, source: Source, upto: int) -> None:
    with transaction.atomic():
        # Of two workers one moves it; the other waits for that, and finds it moved.
        unmoved = WebhookCursor.objects.filter(pk=cursor.pk, last_pk=cursor.last_pk)
        if not unmoved.update(last_pk=upto):
            return
        facts = [fact for fact in source.read(endpoint, cursor.last_pk, upto) if fact.type in endpoint.types]
        store_messages(endpoint, source.name, facts)
        failpoint(Point.WEBHOOKS_UNCOMMITTED)
    failpoint(Point.WEBHOOKS_COMMITTED)


def store_messages(endpoint: WebhookEndpoint, source: str, facts: Iterable[Fact]) -> None:
    """Store a message for each fact. A repeat changes nothing."""
    now = timezone.now()
    WebhookMessage.objects.bulk_create(
        [
            WebhookMessage(
                endpoint=endpoint,
                uid=message_uid(endpoint.pk, source, fact),
                type=fact.type,
                source=source,
                source_pk=fact.pk,
                subscriber_id=fact.subscriber_pk,
                data=fact.data,
                at=fact.at,
                created_at=now,
                next_attempt_at=now,
            )
            for fact in facts
        ],
        ignore_conflicts=True,
        batch_size=500,
    )
