"""Adding one subscriber by hand: ask by a confirmation mail, or subscribe at once with a proof of consent."""

from __future__ import annotations

import enum

from django.db import transaction
from django.utils import timezone

from subscribers.addresses import Address
from subscribers.consent.double_opt_in import RequestResult, request_subscription
from subscribers.directory.proof import ProofKind
from subscribers.models import (
    ADDED,
    ConsentForm,
    ConsentKind,
    Evidence,
    MailingList,
    Subscriber,
    Subscription,
    SubscriptionState,
    record_consents,
    suppression_secret_differs,
)
from subscribers.suppression import SuppressionSecretDiffers, get_suppression


class Added(enum.Enum):
    """What became of the wish to add a subscriber. A “no” that is known always wins."""

    ACTIVE = "subscribed"
    CONFIRMATION = "asked by a confirmation mail"
    ALREADY = "already subscribed"
    PENDING = "waits for the subscriber's confirmation already"
    ENDED = "has unsubscribed or was suppressed on this list"
    SUPPRESSED = "the address is suppressed"
    DECLINED = "the subscriber chose “This was not me”"
    LIMIT_REACHED = "the limits on mails to one address are reached"


def add_with_confirmation(mailing_list: MailingList, address: Address, *, first_name: str, by: str) -> Added:
    """Send a confirmation mail; only the subscriber's click makes the subscription active."""
    existing = Subscription.objects.filter(mailing_list=mailing_list, subscriber__canonical=address.canonical).first()
    if existing and existing.state == SubscriptionState.ACTIVE:
        # The mail “You are already subscribed” is for those who filled in the form.
        return Added.ALREADY
    suppression = get_suppression(address.canonical)
    if suppression and suppression.blocks_signup:
        # After a complaint only the subscriber may ask, unless an editor lifts the suppression with a reason first.
        return Added.SUPPRESSED
    result = request_subscription(mailing_list, address, Evidence(form=ConsentForm.ADMIN, by=by))
    if result is RequestResult.CONFIRMATION:
        _fill_name(address, first_name)
    return {
        RequestResult.CONFIRMATION: Added.CONFIRMATION,
        RequestResult.ALREADY_SUBSCRIBED: Added.ALREADY,
        RequestResult.SUPPRESSED: Added.SUPPRESSED,
        RequestResult.ON_HOLD: Added.SUPPRESSED,
        RequestResult.DECLINED: Added.DECLINED,
        RequestResult.LIMIT_REACHED: Added.LIMIT_REACHED,
    }[result]


def add_with_proof(
    mailing_list: MailingList, address: Address, *, first_name: str, kind: ProofKind, statement: str, by: str
) -> Added:
    """Subscribe at once. `statement` – how the subscriber agreed, in words – is stored as the text of the consent.

    Raises SuppressionSecretDiffers.
    """
    if suppression_secret_differs():
        raise SuppressionSecretDiffers
    if get_suppression(address.canonical):
        return Added.SUPPRESSED
    with transaction.atomic():
        subscriber, _made = Subscriber.objects.get_or_create(
            canonical=address.canonical, defaults={"address": address.as_typed}
        )
        # In the same order as by a sign-up, so that the two cannot deadlock.
        subscriber = Subscriber.objects.select_for_update(no_key=True).get(pk=subscriber.pk)
        if subscriber.declined_at:
            return Added.DECLINED
        existing = Subscription.objects.filter(mailing_list=mailing_list, subscriber=subscriber).first()
        if existing:
            return BY_STATE[SubscriptionState(existing.state)]
        now = timezone.now()
        subscription = Subscription.objects.create(
            mailing_list=mailing_list,
            subscriber=subscriber,
            state=SubscriptionState.ACTIVE,
            created_at=now,
            confirmed_at=now,
            source=ADDED,
        )
        evidence = Evidence(form=ConsentForm.ADMIN, text=statement, by=by, detail=kind.value)
        record_consents(ConsentKind.IMPORTED, [subscription], evidence)
        _fill_name(address, first_name)
    return Added.ACTIVE


#: What is answered where there is a subscription: an editor changes none of them.
BY_STATE = {
    SubscriptionState.ACTIVE: Added.ALREADY,
    SubscriptionState.PENDING: Added.PENDING,
    SubscriptionState.UNSUBSCRIBED: Added.ENDED,
    SubscriptionState.SUPPRESSED: Added.ENDED,
}


def _fill_name(address: Address, first_name: str) -> None:
    """Store the name, unless the subscriber has one."""
    Subscriber.objects.filter(canonical=address.canonical, first_name="").update(first_name=first_name)
