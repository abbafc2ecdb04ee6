"""What editors change of one subscriber. Each change is recorded with the values before and after."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

from django.db import transaction

from subscribers.consent.frequency import lock_week, store_frequency
from subscribers.models import (
    ChangeKind,
    CustomField,
    Frequency,
    Subscriber,
    Subscription,
    SubscriptionTag,
    Topic,
    TopicOptOut,
    tag_key,
)
from subscribers.profile.fields import Value, set_values
from subscribers.profile.history import record_change, record_changes
from subscribers.profile.tags import add_tag, get_tags, remove_tag

#: The columns of a subscriber that are edited, and what their changes are called.
COLUMNS = {
    "first_name": ChangeKind.NAME,
    "time_zone": ChangeKind.TIME_ZONE,
    "language": ChangeKind.LANGUAGE,
}


def update_subscriber(pk: int, values: Mapping[str, str], *, by: str) -> None:
    """Store these columns of COLUMNS. Raises Subscriber.DoesNotExist."""
    with transaction.atomic():
        subscriber = Subscriber.objects.select_for_update(no_key=True).get(pk=pk)
        changed = {name: value for name, value in values.items() if getattr(subscriber, name) != value}
        Subscriber.objects.filter(pk=pk).update(**changed)
        for name, value in changed.items():
            record_change(subscriber, COLUMNS[name], {"from": getattr(subscriber, name), "to": value}, by=by)


def update_subscription(
    subscription: Subscription,
    *,
    tags: Sequence[str],
    topics: Collection[int],
    frequency: Frequency,
    fields: Mapping[CustomField, Value],
    by: str,
) -> None:
    """Store tags (names), topics (keys of those that the subscriber gets), frequency and custom fields.

    The frequency may take effect later.
    """
    with transaction.atomic():
        must_wait = lock_week(subscription.mailing_list_id)
        locked = Subscription.objects.select_for_update(no_key=True).get(pk=subscription.pk)
        _set_tags(locked, tags, by=by)
        _set_topics(locked, topics, by=by)
        before = locked.chosen_frequency
        if store_frequency(locked, frequency, must_wait=must_wait):
            values = {"from": str(before.label), "to": str(frequency.label)}
            record_changes([locked], ChangeKind.FREQUENCY, values, by=by)
        set_values(locked, fields, by=by)


def tag_names_of(subscription: Subscription) -> list[str]:
    """The names of its tags, in alphabetical order."""
    rows = SubscriptionTag.objects.filter(subscription=subscription).order_by("tag__key")
    return list(rows.values_list("tag__name", flat=True))


def _set_tags(subscription: Subscription, names: Sequence[str], *, by: str) -> None:
    row = Subscription.objects.filter(pk=subscription.pk)
    present = {tag_key(name) for name in tag_names_of(subscription)}
    wanted = {tag_key(name): name for name in names}
    new = [name for key, name in wanted.items() if key not in present]
    for tag in get_tags(subscription.mailing_list, new):
        add_tag(tag, row, by=by)
    for row_of_tag in subscription.subscription_tags.exclude(tag__key__in=wanted).select_related("tag"):
        remove_tag(row_of_tag.tag, row, by=by)


def topics_of(subscription: Subscription) -> list[Topic]:
    """The topics of its list that it gets."""
    left = TopicOptOut.objects.filter(subscription=subscription).values("topic")
    return list(Topic.objects.filter(mailing_list=subscription.mailing_list_id).exclude(pk__in=left))


def _set_topics(subscription: Subscription, wanted: Collection[int], *, by: str) -> None:
    before = topics_of(subscription)
    topics = list(Topic.objects.filter(mailing_list=subscription.mailing_list_id))
    after = [topic for topic in topics if topic.pk in wanted]
    if before == after:
        return
    TopicOptOut.objects.filter(subscription=subscription, topic__in=after).delete()
    left = [TopicOptOut(subscription=subscription, topic=topic) for topic in topics if topic not in after]
    TopicOptOut.objects.bulk_create(left, ignore_conflicts=True)
    names = {side: ", ".join(topic.name for topic in found) for side, found in (("from", before), ("to", after))}
    record_changes([subscription], ChangeKind.TOPICS, names, by=by)
