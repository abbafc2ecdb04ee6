"""Changes of address: asked on the preferences page, in force once both mailboxes have agreed.

request ──► confirm, by the new mailbox ──┐
   │                                      ├──► the address is changed
   ├──────► approve, by the old mailbox ──┘
   └──────► refuse, by either: “It was not me”

A personal link of a forwarded mail is enough to ask, so it must not be enough to take a subscription over.
"""

from __future__ import annotations

import datetime
import enum
import uuid
from dataclasses import dataclass

from django.db import IntegrityError, transaction
from django.utils import timezone

from subscribers.addresses import Address
from subscribers.consent.left_addresses import record_left_address
from subscribers.consent.tokens import (
    Purpose,
    approve_address_url,
    confirm_address_url,
    read_key,
    refuse_address_url,
    unsubscribe_url,
)
from subscribers.models import (
    ADDRESS_CHANGE_MACHINE,
    CHANGE_RETENTION,
    LIFTED_BY_CONFIRMATION,
    AddressChange,
    AddressChangeState,
    ChangeKind,
    ConsentForm,
    DataRequest,
    Evidence,
    Subscriber,
    Subscription,
    SubscriptionState,
    Suppression,
    TransactionalMailKind,
    fingerprint,
)
from subscribers.profile.history import record_changes
from subscribers.suppression import get_suppression, lift_suppressions
from subscribers.transactional.compose import enqueue_mail

#: The most requests of one subscriber, and for one new address, in a day: each sends two mails.
MAX_CHANGES_PER_DAY = 3

#: Which side a link belongs to, and what it stores.
AGREEMENTS = {Purpose.CONFIRM_ADDRESS: "new_confirmed_at", Purpose.APPROVE_ADDRESS: "old_approved_at"}


class ChangeStatus(enum.Enum):
    """What a genuine link in a mail about a change of address is worth now."""

    OPEN = "this mailbox can agree"
    WAITING = "this mailbox has agreed, the other one has not"
    DONE = "the address is changed"
    DECLINED = "“It was not me” was chosen"
    ENDED = "expired, replaced by a newer request, or not possible"


@dataclass(frozen=True, slots=True)
class ReadChange:
    """The change that a link belongs to."""

    change: AddressChange
    status: ChangeStatus


def request_change(key: uuid.UUID, address: Address) -> bool:
    """Ask both mailboxes. False if the subscription is not active, or there were too many requests.

    Does the same work for every new address, taken or not: only its owner learns that it is taken. An earlier
    request that is still open is replaced, and its links no longer work.
    """
    with transaction.atomic():
        subscription = _locked_subscription(key)
        if subscription is None or _is_limit_reached(subscription, address):
            return False
        earlier = AddressChange.objects.filter(subscriber=subscription.subscriber_id)
        ADDRESS_CHANGE_MACHINE.move(earlier, AddressChangeState.REPLACED, ended_at=timezone.now())
        change = AddressChange.objects.create(
            subscriber=subscription.subscriber,
            subscription=subscription,
            address=address.as_typed,
            canonical=address.canonical,
        )
        _write_to_new(change, is_taken=_is_taken(change))
        links = {"approve_url": approve_address_url(change.key), "refuse_url": refuse_address_url(change.key)}
        enqueue_mail(
            TransactionalMailKind.ADDRESS_APPROVE, subscription, links, one_click_url=unsubscribe_url(subscription.key)
        )
    return True


def _locked_subscription(key: uuid.UUID) -> Subscription | None:
    """The active subscription with this key. Its subscriber is locked, so that requests come one at a time."""
    active = Subscription.objects.with_key(key).filter(state=SubscriptionState.ACTIVE)
    subscription = active.select_related("subscriber", "mailing_list").first()
    if subscription:
        Subscriber.objects.select_for_update(no_key=True).get(pk=subscription.subscriber_id)
    return subscription


def _is_limit_reached(subscription: Subscription, address: Address) -> bool:
    today = AddressChange.objects.filter(requested_at__gt=timezone.now() - datetime.timedelta(days=1))
    counts = (
        today.filter(subscriber=subscription.subscriber_id).count(),
        today.filter(canonical=address.canonical).count(),
    )
    return max(counts) >= MAX_CHANGES_PER_DAY


def _is_taken(change: AddressChange) -> bool:
    return Subscriber.objects.filter(canonical=change.canonical).exclude(pk=change.subscriber_id).exists()


def _write_to_new(change: AddressChange, *, is_taken: bool) -> None:
    """The mail to the new address. It contains nothing about the subscriber, who may not be its owner."""
    refuse = refuse_address_url(change.key)
    kind = TransactionalMailKind.ADDRESS_TAKEN if is_taken else TransactionalMailKind.ADDRESS_CONFIRM
    links = {"confirm_url": confirm_address_url(change.key), "refuse_url": refuse}
    enqueue_mail(kind, change.subscription, links, one_click_url=refuse, recipient=change.address)


