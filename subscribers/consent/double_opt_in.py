"""Requests to subscribe, and their confirmation by mail.

request ──► confirm
   └──────► decline: “This was not me”
"""

from __future__ import annotations

import datetime
import enum
import logging
import uuid
from collections.abc import Collection, Mapping
from dataclasses import asdict, dataclass, replace

from django.db import IntegrityError, transaction
from django.db.models import Max
from django.utils import timezone

from subscribers.addresses import Address, parse_address
from subscribers.consent.tokens import (
    ConfirmationToken,
    confirm_url,
    decline_url,
    preferences_url,
    unsubscribe_url,
)
from subscribers.models import (
    BOUNCED,
    CONFIRMED,
    CONFIRMED_AFTER_HOLD,
    LIFTED_BY_CONFIRMATION,
    REQUESTED,
    ConsentKind,
    CustomField,
    DecisionReason,
    Evidence,
    MailingList,
    Signup,
    SignupAnswers,
    Subscriber,
    Subscription,
    Suppression,
    SuppressionReason,
    TransactionalMail,
    TransactionalMailKind,
    TransactionalMailState,
    add_to_counters,
    fingerprint,
    move_subscriptions,
    record_consents,
    update_subscriptions,
)
from subscribers.models import SubscriptionState as State
from subscribers.profile.fields import FieldValueError, Value, chosen_options, fields_of, parse_value, set_values
from subscribers.suppression import (
    blocks_confirmation,
    get_suppression,
    hold_end,
    lift_suppressions,
    notify_lifted,
)
from subscribers.transactional.compose import enqueue_mail

log = logging.getLogger(__name__)

#: The most mails that sign-ups can cause to one address, of any visitor and for all lists together.
MAX_CONFIRMATIONS_PER_DAY, MAX_UNANSWERED_CONFIRMATIONS, MAX_ALREADY_SUBSCRIBED_PER_DAY = 3, 5, 1
DAY = datetime.timedelta(days=1)

#: Why a provider refuses to deliver to an address whose confirmation would lift the suppression.
LISTED_BY_PROVIDERS = (*BOUNCED, SuppressionReason.COMPLAINT)
#: How long a mail to such an address waits: the provider may first have to be told to deliver it.
PROVIDER_DELAY = datetime.timedelta(minutes=10)


class RequestResult(enum.Enum):
    """What a request led to. For logs and tests only: a page must not show who is subscribed."""

    CONFIRMATION = "a confirmation mail"
    ALREADY_SUBSCRIBED = "a mail that says that the address is subscribed"
    SUPPRESSED = "nothing: the address is suppressed"
    ON_HOLD = "nothing yet: the address complained about spam less than 30 days ago"
    DECLINED = "nothing: the subscriber chose “This was not me”"
    LIMIT_REACHED = "nothing: the limits on mails to one address are reached"

    @property
    def code(self) -> str:
        """For logs."""
        return self.name.lower()


def request_subscription(
    mailing_list: MailingList,
    address: Address,
    evidence: Evidence,
    *,
    source: str = "",
    answers: Mapping[str, str | list[str]] | None = None,
) -> RequestResult:
    """Ask the owner of an address by mail to confirm. Only the confirmation makes the subscription active.

    A suppressed or declined address is not stored and gets no mail; with ON_HOLD the caller keeps the request.
    `answers` to custom fields by key, as text or as the chosen options, become values with the confirmation. `source`
    is stored unless it was confirmed before.
    """
    if blocks_confirmation(address.canonical):
        return RequestResult.ON_HOLD if hold_end(address.canonical) else RequestResult.SUPPRESSED
    if Subscriber.objects.filter(canonical=address.canonical, declined_at__isnull=False).exists():
        return RequestResult.DECLINED
    with transaction.atomic():
        subscription = _locked_subscription(mailing_list, address)
        if subscription.subscriber.declined_at:
            # Declined since it was looked up above, while this waited for the lock.
            return RequestResult.DECLINED
        result = _result_within_limits(subscription)
        if result is RequestResult.ALREADY_SUBSCRIBED:
            mail = _write_already_subscribed(subscription)
            record_consents(ConsentKind.REQUESTED, [subscription], evidence, mail=mail)
        elif result is RequestResult.CONFIRMATION:
            _ask_for_confirmation(subscription, evidence, source)
            _keep_answers(subscription, answers or {})
    return result


def request_or_hold(mailing_list: MailingList, address: Address, evidence: Evidence) -> RequestResult:
    """The same for a request that is no sign-up: while a complaint holds it, it is kept as a sign-up that waits."""
    result = request_subscription(mailing_list, address, evidence)
    if result is RequestResult.ON_HOLD:
        kept = asdict(replace(evidence, at=None))
        keep_on_hold(Signup(mailing_list=mailing_list, address=address.as_typed, evidence=kept), address)
    return result


def keep_on_hold(signup: Signup, address: Address) -> bool:
    """Let this sign-up, stored or not, wait until the complaint’s hold ends. False if the same one waits already."""
    end = hold_end(address.canonical)
    signup.reason, signup.due_at = DecisionReason.COMPLAINT, end or timezone.now()
    try:
        with transaction.atomic():
            signup.save()
    except IntegrityError:
        return False
    return True


