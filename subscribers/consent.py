"""What readers can do with their membership, each with its proof.

    request ──► confirm ──► pause, resume          unsubscribe ──► request again (a new consent is a new way in)
       └──────► decline: “this was not me”

The arrows themselves stand in `transitions.ARROWS`.
"""

from __future__ import annotations

import datetime
import enum
import uuid
from collections.abc import Iterable
from dataclasses import dataclass

from django.db import transaction
from django.utils import timezone

from subscribers.addresses import Address
from subscribers.fingerprints import fingerprint
from subscribers.models import (
    LIFTED_BY_CONFIRMATION,
    ConsentKind,
    MailingList,
    Notice,
    NoticeKind,
    NoticeState,
    Subscriber,
    Subscription,
    SubscriptionQuerySet,
    Suppression,
)
from subscribers.models import SubscriptionState as State
from subscribers.notices import write_already_subscribed, write_confirmation
from subscribers.suppression import suppression_of
from subscribers.tokens import ConfirmationToken
from subscribers.transitions import Evidence, move, record_consents

#: Most mails that anybody can make us send to an address by typing it into a form (R-38).
CONFIRMATIONS_A_DAY, CONFIRMATIONS_WITHOUT_ANSWER, ALREADY_SUBSCRIBED_A_DAY = 3, 5, 1
DAY = datetime.timedelta(days=1)
#: For how many weeks a reader may pause.
PAUSES = (2, 4, 8)


class Asked(enum.Enum):
    """What a request led to. For logs and tests: whoever asked must not be able to tell (R-37)."""

    CONFIRMATION = "a mail with a link to confirm"
    ALREADY_SUBSCRIBED = "a mail that says that they read already"
    SUPPRESSED = "nothing: the address must not be mailed"
    DECLINED = "nothing: the person said that it was not them"
    ENOUGH = "nothing: they have had as many mails as anybody may cause"


# --- Asking --------------------------------------------------------------------------------------------------------


def request_subscription(mailing_list: MailingList, address: Address, evidence: Evidence) -> Asked:
    """Ask the person behind an address by mail whether they want the list; never makes anybody active.

    Nobody is written down who must not be mailed, and nobody gets more mails than the caps allow.
    """
    if _is_barred(address.canonical):
        return Asked.SUPPRESSED
    if Subscriber.objects.filter(canonical=address.canonical, declined_at__isnull=False).exists():
        return Asked.DECLINED
    with transaction.atomic():
        membership = _membership(mailing_list, address)
        asked = _verdict(membership)
        if asked is Asked.ALREADY_SUBSCRIBED:
            notice = write_already_subscribed(membership)
            record_consents(ConsentKind.REQUESTED, [membership], evidence, notice=notice)
        elif asked is Asked.CONFIRMATION:
            _ask(membership, evidence)
    return asked


def request_again(key: uuid.UUID, evidence: Evidence) -> bool:
    """Ask anew by a link from a mail: after an unsubscribe, a decline or an expired request. False if it is gone.

    Whoever holds such a link reads the mailbox, so a block by “this was not me” is taken off; nothing else follows
    without a fresh confirmation (R-54).
    """
    membership = _known(key).select_related("subscriber", "mailing_list").first()
    if membership is None:
        return False
    subscriber = membership.subscriber
    with transaction.atomic():
        Subscriber.objects.filter(pk=subscriber.pk, declined_at__isnull=False).update(declined_at=None)
        address = Address(as_given=subscriber.address, canonical=subscriber.canonical)
        request_subscription(membership.mailing_list, address, evidence)
    return True


def _is_barred(canonical: str) -> bool:
    """Whether something stands against this address that a fresh confirmation does not lift."""
    suppression = suppression_of(canonical)
    return suppression is not None and suppression.reason not in LIFTED_BY_CONFIRMATION


