"""The readers of a batch: whom its deliveries are for, and what stands against mailing them now.

Imports models and `subscribers`.
"""

from __future__ import annotations

import datetime
import uuid
from collections.abc import Sequence
from dataclasses import dataclass

from django.db.models import QuerySet

from newsletter.models import Batch, Delivery, DeliveryStatus
from subscribers.models import Subscription, SubscriptionState
from subscribers.suppression import suppressed_among

#: Deliveries that are in the bytes of their batch.
UNDER_WAY = (DeliveryStatus.BATCHED, DeliveryStatus.UNKNOWN)

ERASED = "The reader was erased."
SUPPRESSED = "The address must not be mailed."
PAUSED = "The reader paused the newsletter."
LEFT = "The reader left the newsletter."


@dataclass(frozen=True, slots=True, kw_only=True)
class Reader:
    """One recipient of a batch. `obstacle` is why they may not be mailed, empty if they may."""

    delivery_pk: int
    address: str
    first_name: str = ""
    """As they gave it; empty for most."""
    subscription_key: uuid.UUID
    obstacle: str


def deliveries_of(batch: Batch) -> QuerySet[Delivery]:
    """Every delivery that the batch owns, in the order of its payload."""
    first, last = batch.first_delivery, batch.last_delivery
    return Delivery.objects.filter(edition=batch.edition_id, pk__gte=first, pk__lte=last).order_by("pk")


def readers_of(batch: Batch, statuses: Sequence[str], now: datetime.datetime) -> list[Reader]:
    """The readers of the batch whose deliveries are in one of `statuses`; three queries, however many they are."""
    owned = dict(deliveries_of(batch).filter(status__in=statuses).values_list("pk", "subscriber_id"))
    subscriptions = Subscription.objects.filter(
        mailing_list=batch.edition.issue.newsletter_id, subscriber__in=owned.values()
    ).select_related("subscriber")
    found = {subscription.subscriber_id: subscription for subscription in subscriptions}
    suppressed = suppressed_among({subscription.subscriber.canonical for subscription in found.values()})
    return [
        as_reader(
            found[subscriber_pk], delivery_pk=delivery_pk, obstacle=_obstacle(found[subscriber_pk], suppressed, now)
        )
        if subscriber_pk in found
        else Reader(delivery_pk=delivery_pk, address="", subscription_key=uuid.UUID(int=0), obstacle=ERASED)
        for delivery_pk, subscriber_pk in owned.items()
    ]


def as_reader(found: Subscription, *, delivery_pk: int = 0, obstacle: str = "") -> Reader:
    """The member as a recipient; without a delivery, as previews show an issue to them."""
    return Reader(
        delivery_pk=delivery_pk,
        address=found.subscriber.address,
        first_name=found.subscriber.first_name,
        subscription_key=found.key,
        obstacle=obstacle,
    )


def _obstacle(found: Subscription, suppressed: set[str], now: datetime.datetime) -> str:
    if found.state == SubscriptionState.SUPPRESSED or found.subscriber.canonical in suppressed:
        return SUPPRESSED
    if found.state != SubscriptionState.ACTIVE:
        return LEFT
    return PAUSED if found.paused_until and found.paused_until > now else ""