def end_holds(fingerprints: Collection[str]) -> None:
    """Let the worker process the sign-ups of these addresses now: their suppression was lifted."""
    now = timezone.now()
    waiting = Signup.objects.on_hold().filter(due_at__gt=now).values_list("pk", "address")
    keys = [pk for pk, address in waiting if fingerprint(parse_address(address).canonical) in fingerprints]
    if keys:
        Signup.objects.on_hold().filter(pk__in=keys).update(due_at=now)


def request_again(key: uuid.UUID, evidence: Evidence) -> None:
    """Ask again by a link from a mail, after an unsubscribe, a decline or an expired request.

    The link proves access to the mailbox, so “This was not me” is taken back; all else needs a new confirmation.
    Does nothing if the subscription no longer exists.
    """
    subscription = Subscription.objects.with_key(key).select_related("subscriber", "mailing_list").first()
    if subscription is None:
        return
    subscriber = subscription.subscriber
    with transaction.atomic():
        Subscriber.objects.filter(pk=subscriber.pk, declined_at__isnull=False).update(declined_at=None)
        address = Address(as_typed=subscriber.address, canonical=subscriber.canonical)
        request_or_hold(subscription.mailing_list, address, evidence)


def _locked_subscription(mailing_list: MailingList, address: Address) -> Subscription:
    """The subscription of this address, created if missing. Locked together with its subscriber.

    The lock of the subscriber makes mails be counted one request at a time, on whichever lists they are.
    """
    subscriber, _ = Subscriber.objects.get_or_create(
        canonical=address.canonical, defaults={"address": address.as_typed}
    )
    # `no_key`: an import may add subscriptions of this subscriber meanwhile.
    Subscriber.objects.select_for_update(no_key=True).get(pk=subscriber.pk)
    Subscription.objects.get_or_create(mailing_list=mailing_list, subscriber=subscriber)
    return (
        Subscription.objects.select_related("subscriber", "mailing_list")
        .select_for_update(of=("self",))
        .get(mailing_list=mailing_list, subscriber=subscriber)
    )


def _result_within_limits(subscription: Subscription) -> RequestResult:
    """The mail that a request for this subscription may cause, within the limits."""
    subscriber, is_active = subscription.subscriber, subscription.state == State.ACTIVE
    kind = TransactionalMailKind.ALREADY_SUBSCRIBED if is_active else TransactionalMailKind.CONFIRMATION
    # Neither a refused nor a withdrawn mail reached the subscriber.
    earlier = TransactionalMail.objects.filter(subscription__subscriber=subscriber, kind=kind).exclude(
        state__in=(TransactionalMailState.FAILED, TransactionalMailState.WITHDRAWN)
    )
    today = earlier.filter(created_at__gt=timezone.now() - DAY).count()
    if is_active:
        within_limit = today < MAX_ALREADY_SUBSCRIBED_PER_DAY
        return RequestResult.ALREADY_SUBSCRIBED if within_limit else RequestResult.LIMIT_REACHED
    confirmed_at = subscriber.subscriptions.aggregate(last=Max("confirmed_at"))["last"]
    since = max(filter(None, (subscriber.created_at, confirmed_at, subscriber.signups_allowed_at)))
    unanswered = earlier.filter(created_at__gte=since).count()
    if today >= MAX_CONFIRMATIONS_PER_DAY or unanswered >= MAX_UNANSWERED_CONFIRMATIONS:
        return RequestResult.LIMIT_REACHED
    return RequestResult.CONFIRMATION


def _ask_for_confirmation(subscription: Subscription, evidence: Evidence, source: str) -> None:
    """Write the confirmation mail and make the subscription pending.

    While a request is open it keeps its number, so that the link of each of its mails works. After it has ended or
    expired, a new number makes the old links invalid.
    """
    now = timezone.now()
    is_pending = subscription.state == State.PENDING
    # A subscription is pending before its first request, too.
    is_new = not is_pending or subscription.request_has_expired(now)
    if is_new:
        subscription.request_number += 1
    if source and subscription.confirmed_at is None:
        subscription.source = source
    step = update_subscriptions if is_pending else move_subscriptions
    step(
        Subscription.objects.filter(pk=subscription.pk),
        ConsentKind.REQUESTED,
        evidence,
        mail=_write_confirmation(subscription),
        requested_at=now,
        request_number=subscription.request_number,
        source=subscription.source,
        ended_at=None,
    )
    if is_new:
        add_to_counters([(REQUESTED, str(subscription.mailing_list_id))], now.timestamp())
    suppression = get_suppression(subscription.subscriber.canonical)
    if suppression is not None and suppression.reason in LISTED_BY_PROVIDERS:
        # The provider keeps a list of its own, and would not deliver this mail.
        notify_lifted([fingerprint(subscription.subscriber.canonical)])
        mails = TransactionalMail.objects.filter(subscription=subscription, kind=TransactionalMailKind.CONFIRMATION)
        mails.filter(state=TransactionalMailState.PENDING).update(not_before=now + PROVIDER_DELAY)


