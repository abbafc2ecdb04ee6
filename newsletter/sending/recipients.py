"""The recipients of a batch: whom its deliveries are for, and why one of them must not be mailed now."""

from __future__ import annotations

import datetime
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import NamedTuple

from django.db.models import BooleanField, QuerySet

from newsletter.content.merge_fields import MERGE_FIELDS
from newsletter.models import Batch, Delivery, Reason
from newsletter.models.batch import UNINDEXED_SEND
from newsletter.models.prepared import PreparedStatement, fields_of, sql_list
from newsletter.providers.allowlist import is_allowed_recipient
from newsletter.sending.audience import REFUSED
from subscribers.models import Subscriber, Subscription, SubscriptionState, fingerprint
from subscribers.profile.fields import shown_values

#: The reason of a recipient who is skipped after an attempt that may have reached them.
AFTER_ATTEMPT = {
    Reason.UNSUBSCRIBED: Reason.UNSUBSCRIBED_AFTER_ATTEMPT,
    Reason.SUPPRESSED: Reason.SUPPRESSED_AFTER_ATTEMPT,
    Reason.SUBSCRIPTION_PAUSED: Reason.SUBSCRIPTION_PAUSED_AFTER_ATTEMPT,
    Reason.TOPIC_LEFT: Reason.TOPIC_LEFT_AFTER_ATTEMPT,
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
    list_pk: int | None = None
    """The list through which they get it; None for the newsletter's own."""
    has_only_unsubscribed: bool = False
    """Whether they left by an ordinary unsubscribe, and did not choose “This was not me”."""
    agrees_to_tracking: bool = False
    """Whether they agree to tracking at the moment."""
    subscription_pk: int = 0
    """0 for a recipient who has none."""
    values: Mapping[str, str] = field(default_factory=dict)
    """Values of custom fields by key, as mails show them. Filled by `with_custom_values` only."""


def deliveries_of(batch: Batch) -> QuerySet[Delivery]:
    """Every delivery of the batch, in the order of its payload."""
    owned = Delivery.objects.filter(pk__gte=batch.first_delivery, pk__lte=batch.last_delivery)
    return owned.alias(of=UNINDEXED_SEND).filter(of=batch.send_id).order_by("pk")


def recipients_of(batch: Batch, states: Sequence[str], now: datetime.datetime) -> list[Recipient]:
    """The recipients of the batch whose deliveries are in one of `states`; two statements, however many they are.

    Each is checked in the list through which they get the issue. If that is not the newsletter's own, a third statement
    asks whether they said no to the newsletter itself meanwhile.
    """
    owned = (batch.first_delivery, batch.last_delivery, batch.send_id)
    issue = batch.edition.issue
    rows = [RecipientRow(*row) for row in RECIPIENTS.rows(now, issue.pk, issue.newsletter_id, *owned, list(states))]
    fingerprints = {row.canonical: fingerprint(row.canonical) for row in rows if row.canonical is not None}
    suppressed = {found for (found,) in SUPPRESSED.rows(list(fingerprints.values()))}
    return [
        _recipient(row, is_suppressed=fingerprints.get(row.canonical or "") in suppressed)
        for row in _with_own_list(rows, issue.newsletter_id, now)
    ]


def with_custom_values(recipients: Sequence[Recipient], merges: Mapping[str, Mapping[str, str]]) -> Sequence[Recipient]:
    """The recipients with the values of the custom fields that an edition's `merges` use.

    One statement, and none for an edition that uses no custom field.
    """
    keys = {merge["field"] for merge in merges.values()} - set(MERGE_FIELDS)
    if not keys:
        return recipients
    found = shown_values([recipient.subscription_pk for recipient in recipients], keys)
    return [replace(recipient, values=found[recipient.subscription_pk]) for recipient in recipients]


class RecipientRow(NamedTuple):
    """One delivery with its subscriber's subscription to the list of the delivery; None where that was erased.

    A plain row, since building three models per recipient costs more than all other work on them.
    """

    delivery_pk: int
    reason: str
    state: str | None
    is_paused: bool | None
    key: uuid.UUID | None
    address: str | None
    canonical: str | None
    first_name: str | None
    declined_at: datetime.datetime | None
    subscription_pk: int | None
    subscriber_pk: int
    list_pk: int | None
    """None: the newsletter's own list."""
    has_left_topic: bool | None
    """Whether they opted out of the issue's topic; None if not."""
    agrees_to_tracking: bool


RECIPIENTS = PreparedStatement(
    """
    SELECT d.id, d.reason, s.state, s.paused_until > %s, s.key, p.address, p.canonical, p.first_name, p.declined_at,
        s.id, d.subscriber_id, d.mailing_list_id,
        (
            SELECT true FROM newsletter_audiencepart a
            JOIN subscribers_subscription t ON t.subscriber_id = d.subscriber_id
            JOIN subscribers_topicoptout o ON o.subscription_id = t.id AND o.topic_id = a.topic_id
            WHERE a.issue_id = %s
            LIMIT 1
        ),
        s.tracking_agreed_at IS NOT NULL
    FROM newsletter_delivery d
    LEFT JOIN subscribers_subscription s
        ON s.subscriber_id = d.subscriber_id AND s.mailing_list_id = COALESCE(d.mailing_list_id, %s)
    LEFT JOIN subscribers_subscriber p ON p.id = s.subscriber_id
    WHERE d.id BETWEEN %s AND %s AND d.send_id + 0 = %s AND d.state = ANY(%s::text[])
    ORDER BY d.id
    """,
    [
        *fields_of(Delivery, "id", "reason"),
        *fields_of(Subscription, "state"),
        BooleanField(null=True),
        *fields_of(Subscription, "key"),
        *fields_of(Subscriber, "address", "canonical", "first_name", "declined_at"),
        *fields_of(Subscription, "id"),
    ],
)
OWN_LIST_LEFT = PreparedStatement(
    f"""
    SELECT subscriber_id, state FROM subscribers_subscription
    WHERE mailing_list_id = %s AND subscriber_id = ANY(%s::bigint[])
        AND (state IN ({sql_list(REFUSED)}) OR paused_until > %s)
    """  # noqa: S608 - names of states are ours
)
SUPPRESSED = PreparedStatement(
    "SELECT fingerprint FROM subscribers_suppression WHERE fingerprint = ANY(%s::text[])",
)


def _with_own_list(rows: list[RecipientRow], own_list: int, now: datetime.datetime) -> list[RecipientRow]:
    """The rows; of another list's subscribers who said no to the newsletter itself, with that state."""
    others = [row.subscriber_pk for row in rows if row.list_pk is not None]
    left = dict(OWN_LIST_LEFT.rows(own_list, others, now)) if others else {}
    return [
        row._replace(state=left[row.subscriber_pk], is_paused=True)
        if row.list_pk is not None and row.subscriber_pk in left and row.state == SubscriptionState.ACTIVE
        else row
        for row in rows
    ]


def _recipient(row: RecipientRow, *, is_suppressed: bool) -> Recipient:
    if row.key is None or row.canonical is None:
        reason = Reason.DELIVERED_AFTER_ALL if row.reason == Reason.DELIVERED_AFTER_ALL else Reason.ERASED
        return Recipient(delivery_pk=row.delivery_pk, address="", subscription_key=uuid.UUID(int=0), skip_reason=reason)
    return Recipient(
        delivery_pk=row.delivery_pk,
        address=row.address or "",
        first_name=row.first_name or "",
        subscription_key=row.key,
        skip_reason=_skip_reason(row, is_suppressed=is_suppressed),
        list_pk=row.list_pk,
        has_only_unsubscribed=row.state == SubscriptionState.UNSUBSCRIBED and row.declined_at is None,
        agrees_to_tracking=bool(row.agrees_to_tracking),
        subscription_pk=row.subscription_pk or 0,
    )


def as_recipient(subscription: Subscription) -> Recipient:
    """The subscriber as a recipient without a delivery, as previews show an issue to them."""
    return Recipient(
        delivery_pk=0,
        address=subscription.subscriber.address,
        first_name=subscription.subscriber.first_name,
        subscription_key=subscription.key,
        skip_reason=None,
        subscription_pk=subscription.pk,
    )


def _skip_reason(row: RecipientRow, *, is_suppressed: bool) -> Reason | None:
    if row.reason == Reason.DELIVERED_AFTER_ALL:
        return Reason.DELIVERED_AFTER_ALL
    if not is_allowed_recipient(row.canonical or ""):
        return Reason.NOT_ALLOWED
    if row.state == SubscriptionState.SUPPRESSED or is_suppressed:
        return Reason.SUPPRESSED
    if row.state != SubscriptionState.ACTIVE:
        return Reason.UNSUBSCRIBED
    if row.has_left_topic:
        return Reason.TOPIC_LEFT
    return Reason.SUBSCRIPTION_PAUSED if row.is_paused else None