def _membership(mailing_list: MailingList, address: Address) -> Subscription:
    """The membership of this address, made if it is missing, and locked: the caps count under the lock."""
    subscriber, _ = Subscriber.objects.get_or_create(
        canonical=address.canonical, defaults={"address": address.as_given}
    )
    Subscription.objects.get_or_create(mailing_list=mailing_list, subscriber=subscriber)
    return (
        Subscription.objects.select_related("subscriber", "mailing_list")
        .select_for_update(of=("self",))
        .get(mailing_list=mailing_list, subscriber=subscriber)
    )


def _verdict(membership: Subscription) -> Asked:
    """Which mail a request for this membership may cause; ENOUGH for none."""
    is_active = membership.state == State.ACTIVE
    kind = NoticeKind.ALREADY_SUBSCRIBED if is_active else NoticeKind.CONFIRMATION
    # A mail that the provider refused reached nobody: a fault of ours must not bar anybody.
    earlier = Notice.objects.filter(subscription=membership, kind=kind).exclude(state=NoticeState.FAILED)
    today = earlier.filter(created_at__gt=timezone.now() - DAY).count()
    if is_active:
        return Asked.ALREADY_SUBSCRIBED if today < ALREADY_SUBSCRIBED_A_DAY else Asked.ENOUGH
    since = max(
        membership.confirmed_at or membership.created_at,
        membership.subscriber.signups_allowed_at or membership.created_at,
    )
    unanswered = earlier.filter(created_at__gte=since).count()
    if today >= CONFIRMATIONS_A_DAY or unanswered >= CONFIRMATIONS_WITHOUT_ANSWER:
        return Asked.ENOUGH
    return Asked.CONFIRMATION


def _ask(membership: Subscription, evidence: Evidence) -> None:
    """Write the mail that asks, and move to waiting. A request that still runs goes on, so that any of its mails works;
    after one that ended or expired a new number makes the old links void."""
    now = timezone.now()
    runs = membership.state == State.PENDING and not membership.request_has_expired(now)
    membership.request_number += 0 if runs else 1
    notice = write_confirmation(membership)
    move(
        Subscription.objects.filter(pk=membership.pk),
        ConsentKind.REQUESTED,
        evidence,
        notice=notice,
        requested_at=now,
        request_number=membership.request_number,
        ended_at=None,
    )


# --- Confirming ----------------------------------------------------------------------------------------------------


class ConfirmationStatus(enum.Enum):
    """What a genuine confirmation link stands for now."""

    OPEN = "may be confirmed"
    DONE = "is confirmed already"
    EXPIRED = "was not confirmed in time"
    ENDED = "was followed by an unsubscribe or a newer request"
    GONE = "belongs to nobody any more"


@dataclass(frozen=True, slots=True)
class Confirmation:
    """A confirmation link, read: where it stands, and whose it is."""

    status: ConfirmationStatus
    membership: Subscription | None


def read_request(token: ConfirmationToken) -> Confirmation:
    """Where the request of a genuine link stands. Changes nothing."""
    membership = _known(token.key).select_related("subscriber", "mailing_list").first()
    if membership is None:
        return Confirmation(ConfirmationStatus.GONE, None)
    return Confirmation(_status(membership, token.request_number), membership)


def _status(membership: Subscription, request_number: int) -> ConfirmationStatus:
    if membership.state == State.ACTIVE:
        return ConfirmationStatus.DONE
    if membership.state != State.PENDING or membership.request_number != request_number:
        return ConfirmationStatus.ENDED
    if membership.request_has_expired(timezone.now()):
        return ConfirmationStatus.EXPIRED
    return ConfirmationStatus.OPEN