def _keep_answers(subscription: Subscription, answers: Mapping[str, str | list[str]]) -> None:
    """Keep what the form was answered until the owner of the address confirms; the last form with answers counts."""
    if answers:
        SignupAnswers.objects.update_or_create(subscription=subscription, defaults={"values": dict(answers)})


def _apply_answers(subscription: Subscription) -> None:
    """Store the kept answers as values. An answer that no longer fits its field is dropped."""
    kept = SignupAnswers.objects.filter(subscription=subscription).first()
    if kept is None:
        return
    values: dict[CustomField, Value] = {}
    for key, field in fields_of(subscription.mailing_list).items():
        if answer := kept.values.get(key):
            try:
                is_several = isinstance(answer, list)
                values[field] = chosen_options(field, answer) if is_several else parse_value(field, answer)
            except FieldValueError:
                log.warning("An answer of the sign-up form no longer fits", extra={"field": key})
    set_values(subscription, values)
    kept.delete()


def _write_confirmation(subscription: Subscription) -> TransactionalMail:
    """The confirmation mail. Its one-click unsubscribe declines the request."""
    decline = decline_url(subscription.key)
    links = {"confirm_url": confirm_url(subscription.key, subscription.request_number), "decline_url": decline}
    return enqueue_mail(TransactionalMailKind.CONFIRMATION, subscription, links, one_click_url=decline)


def _write_already_subscribed(subscription: Subscription) -> TransactionalMail:
    """The answer to a sign-up with a subscribed address: only its owner learns that it is subscribed."""
    unsubscribe = unsubscribe_url(subscription.key)
    links = {"unsubscribe_url": unsubscribe, "preferences_url": preferences_url(subscription.key)}
    return enqueue_mail(TransactionalMailKind.ALREADY_SUBSCRIBED, subscription, links, one_click_url=unsubscribe)


class ConfirmationStatus(enum.Enum):
    """What a genuine confirmation link is worth now."""

    OPEN = "can be confirmed"
    CONFIRMED = "was confirmed by this call"
    DONE = "is already confirmed"
    EXPIRED = "was not confirmed in time"
    ENDED = "was ended, or replaced by a request after it had ended or expired"
    GONE = "its subscription no longer exists"


@dataclass(frozen=True, slots=True)
class Confirmation:
    """The request that a confirmation link belongs to."""

    status: ConfirmationStatus
    subscription: Subscription | None


def read_request(token: ConfirmationToken) -> Confirmation:
    """The status of the request. Changes nothing."""
    subscription = Subscription.objects.with_key(token.key).select_related("subscriber", "mailing_list").first()
    if subscription is None:
        return Confirmation(ConfirmationStatus.GONE, None)
    return Confirmation(_status(subscription, token.request_number), subscription)


def _status(subscription: Subscription, request_number: int) -> ConfirmationStatus:
    if subscription.state == State.ACTIVE:
        return ConfirmationStatus.DONE
    if subscription.state != State.PENDING or subscription.request_number != request_number:
        return ConfirmationStatus.ENDED
    if subscription.request_has_expired(timezone.now()):
        return ConfirmationStatus.EXPIRED
    return ConfirmationStatus.OPEN


def confirm(token: ConfirmationToken, evidence: Evidence) -> Confirmation:
    """Make the subscription of an open request active. The result is CONFIRMED if this call did it.

    An earlier hard bounce or erasure is lifted, since the mail arrived, and a complaint once its hold is over. Until
    then it stays and blocks the confirmation.
    """
    with transaction.atomic():
        confirmation = read_request(token)
        if confirmation.subscription is None or confirmation.status is not ConfirmationStatus.OPEN:
            return confirmation
        subscriber = confirmation.subscription.subscriber
        if blocks_confirmation(subscriber.canonical):
            return Confirmation(ConfirmationStatus.ENDED, confirmation.subscription)
        moved = move_subscriptions(
            Subscription.objects.with_key(token.key).filter(request_number=token.request_number),
            ConsentKind.CONFIRMED,
            evidence,
            mail=_last_confirmation(confirmation.subscription),
            confirmed_at=timezone.now(),
            ended_at=None,
            paused_until=None,
        )
        if not moved:  # another click was first
            return read_request(token)
        lifted = Suppression.objects.filter(
            fingerprint=fingerprint(subscriber.canonical),
            reason__in=(*LIFTED_BY_CONFIRMATION, SuppressionReason.COMPLAINT),
        )
        lift_suppressions(lifted, by="", explanation=CONFIRMED_AFTER_HOLD if hold_end(subscriber.canonical) else "")
        _apply_answers(confirmation.subscription)
        add_to_counters([(CONFIRMED, str(confirmation.subscription.mailing_list_id))], timezone.now().timestamp())
    return Confirmation(ConfirmationStatus.CONFIRMED, confirmation.subscription)


def _last_confirmation(subscription: Subscription) -> TransactionalMail | None:
    mails = TransactionalMail.objects.filter(subscription=subscription, kind=TransactionalMailKind.CONFIRMATION)
    return mails.order_by("-pk").first()
