"""What subscribers and editors do with subscriptions: end, decline, pause and resume."""

from __future__ import annotations

import datetime
import enum
import uuid
from collections.abc import Iterable

from django.db import transaction
from django.db.models import F, Q
from django.utils import timezone

from subscribers.models import (
    Change,
    ChangeKind,
    ConsentKind,
    Evidence,
    Signup,
    SignupState,
    Subscriber,
    Subscription,
    SubscriptionQuerySet,
    move_subscriptions,
    update_subscriptions,
)
from subscribers.models import SubscriptionState as State
from subscribers.models.signup import SignupQuerySet

#: Rows per statement: far below SQLite's limit of parameters.
CHUNK = 500

#: The lengths of a pause, in weeks.
PAUSE_WEEKS = (2, 4, 8)


def joined_key(key: uuid.UUID) -> uuid.UUID:
    """The key of the subscription that this one was joined with, when its address was merged into another; else `key`.

    One that was confirmed again after the merge stands for itself.
    """
    seen = {key}
    while change := _merge_of(key):
        same_list = Subscription.objects.with_key(key).values("mailing_list")
        joined = Subscription.objects.filter(subscriber=change.values["into"], mailing_list__in=same_list)
        found = joined.exclude(key__in=seen).values_list("key", flat=True).first()
        if found is None:
            break
        key = found
        seen.add(key)
    return key


def _merge_of(key: uuid.UUID) -> Change | None:
    """The merge that ended the subscription with this key, if nothing began it anew."""
    merges = Change.objects.filter(
        Q(subscription__confirmed_at__isnull=True) | Q(subscription__confirmed_at__lte=F("created_at")),
        subscription__key=key,
        kind=ChangeKind.MERGED,
        values__into__isnull=False,
    )
    ended = merges.exclude(subscription__state__in=(State.PENDING, State.ACTIVE))
    return ended.order_by("-pk").first()


def unsubscribe(key: uuid.UUID, evidence: Evidence) -> bool:
    """End the subscription with this key at once. False if there was none to end; a repeat is harmless.

    If it has ended before, a request that waits to be answered is withdrawn: it is older than this.
    """
    subscription = Subscription.objects.with_key(key)
    with transaction.atomic():
        has_ended = unsubscribe_all(subscription, evidence) > 0
        if not has_ended:
            lists = subscription.values("mailing_list")
            _waiting_signups(subscription).filter(mailing_list__in=lists).delete()
    return has_ended


def unsubscribe_everywhere(key: uuid.UUID, evidence: Evidence) -> int:
    """End all subscriptions of the subscriber who has the one with this key, on every list; how many.

    Requests that wait to be answered are withdrawn.
    """
    subscription = Subscription.objects.with_key(key)
    with transaction.atomic():
        _waiting_signups(subscription).delete()
        subscribers = subscription.values("subscriber")
        return unsubscribe_all(Subscription.objects.filter(subscriber__in=subscribers), evidence)


def _waiting_signups(subscriptions: SubscriptionQuerySet) -> SignupQuerySet:
    """Sign-ups with the address of this subscription that wait: for the worker, an editor or the end of a hold."""
    canonical = subscriptions.values_list("subscriber__canonical", flat=True).first()
    return Signup.objects.filter(address__iexact=canonical or "", state__in=(SignupState.WAITING, SignupState.HELD))


def unsubscribe_all(subscriptions: SubscriptionQuerySet, evidence: Evidence) -> int:
    """End these subscriptions and store a consent for each. Returns how many were open."""
    now = timezone.now()
    return move_subscriptions(subscriptions, ConsentKind.UNSUBSCRIBED, evidence, ended_at=now, paused_until=None)


class DeclineResult(enum.Enum):
    """What a subscription is after “This was not me”."""

    DECLINED = "ended, and its subscriber gets no more confirmation mails"
    UNSUBSCRIBED = "ended; confirmation mails are still allowed, because it was confirmed"
    GONE = "deleted, so that nothing could be stored"


def decline(key: uuid.UUID, evidence: Evidence) -> DeclineResult:
    """“This was not me”: end the request and send no more confirmation mails to this subscriber.

    Other lists stay as they are. An active subscription, or an ended one that was confirmed once, is at most
    unsubscribed. A repeat changes nothing and returns the same.
    """
    with transaction.atomic():
        # Locked in the same order as by a request, so that the two cannot deadlock. A confirmation locks only the
        # subscription, and waits for that lock.
        rows = Subscriber.objects.select_for_update(of=("self",), no_key=True).filter(subscriptions__key=key)
        subscriber = rows.first()
        subscription = Subscription.objects.with_key(key)
        if subscriber is None or subscription.select_for_update().first() is None:
            return DeclineResult.GONE
        now = timezone.now()
        if not unsubscribe_all(subscription.filter(state=State.ACTIVE), evidence):
            was_pending = move_subscriptions(subscription, ConsentKind.DECLINED, evidence, ended_at=now)
            if was_pending or not subscription.filter(confirmed_at__isnull=False).exists():
                Subscriber.objects.filter(pk=subscriber.pk, declined_at__isnull=True).update(declined_at=now)
                return DeclineResult.DECLINED
        return DeclineResult.DECLINED if subscriber.declined_at else DeclineResult.UNSUBSCRIBED


def allow_signups_again(subscriber_pks: Iterable[int]) -> int:
    """Allow confirmation mails to these subscribers again, after “This was not me” or too many unanswered mails.

    Returns the count.
    """
    pks, now = list(subscriber_pks), timezone.now()
    chunks = [pks[start : start + CHUNK] for start in range(0, len(pks), CHUNK)]
    with transaction.atomic():
        return sum(
            Subscriber.objects.filter(pk__in=chunk).update(declined_at=None, signups_allowed_at=now) for chunk in chunks
        )


def pause(key: uuid.UUID, weeks: int, evidence: Evidence) -> bool:
    """Skip issues for 2, 4 or 8 weeks from now. False if the subscription is not active."""
    if weeks not in PAUSE_WEEKS:
        raise ValueError(f"A pause lasts {PAUSE_WEEKS} weeks, not {weeks}.")
    until = timezone.now() + datetime.timedelta(weeks=weeks)
    active = Subscription.objects.with_key(key).filter(state=State.ACTIVE)
    return bool(update_subscriptions(active, ConsentKind.PAUSED, evidence, paused_until=until))


def resume(key: uuid.UUID, evidence: Evidence) -> bool:
    """End a pause. False if there was none."""
    paused = Subscription.objects.with_key(key).filter(state=State.ACTIVE, paused_until__isnull=False)
    return bool(update_subscriptions(paused, ConsentKind.RESUMED, evidence, paused_until=None))