def confirm(token: ConfirmationToken, evidence: Evidence) -> Confirmation:
    """Make the person of an open request active. OPEN in the answer means that it happened now; else nothing did.

    A hard bounce of earlier days is lifted: the mail arrived. What lasts – a complaint – keeps them out (R-54).
    """
    with transaction.atomic():
        confirmation = read_request(token)
        if confirmation.membership is None or confirmation.status is not ConfirmationStatus.OPEN:
            return confirmation
        subscriber = confirmation.membership.subscriber
        if _is_barred(subscriber.canonical):
            return Confirmation(ConfirmationStatus.ENDED, confirmation.membership)
        moved = move(
            _known(token.key).filter(request_number=token.request_number),
            ConsentKind.CONFIRMED,
            evidence,
            notice=_last_confirmation(confirmation.membership),
            confirmed_at=timezone.now(),
            ended_at=None,
            paused_until=None,
        )
        if not moved:  # the other of two clicks was first
            return read_request(token)
        Suppression.objects.filter(
            fingerprint=fingerprint(subscriber.canonical), reason__in=LIFTED_BY_CONFIRMATION
        ).delete()
    return confirmation


def _last_confirmation(membership: Subscription) -> Notice | None:
    return Notice.objects.filter(subscription=membership, kind=NoticeKind.CONFIRMATION).order_by("-pk").first()


# --- Leaving -------------------------------------------------------------------------------------------------------


def unsubscribe(key: uuid.UUID, evidence: Evidence) -> bool:
    """End the membership with this key, at once (R-10). False if there was nothing to end; repeating is harmless."""
    return unsubscribe_all(_known(key), evidence) > 0


def unsubscribe_all(memberships: SubscriptionQuerySet, evidence: Evidence) -> int:
    """End these memberships, each with its proof; how many there were to end."""
    now = timezone.now()
    return len(move(memberships, ConsentKind.UNSUBSCRIBED, evidence, ended_at=now, paused_until=None))


def allow_signups_again(subscriber_keys: Iterable[int]) -> int:
    """Let confirmation mails go to these people again: after “this was not me”, and after too many without an answer.

    How many people that were.
    """
    people = Subscriber.objects.filter(pk__in=list(subscriber_keys))
    return people.update(declined_at=None, signups_allowed_at=timezone.now())


def decline(key: uuid.UUID, evidence: Evidence) -> None:
    """“This was not me”: end the request, and let nobody cause confirmation mails to this person again (R-12).

    Lists that they read are left alone, but for this one: who reads it by now is unsubscribed, and no more.
    """
    with transaction.atomic():
        if unsubscribe_all(_known(key).filter(state=State.ACTIVE), evidence):
            return
        now = timezone.now()
        move(_known(key), ConsentKind.DECLINED, evidence, ended_at=now)
        Subscriber.objects.filter(subscriptions__key=key, declined_at__isnull=True).update(declined_at=now)


# --- Resting -------------------------------------------------------------------------------------------------------


def pause(key: uuid.UUID, weeks: int, evidence: Evidence) -> bool:
    """Let issues pass this reader by for 2, 4 or 8 weeks from now. False if they are no reader."""
    if weeks not in PAUSES:
        raise ValueError(f"A pause lasts {PAUSES} weeks, not {weeks}.")
    until = timezone.now() + datetime.timedelta(weeks=weeks)
    return bool(move(_known(key), ConsentKind.PAUSED, evidence, paused_until=until))


def resume(key: uuid.UUID, evidence: Evidence) -> bool:
    """End a pause. False if there was none."""
    paused = _known(key).filter(paused_until__isnull=False)
    return bool(move(paused, ConsentKind.RESUMED, evidence, paused_until=None))


def keep_first_name(key: uuid.UUID, first_name: str) -> bool:
    """Keep the name that the reader gave; an empty one takes the old one away. False if they are gone.

    It proves nothing and asks for nothing, so no consent is written, and no log names it.
    """
    person = Subscriber.objects.filter(subscriptions__key=key)
    return bool(person.update(first_name=first_name))


def keep_time_zone(key: uuid.UUID, time_zone: str) -> bool:
    """Keep where the reader said they are; an empty one takes the old one away. False if they are gone."""
    person = Subscriber.objects.filter(subscriptions__key=key)
    return bool(person.update(time_zone=time_zone))


def _known(key: uuid.UUID) -> SubscriptionQuerySet:
    return Subscription.objects.filter(key=key)
