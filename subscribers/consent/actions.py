"""What subscribers and editors do with subscriptions: end, decline, pause, resume, and keep preferences."""

from __future__ import annotations

import datetime
import uuid
from collections.abc import Iterable

from django.db import transaction
from django.utils import timezone

from subscribers.models import (
    ConsentKind,
    Evidence,
    Subscriber,
    Subscription,
    SubscriptionQuerySet,
    change_subscriptions,
    move_subscriptions,
)
from subscribers.models import SubscriptionState as State

#: The lengths of a pause, in weeks.
PAUSES = (2, 4, 8)


def by_key(key: uuid.UUID) -> SubscriptionQuerySet:
    """The subscription with this key, if it exists."""
    return Subscription.objects.filter(key=key)


def unsubscribe(key: uuid.UUID, evidence: Evidence) -> bool:
    """End the subscription with this key at once. False if there was none to end; a repeat is harmless."""
    return unsubscribe_all(by_key(key), evidence) > 0


def unsubscribe_all(subscriptions: SubscriptionQuerySet, evidence: Evidence) -> int:
    """End these subscriptions and store a consent for each; how many were open."""
    now = timezone.now()
    return len(move_subscriptions(subscriptions, ConsentKind.UNSUBSCRIBED, evidence, ended_at=now, paused_until=None))


def decline(key: uuid.UUID, evidence: Evidence) -> None:
    """“This was not me”: end the request and send no more confirmation mails to this subscriber.

    Other lists stay as they are. If the subscription has become active, it is only unsubscribed.
    """
    with transaction.atomic():
        if unsubscribe_all(by_key(key).filter(state=State.ACTIVE), evidence):
            return
        now = timezone.now()
        move_subscriptions(by_key(key), ConsentKind.DECLINED, evidence, ended_at=now)
        Subscriber.objects.filter(subscriptions__key=key, declined_at__isnull=True).update(declined_at=now)


def allow_signups_again(subscriber_keys: Iterable[int]) -> int:
    """Allow confirmation mails to these subscribers again, after “This was not me” or too many unanswered mails.

    Returns how many subscribers that were.
    """
    subscribers = Subscriber.objects.filter(pk__in=list(subscriber_keys))
    return subscribers.update(declined_at=None, signups_allowed_at=timezone.now())


def pause(key: uuid.UUID, weeks: int, evidence: Evidence) -> bool:
    """Skip issues for 2, 4 or 8 weeks from now. False if the subscription is not active."""
    if weeks not in PAUSES:
        raise ValueError(f"A pause lasts {PAUSES} weeks, not {weeks}.")
    until = timezone.now() + datetime.timedelta(weeks=weeks)
    active = by_key(key).filter(state=State.ACTIVE)
    return bool(change_subscriptions(active, ConsentKind.PAUSED, evidence, paused_until=until))


def resume(key: uuid.UUID, evidence: Evidence) -> bool:
    """End a pause. False if there was none."""
    paused = by_key(key).filter(state=State.ACTIVE, paused_until__isnull=False)
    return bool(change_subscriptions(paused, ConsentKind.RESUMED, evidence, paused_until=None))


def keep_first_name(key: uuid.UUID, first_name: str) -> bool:
    """Store the first name that the subscriber entered; empty removes it. False if the subscriber no longer exists.

    A name is neither proof nor consent, so no consent is stored and no log contains it.
    """
    subscriber = Subscriber.objects.filter(subscriptions__key=key)
    return bool(subscriber.update(first_name=first_name))


def keep_time_zone(key: uuid.UUID, time_zone: str) -> bool:
    """Store the time zone that the subscriber chose; empty removes it. False if the subscriber no longer exists."""
    subscriber = Subscriber.objects.filter(subscriptions__key=key)
    return bool(subscriber.update(time_zone=time_zone))
