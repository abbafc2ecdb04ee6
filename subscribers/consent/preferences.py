"""What subscribers choose on their preferences page. Each change gets a row in the history of the subscriber.

Preferences are no proof of consent, so no consent is stored. Only an active subscription has preferences.
"""

from __future__ import annotations

import datetime
import uuid
from collections.abc import Callable, Collection, Mapping

from django.db import transaction
from django.utils import timezone

from subscribers.consent.frequency import lock_week, store_frequency
from subscribers.models import (
    Change,
    ChangeKind,
    CustomField,
    FieldAsked,
    Frequency,
    MailingList,
    Subscriber,
    Subscription,
    SubscriptionState,
    Topic,
    TopicOptOut,
)
from subscribers.profile.fields import Value, set_values
from subscribers.profile.history import record_changes

#: Which lists ask for consent to the tracking of opens and clicks. Another app appends its answer: lists themselves
#: track nothing.
TRACKING_QUESTIONS: list[Callable[[MailingList], bool]] = []

#: The changes that can be undone, with the column that holds the value.
UNDOABLE = {
    ChangeKind.NAME: "first_name",
    ChangeKind.TIME_ZONE: "time_zone",
    ChangeKind.LANGUAGE: "language",
    ChangeKind.FREQUENCY: "",
    ChangeKind.TOPICS: "",
}
UNDO_TIME = datetime.timedelta(minutes=10)


def asks_for_tracking(mailing_list: MailingList) -> bool:
    """Whether this list asks for consent to the tracking of opens and clicks."""
    return any(asks(mailing_list) for asks in TRACKING_QUESTIONS)


def set_first_name(key: uuid.UUID, first_name: str) -> bool:
    """Store the first name that the subscriber entered; empty removes it. False if the subscription is not active."""
    return _set_of_subscriber(key, ChangeKind.NAME, "first_name", first_name)


def set_time_zone(key: uuid.UUID, time_zone: str) -> bool:
    """Store the time zone that the subscriber chose; empty removes it. False if the subscription is not active."""
    return _set_of_subscriber(key, ChangeKind.TIME_ZONE, "time_zone", time_zone)


def set_language(key: uuid.UUID, language: str) -> bool:
    """Store the language of pages and mails; empty: that of each list. False if the subscription is not active."""
    return _set_of_subscriber(key, ChangeKind.LANGUAGE, "language", language)


def set_frequency(key: uuid.UUID, frequency: Frequency) -> bool:
    """How often the list sends mail; it may take effect later. False if not active, or the list has no weekly mail."""
    mailing_list = Subscription.objects.with_key(key).values_list("mailing_list", flat=True).first()
    if mailing_list is None:
        return False
    with transaction.atomic():
        must_wait = lock_week(mailing_list)
        subscription = _locked(key)
        if subscription is None or not (frequency == Frequency.EACH or subscription.mailing_list.offers_weekly):
            return False
        before = subscription.chosen_frequency
        if store_frequency(subscription, frequency, must_wait=must_wait):
            record_changes([subscription], ChangeKind.FREQUENCY, {"from": before, "to": frequency}, by="")
    return True


def set_topics(key: uuid.UUID, chosen: Collection[str]) -> bool:
    """Get issues of these topics (slugs), and of no others that exist now. False if not active."""
    with transaction.atomic():
        subscription = _locked(key)
        if subscription is None:
            return False
        topics = {topic.pk: topic for topic in Topic.objects.filter(mailing_list=subscription.mailing_list_id)}
        before = set(TopicOptOut.objects.filter(subscription=subscription).values_list("topic", flat=True))
        after = {pk for pk, topic in topics.items() if topic.slug not in chosen}
        if before == after:
            return True
        TopicOptOut.objects.filter(subscription=subscription, topic__in=before - after).delete()
        TopicOptOut.objects.bulk_create(TopicOptOut(subscription=subscription, topic_id=pk) for pk in after - before)
        names = {
            word: [topic.name for pk, topic in topics.items() if pk not in opted_out]
            for word, opted_out in (("from", before), ("to", after))
        }
        record_changes([subscription], ChangeKind.TOPICS, names, by="")
    return True


