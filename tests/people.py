"""Sample subscriptions with names, each in one well-known state.

Ada is active, Ben pending, Cleo unsubscribed, Dina suppressed after a complaint, Emil suppressed after a hard bounce,
Finn paused. Each function takes the mailing list; the default is Harbour Notes.
"""

from __future__ import annotations

import datetime
import uuid
from typing import Any

from django.utils import timezone

from subscribers.addresses import parse_address
from subscribers.models import (
    MailingList,
    Subscriber,
    Subscription,
    SubscriptionState,
    SuppressionReason,
)
from subscribers.suppression import suppress_addresses

ADA, BEN, CLEO = "ada@example.org", "ben@example.org", "cleo@example.org"
DINA, EMIL, FINN = "dina@example.org", "emil@example.org", "finn@example.org"


def make_mailing_list(slug: str = "harbour-notes", **fields: Any) -> MailingList:
    """The mailing list with this slug, created on the first call."""
    defaults = {
        "name": "Harbour Notes",
        "description": "Ten stories from the waterfront, every Tuesday morning.",
        "sender_name": "Harbour Notes",
        "sender_email": "notes@mail.example.org",
        "reply_to": "editors@example.org",
        "postal_address": "Harbour Notes, 4 Quay Street, 20457 Hamburg, Germany",
    }
    mailing_list, _ = MailingList.objects.get_or_create(slug=slug, defaults=defaults | fields)
    return mailing_list


def make_subscription(
    address: str,
    mailing_list: MailingList | None = None,
    *,
    state: SubscriptionState = SubscriptionState.ACTIVE,
    **fields: Any,
) -> Subscription:
    """A subscription in any state, without consents."""
    parsed = parse_address(address)
    subscriber, _ = Subscriber.objects.get_or_create(canonical=parsed.canonical, defaults={"address": parsed.as_typed})
    if state != SubscriptionState.PENDING:
        fields.setdefault("confirmed_at", timezone.now() - datetime.timedelta(days=30))
    return Subscription.objects.create(
        subscriber=subscriber, mailing_list=mailing_list or make_mailing_list(), state=state, **fields
    )


def ada(mailing_list: MailingList | None = None) -> Subscription:
    """Active."""
    return make_subscription(ADA, mailing_list)


def ben(mailing_list: MailingList | None = None) -> Subscription:
    """Pending: requested an hour ago."""
    requested = timezone.now() - datetime.timedelta(hours=1)
    return make_subscription(
        BEN, mailing_list, state=SubscriptionState.PENDING, requested_at=requested, request_number=1
    )


def cleo(mailing_list: MailingList | None = None) -> Subscription:
    """Unsubscribed."""
    return make_subscription(CLEO, mailing_list, state=SubscriptionState.UNSUBSCRIBED, ended_at=timezone.now())


def dina(mailing_list: MailingList | None = None) -> Subscription:
    """Suppressed after a complaint."""
    return _suppressed(make_subscription(DINA, mailing_list), SuppressionReason.COMPLAINT)


def emil(mailing_list: MailingList | None = None) -> Subscription:
    """Suppressed after a hard bounce."""
    return _suppressed(make_subscription(EMIL, mailing_list), SuppressionReason.HARD_BOUNCE)


def finn(mailing_list: MailingList | None = None) -> Subscription:
    """Active, and paused for two weeks."""
    return make_subscription(FINN, mailing_list, paused_until=timezone.now() + datetime.timedelta(weeks=2))


def make_subscriptions(count: int, mailing_list: MailingList | None = None) -> list[Subscription]:
    """`count` active subscriptions, of reader-1@example.org and so on, in three statements."""
    target, now = mailing_list or make_mailing_list(), timezone.now()
    addresses = [f"reader-{number}@example.org" for number in range(1, count + 1)]
    subscribers = Subscriber.objects.bulk_create(
        Subscriber(address=address, canonical=address) for address in addresses
    )
    return Subscription.objects.bulk_create(
        Subscription(
            mailing_list=target,
            subscriber=subscriber,
            key=uuid.uuid4(),
            state=SubscriptionState.ACTIVE,
            confirmed_at=now,
        )
        for subscriber in subscribers
    )


def _suppressed(subscription: Subscription, reason: SuppressionReason) -> Subscription:
    suppress_addresses({subscription.subscriber.canonical: (reason, "")})
    subscription.refresh_from_db()
    return subscription
