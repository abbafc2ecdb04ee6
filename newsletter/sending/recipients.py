"""The readers of a batch: whom its deliveries are for, and what stands against mailing them now."""

from __future__ import annotations

import datetime
import uuid
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from django.db.models import QuerySet

from newsletter.models import Batch, Delivery, DeliveryStatus
from newsletter.models.delivery import UNINDEXED_EDITION
from newsletter.providers.allowlist import NOT_ALLOWED_RECIPIENT, is_allowed_recipient
from subscribers.models import Subscription, SubscriptionState
from subscribers.suppression import suppressed_among

#: Deliveries that are in the bytes of their batch.
UNDER_WAY = (DeliveryStatus.BATCHED, DeliveryStatus.UNKNOWN)

ERASED = "The reader was erased."
SUPPRESSED = "The address must not be mailed."
PAUSED = "The reader paused the newsletter."
LEFT = "The reader left the newsletter."


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipient:
    """One recipient of a batch. `obstacle` is why they may not be mailed, empty if they may."""

    delivery_pk: int
    address: str
    first_name: str = ""
    """As they gave it; empty for most."""
    subscription_key: uuid.UUID
    obstacle: str


def deliveries_of(batch: Batch) -> QuerySet[Delivery]:
    """Every delivery that the batch owns, in the order of its payload."""
    owned = Delivery.objects.filter(pk__gte=batch.first_delivery, pk__lte=batch.last_delivery)
    return owned.alias(of=UNINDEXED_EDITION).filter(of=batch.edition_id).order_by("pk")


def recipients_of(batch: Batch, statuses: Sequence[str], now: datetime.datetime) -> list[Recipient]:
    """The readers of the batch whose deliveries are in one of `statuses`; three queries, however many they are."""
    owned = dict(deliveries_of(batch).filter(status__in=statuses).values_list("pk", "subscriber_id"))
    found = _memberships(batch.edition.issue.newsletter_id, owned.values())
    suppressed = suppressed_among({membership.canonical for membership in found.values()})
    return [
        _reader(found[subscriber_pk], delivery_pk, _obstacle(found[subscriber_pk], suppressed, now))
        if subscriber_pk in found
        else Recipient(delivery_pk=delivery_pk, address="", subscription_key=uuid.UUID(int=0), obstacle=ERASED)
        for delivery_pk, subscriber_pk in owned.items()
    ]


class Membership(NamedTuple):
    """What a batch needs to know of one member: a plain row, since building two models a reader costs more than
    all other work on them."""

    subscriber_pk: int
    state: str
    paused_until: datetime.datetime | None
    key: uuid.UUID
    address: str
    canonical: str
    first_name: str


def _memberships(list_pk: int, subscribers: Collection[int]) -> dict[int, Membership]:
    """Members of the list among these, by the subscriber's primary key; one query."""
    rows = Subscription.objects.filter(mailing_list=list_pk, subscriber__in=subscribers).values_list(
        "subscriber_id",
        "state",
        "paused_until",
        "key",
        "subscriber__address",
        "subscriber__canonical",
        "subscriber__first_name",
    )
    return {row[0]: Membership(*row) for row in rows}


def _reader(found: Membership, delivery_pk: int, obstacle: str) -> Recipient:
    return Recipient(
        delivery_pk=delivery_pk,
        address=found.address,
        first_name=found.first_name,
        subscription_key=found.key,
        obstacle=obstacle,
    )


def as_recipient(found: Subscription) -> Recipient:
    """The member as a recipient without a delivery, as previews show an issue to them."""
    return Recipient(
        delivery_pk=0,
        address=found.subscriber.address,
        first_name=found.subscriber.first_name,
        subscription_key=found.key,
        obstacle="",
    )


def _obstacle(found: Membership, suppressed: set[str], now: datetime.datetime) -> str:
    if not is_allowed_recipient(found.canonical):
        return NOT_ALLOWED_RECIPIENT
    if found.state == SubscriptionState.SUPPRESSED or found.canonical in suppressed:
        return SUPPRESSED
    if found.state != SubscriptionState.ACTIVE:
        return LEFT
    return PAUSED if found.paused_until and found.paused_until > now else ""