def set_tracking(key: uuid.UUID, *, agrees: bool, text: str, language: str) -> bool:
    """Store or withdraw the consent to tracking; both apply at once. `text` is the sentence that the page showed.

    False if the subscription is not active, or if its list does not ask: a withdrawal is always possible.
    """
    with transaction.atomic():
        subscription = _locked(key)
        if subscription is None or (agrees and not asks_for_tracking(subscription.mailing_list)):
            return False
        before = subscription.tracking_agreed_at is not None
        if before == agrees:
            return True
        agreed_at = timezone.now() if agrees else None
        Subscription.objects.filter(pk=subscription.pk).update(tracking_agreed_at=agreed_at)
        # GDPR Art. 7(1): the proof of a consent has the text.
        values = {"from": before, "to": agrees, "text": text, "language": language}
        record_changes([subscription], ChangeKind.TRACKING, values, by="")
    return True


def last_change(subscription: Subscription) -> Change | None:
    """The newest change by the subscriber, if it can be undone and is not older than UNDO_TIME."""
    changes = Change.objects.filter(subscription=subscription, by="").order_by("-pk")
    change = changes.first()
    is_recent = change is not None and timezone.now() - change.created_at <= UNDO_TIME
    return change if is_recent and change and change.kind in UNDOABLE else None


def undo(key: uuid.UUID, change_pk: str) -> bool:
    """Take the newest change back. False if that is another one by now: a repeated click undoes nothing else."""
    mailing_list = Subscription.objects.with_key(key).values_list("mailing_list", flat=True).first()
    if mailing_list is None:
        return False
    with transaction.atomic():
        # In the order of `set_frequency`.
        lock_week(mailing_list)
        subscription = _locked(key)
        change = last_change(subscription) if subscription else None
        if subscription is None or change is None or str(change.pk) != change_pk:
            return False
        before = change.values["from"]
        if change.kind == ChangeKind.TOPICS:
            topics = Topic.objects.filter(mailing_list=subscription.mailing_list_id, name__in=before)
            return set_topics(key, list(topics.values_list("slug", flat=True)))
        if change.kind == ChangeKind.FREQUENCY:
            return set_frequency(key, Frequency(before))
        kind = ChangeKind(change.kind)
        return _set_of_subscriber(key, kind, UNDOABLE[kind], before)


def fields_to_show(subscription: Subscription) -> list[CustomField]:
    """The fields on the preferences page: those that subscribers may change, and those that they are asked for."""
    asked = {field.pk for field in fields_to_ask(subscription)}
    fields = CustomField.objects.filter(mailing_list=subscription.mailing_list_id)
    return [field for field in fields if field.is_editable or field.pk in asked]


def fields_to_ask(subscription: Subscription) -> list[CustomField]:
    """The fields that a subscriber is asked for after confirming, and has not answered."""
    asked = CustomField.objects.filter(mailing_list=subscription.mailing_list_id, asked=FieldAsked.CONFIRMED)
    return list(asked.exclude(values__subscription=subscription))


def set_fields(key: uuid.UUID, values: Mapping[CustomField, Value]) -> bool:
    """Store the values of these fields. False if the subscription is not active."""
    with transaction.atomic():
        subscription = _locked(key)
        if subscription is None:
            return False
        set_values(subscription, values)
    return True


def _locked(key: uuid.UUID) -> Subscription | None:
    """The active subscription with this key, locked after its subscriber, as requests do: they cannot deadlock."""
    Subscriber.objects.select_for_update(of=("self",), no_key=True).filter(subscriptions__key=key).first()
    active = Subscription.objects.with_key(key).filter(state=SubscriptionState.ACTIVE)
    return active.select_for_update(of=("self",), no_key=True).select_related("mailing_list").first()


def _set_of_subscriber(key: uuid.UUID, kind: ChangeKind, column: str, value: str) -> bool:
    with transaction.atomic():
        subscription = _locked(key)
        if subscription is None:
            return False
        rows = Subscriber.objects.filter(pk=subscription.subscriber_id)
        before = rows.values_list(column, flat=True).get()
        if before != value:
            rows.update(**{column: value})
            record_changes([subscription], kind, {"from": before, "to": value}, by="")
    return True
