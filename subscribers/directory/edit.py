"""What editors change of one subscriber. Each change is recorded with the values before and after."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

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


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """What the form showed of the subscriber's own choices: the subscriber may have changed them since."""

    topics: frozenset[int]
    frequency: Frequency

    @classmethod
    def of(cls, subscription: Subscription) -> Seen:
        """As they are now."""
        topics = frozenset(topic.pk for topic in topics_of(subscription))
        return cls(topics=topics, frequency=subscription.chosen_frequency)

    def __str__(self) -> str:
        return " ".join([self.frequency.value, *map(str, sorted(self.topics))])

    @classmethod
    def read(cls, text: str) -> Seen | None:
        """What `str` has made; None of any other text."""
        frequency, *topics = text.split(" ")
        is_known = frequency in Frequency.values and all(re.fullmatch("[0-9]{1,18}", topic) for topic in topics)
        return cls(topics=frozenset(map(int, topics)), frequency=Frequency(frequency)) if is_known else None


def update_subscription(
    subscription: Subscription,
    *,
    tags: Sequence[str],
    topics: Collection[int],
    frequency: Frequency,
    fields: Mapping[CustomField, Value],
    by: str,
    seen: Seen | None = None,
) -> None:
    """Store tags (names), topics (keys of those that the subscriber gets), frequency and custom fields.

    The frequency may take effect later. Topics and a frequency that the editor left as they were `seen` stay as they
    are by now.
    """
    with transaction.atomic():
        must_wait = lock_week(subscription.mailing_list_id)
        locked = Subscription.objects.select_for_update(no_key=True).get(pk=subscription.pk)
        _set_tags(locked, tags, by=by)
        before = locked.chosen_frequency
        if seen is not None:
            now = Seen.of(locked).topics
            topics = (now | (frozenset(topics) - seen.topics)) - (seen.topics - frozenset(topics))
            frequency = before if frequency == seen.frequency else frequency
        _set_topics(locked, topics, by=by)
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