def read_change(purpose: Purpose, token: str) -> ReadChange | None:
    """The change that a link of this purpose belongs to. None if the link is forged or the change was deleted."""
    key = read_key(purpose, token)
    related = ("subscriber", "subscription__subscriber", "subscription__mailing_list")
    change = AddressChange.objects.filter(key=key).select_related(*related).first() if key else None
    return ReadChange(change, _status(change, purpose)) if change else None


def _status(change: AddressChange, purpose: Purpose) -> ChangeStatus:
    if change.state == AddressChangeState.DONE:
        return ChangeStatus.DONE
    if change.state == AddressChangeState.DECLINED:
        return ChangeStatus.DECLINED
    if change.state != AddressChangeState.OPEN or change.has_expired(timezone.now()):
        return ChangeStatus.ENDED
    agreed = purpose in AGREEMENTS and getattr(change, AGREEMENTS[purpose]) is not None
    return ChangeStatus.WAITING if agreed else ChangeStatus.OPEN


def agree(purpose: Purpose, token: str) -> ReadChange | None:
    """Store that the mailbox of this link agrees. The second of the two changes the address."""
    with transaction.atomic():
        read = _read_locked(purpose, token)
        if read is None or read.status is not ChangeStatus.OPEN:
            return read
        change, now = read.change, timezone.now()
        setattr(change, AGREEMENTS[purpose], now)
        change.save(update_fields=[AGREEMENTS[purpose]])
        if change.new_confirmed_at and change.old_approved_at:
            _change_address(change, now)
    return ReadChange(change, _status(change, purpose))


def _read_locked(purpose: Purpose, token: str) -> ReadChange | None:
    """The same as `read_change`, with subscriber and change locked: the two sides may press at the same moment."""
    read = read_change(purpose, token)
    if read is None:
        return None
    Subscriber.objects.select_for_update().filter(pk=read.change.subscriber_id).first()
    # “It was not me” locks the change only.
    AddressChange.objects.select_for_update().filter(pk=read.change.pk).first()
    return read_change(purpose, token)


def _change_address(change: AddressChange, now: datetime.datetime) -> None:
    """Give the subscriber the new address, unless it is taken or suppressed by now."""
    suppression = get_suppression(change.canonical)
    moved = 0
    if not _is_taken(change) and not (suppression and suppression.blocks_signup):
        moved = _update_unless_taken(change)
    if not moved:
        ADDRESS_CHANGE_MACHINE.move_row(change, AddressChangeState.REFUSED, ended_at=now)
        return
    ADDRESS_CHANGE_MACHINE.move_row(change, AddressChangeState.DONE, ended_at=now)
    # The mail arrived, so the mailbox exists.
    lifted = Suppression.objects.filter(fingerprint=fingerprint(change.canonical), reason__in=LIFTED_BY_CONFIRMATION)
    lift_suppressions(lifted, by="")
    # Their links went to the old mailbox.
    DataRequest.objects.filter(subscriber=change.subscriber_id, used_at__isnull=True).update(used_at=now)
    values = {"from": change.subscriber.address, "to": change.address}
    record_changes([change.subscription], ChangeKind.ADDRESS, values, by="")
    if change.subscriber.canonical != change.canonical:
        subscriptions = Subscription.objects.filter(subscriber=change.subscriber_id).select_related("mailing_list")
        record_left_address(change.subscriber, subscriptions, Evidence(form=ConsentForm.PREFERENCES))


def _update_unless_taken(change: AddressChange) -> int:
    """Of two transactions that store the same address at once, the unique constraint lets one through."""
    try:
        with transaction.atomic():
            return Subscriber.objects.filter(pk=change.subscriber_id).update(
                address=change.address, canonical=change.canonical
            )
    except IntegrityError:
        return 0


def refuse(token: str, purpose: Purpose) -> bool:
    """“It was not me”: end the change, and write no more mails to the new address for CHANGE_RETENTION.

    False if it was over before. A change that is done stays: the link of the old mailbox approved it. Each of the three
    links will do.
    """
    key = read_key(purpose, token)
    if key is None:
        return False
    rows = AddressChange.objects.filter(key=key)
    return bool(ADDRESS_CHANGE_MACHINE.move(rows, AddressChangeState.DECLINED, ended_at=timezone.now()))


def open_change(subscriber: Subscriber) -> AddressChange | None:
    """The change that waits for an agreement."""
    change = AddressChange.objects.filter(subscriber=subscriber, state=AddressChangeState.OPEN).first()
    return change if change and not change.has_expired(timezone.now()) else None


def delete_old_changes() -> None:
    """Delete changes after CHANGE_RETENTION: their new address may be that of a stranger."""
    old = AddressChange.objects.filter(requested_at__lt=timezone.now() - CHANGE_RETENTION)
    # The read keeps an idle worker from taking SQLite's one write lock.
    if old.exists():
        old.delete()
