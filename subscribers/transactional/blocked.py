"""Why a transactional mail should not be sent any more: asked before each attempt."""

from __future__ import annotations

from django.utils import timezone

from subscribers.addresses import parse_address
from subscribers.models import (
    DATA_REQUEST_LIFETIME,
    AddressChange,
    AddressChangeState,
    Subscriber,
    SubscriptionState,
    TransactionalMail,
)
from subscribers.models import TransactionalMailKind as Kind
from subscribers.models import TransactionalMailReason as Reason
from subscribers.suppression import get_suppression

#: Mails to an address that is not yet the subscriber's.
TO_NEW_ADDRESS = (Kind.ADDRESS_CONFIRM, Kind.ADDRESS_TAKEN)

#: Mails that belong to a change of address.
ABOUT_CHANGES = (*TO_NEW_ADDRESS, Kind.ADDRESS_APPROVE)


def blocked_reason(mail: TransactionalMail) -> Reason | None:
    """Why this mail should not be sent any more; None if it should be sent."""
    subscriber, is_to_new = mail.subscription.subscriber, mail.kind in TO_NEW_ADDRESS
    suppression = get_suppression(parse_address(mail.recipient).canonical if is_to_new else subscriber.canonical)
    if suppression and suppression.blocks_signup:
        return Reason.SUPPRESSED
    if not is_to_new and mail.recipient != subscriber.address:
        return Reason.ADDRESS_CHANGED
    if mail.kind == Kind.CONFIRMATION:
        return _nothing_to_confirm(mail)
    if mail.kind in (Kind.ACCESS, Kind.ERASE):
        return Reason.LINK_EXPIRED if timezone.now() - mail.created_at > DATA_REQUEST_LIFETIME else None
    if mail.subscription.state != SubscriptionState.ACTIVE:
        return Reason.NOT_SUBSCRIBED
    return _no_change_of_address(mail) if mail.kind in ABOUT_CHANGES else None


def _nothing_to_confirm(mail: TransactionalMail) -> Reason | None:
    subscription = mail.subscription
    if subscription.subscriber.declined_at:
        return Reason.DECLINED
    if subscription.state != SubscriptionState.PENDING:
        return Reason.NOTHING_TO_CONFIRM
    if subscription.requested_at and mail.created_at < subscription.requested_at:
        return Reason.SUPERSEDED
    return Reason.LINK_EXPIRED if subscription.request_has_expired(timezone.now()) else None


def _no_change_of_address(mail: TransactionalMail) -> Reason | None:
    """Each mail belongs to the last request before it was written."""
    changes = AddressChange.objects.filter(subscriber=mail.subscription.subscriber_id)
    change = changes.filter(requested_at__lte=mail.created_at).order_by("-pk").first()
    if change is None or change.has_expired(timezone.now()):
        return Reason.LINK_EXPIRED
    if change.state == AddressChangeState.REPLACED:
        return Reason.SUPERSEDED
    if change.state != AddressChangeState.OPEN:
        return Reason.NOTHING_TO_CONFIRM
    return Reason.DECLINED if mail.kind in TO_NEW_ADDRESS and _is_declined(change) else None


def _is_declined(change: AddressChange) -> bool:
    """Whether the owner of the new address said “This was not me” lately, here or after a sign-up."""
    declined_before = AddressChange.objects.filter(canonical=change.canonical, state=AddressChangeState.DECLINED)
    declined_signup = Subscriber.objects.filter(canonical=change.canonical, declined_at__isnull=False)
    return declined_before.exists() or declined_signup.exists()
