"""The recipients of a batch: whom its deliveries are for, and why one of them must not be mailed now."""

from __future__ import annotations

import datetime
import uuid
from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

from django.db.models import QuerySet

from newsletter.models import Batch, Delivery, Reason
from newsletter.models.batch import UNINDEXED_SEND
from newsletter.providers.allowlist import is_allowed_recipient
from subscribers.models import Subscription, SubscriptionState
from subscribers.suppression import filter_suppressed

#: The reason of a recipient who is skipped after an attempt that may have reached them.
AFTER_ATTEMPT = {
    Reason.UNSUBSCRIBED: Reason.UNSUBSCRIBED_AFTER_ATTEMPT,
    Reason.SUPPRESSED: Reason.SUPPRESSED_AFTER_ATTEMPT,
    Reason.SUBSCRIPTION_PAUSED: Reason.SUBSCRIPTION_PAUSED_AFTER_ATTEMPT,
    Reason.ERASED: Reason.ERASED_AFTER_ATTEMPT,
    Reason.NOT_ALLOWED: Reason.NOT_ALLOWED_AFTER_ATTEMPT,
    Reason.DELIVERED_AFTER_ALL: Reason.DELIVERED_AFTER_ALL,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipient:
    """One recipient of a batch. `skip_reason` is why they must not be mailed, None if they may."""

    delivery_pk: int
    address: str
    first_name: str = ""
    """As the subscriber gave it; empty for most."""
    subscription_key: uuid.UUID
    skip_reason: Reason | None


def deliveries_of(batch: Batch) -> QuerySet[Delivery]:
    """Every delivery of the batch, in the order of its payload."""
    owned = Delivery.objects.filter(pk__gte=batch.first_delivery, pk__lte=batch.last_delivery)
    return owned.alias(of=UNINDEXED_SEND).filter(of=batch.send_id).order_by("pk")


def recipients_of(batch: Batch, states: Sequence[str], now: datetime.datetime) -> list[Recipient]:
    """The recipients of the batch whose deliveries are in one of `states`; three queries, however many they are."""
    rows = list(deliveries_of(batch).filter(state__in=states).values_list("pk", "subscriber_id", "reason"))
    owned = {pk: subscriber_pk for pk, subscriber_pk, _reason in rows}
    delivered = {pk for pk, _subscriber, reason in rows if reason == Reason.DELIVERED_AFTER_ALL}
    found = _subscriptions(batch.edition.issue.newsletter_id, owned.values())
    suppressed = filter_suppressed({row.canonical for row in found.values()})
    recipients = [
        _recipient(found[subscriber_pk], delivery_pk, _skip_reason(found[subscriber_pk], suppressed, now))
        if subscriber_pk in found
        else Recipient(
            delivery_pk=delivery_pk, address="", subscription_key=uuid.UUID(int=0), skip_reason=Reason.ERASED
        )
        for delivery_pk, subscriber_pk in owned.items()
    ]
    if not delivered:
        return recipients
    skipped = Reason.DELIVERED_AFTER_ALL
    return [replace(row, skip_reason=skipped) if row.delivery_pk in delivered else row for row in recipients]


class SubscriptionRow(NamedTuple):
    """What a batch needs to know of one subscription: a plain row, since building two models per recipient costs more
    than all other work on them."""

    subscriber_pk: int
    state: str
    paused_until: datetime.datetime | None
    key: uuid.UUID
    address: str
    canonical: str
    first_name: str


def _subscriptions(list_pk: int, subscribers: Collection[int]) -> dict[int, SubscriptionRow]:
    """The subscriptions of these subscribers to the list, by the subscriber's primary key; one query."""
    rows = Subscription.objects.filter(mailing_list=list_pk, subscriber__in=subscribers).values_list(
        "subscriber_id",
        "state",
        "paused_until",
        "key",
        "subscriber__address",
        "subscriber__canonical",
        "subscriber__first_name",
    )
    return {row[0]: SubscriptionRow(*row) for row in rows}


def _recipient(row: SubscriptionRow, delivery_pk: int, skip_reason: Reason | None) -> Recipient:
    return Recipient(
        delivery_pk=delivery_pk,
        address=row.address,
        first_name=row.first_name,
        subscription_key=row.key,
        skip_reason=skip_reason,
    )


def as_recipient(subscription: Subscription) -> Recipient:
    """The subscriber as a recipient without a delivery, as previews show an issue to them."""
    return Recipient(
        delivery_pk=0,
        address=subscription.subscriber.address,
        first_name=subscription.subscriber.first_name,
        subscription_key=subscription.key,
        skip_reason=None,
    )


def _skip_reason(row: SubscriptionRow, suppressed: set[str], now: datetime.datetime) -> Reason | None:
    if not is_allowed_recipient(row.canonical):
        return Reason.NOT_ALLOWED
    if row.state == SubscriptionState.SUPPRESSED or row.canonical in suppressed:
        return Reason.SUPPRESSED
    if row.state != SubscriptionState.ACTIVE:
        return Reason.UNSUBSCRIBED
    return Reason.SUBSCRIPTION_PAUSED if row.paused_until and row.paused_until > now else None
