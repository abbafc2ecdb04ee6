"""Counters of lists: whatever changes subscriptions, they say what a recount says, and what happened on the day."""

from __future__ import annotations

import datetime
from collections import Counter

import pytest
from django.db import connection
from django.utils import timezone
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.django import TestCase

from subscribers.models import (
    Growth,
    MailingList,
    Subscription,
    SubscriptionCount,
    SubscriptionState,
    fold_subscription_counts,
)
from tests import people


def states(mailing_list: MailingList) -> dict[str, int]:
    found = SubscriptionCount.objects.by_state([mailing_list.pk]).get(mailing_list.pk, {})
    return {name: value for name, value in found.items() if value}


def recounted(mailing_list: MailingList) -> dict[str, int]:
    rows = Subscription.objects.filter(mailing_list=mailing_list)
    return dict(Counter(rows.values_list("state", flat=True)))


def happened(mailing_list: MailingList) -> dict[str, int]:
    since = timezone.now().astimezone(datetime.UTC).date() - datetime.timedelta(days=1)
    total: Counter[str] = Counter()
    for day in SubscriptionCount.objects.growth([mailing_list.pk], since).values():
        total.update(day)
    return dict(total)


class AnyState(TestCase):
    """States may be changed by any statement, one by one or many at once."""

    @settings(max_examples=30, deadline=None)
    @given(
        st.lists(st.tuples(st.integers(0, 3), st.sampled_from(list(SubscriptionState))), max_size=10),
        st.integers(0, 3),
    )
    def test_the_counters_are_those_of_a_recount(
        self, steps: list[tuple[int, SubscriptionState]], deleted: int
    ) -> None:
        mailing_list = people.make_mailing_list(slug=f"list-{MailingList.objects.count()}")
        made = [people.make_subscription(f"{name}@example.org", mailing_list).pk for name in "abc"]
        active, joined = set(made), 3
        for place, state in steps:
            chosen = set(made) if place == len(made) else {made[place]}
            Subscription.objects.filter(pk__in=chosen).update(state=state)
            is_active = state == SubscriptionState.ACTIVE
            joined += len(chosen - active) if is_active else 0
            active = active | chosen if is_active else active - chosen
        Subscription.objects.filter(pk__in=made[:deleted]).delete()
        assert states(mailing_list) == recounted(mailing_list)
        assert happened(mailing_list).get(Growth.JOINED, 0) == joined
        assert happened(mailing_list).get(Growth.REMOVED, 0) == len(active & set(made[:deleted]))


@pytest.mark.parametrize(
    ("state", "name"),
    [(SubscriptionState.UNSUBSCRIBED, Growth.LEFT), (SubscriptionState.SUPPRESSED, Growth.SUPPRESSED)],
)
def test_a_subscription_that_ends_is_lost_on_that_day(db: None, state: SubscriptionState, name: Growth) -> None:
    mailing_list = people.make_mailing_list()
    people.make_subscription(people.ADA, mailing_list)
    Subscription.objects.update(state=state)
    assert happened(mailing_list) == {Growth.JOINED: 1, name: 1}


def test_imported_subscriptions_are_told_from_those_that_signed_up(db: None) -> None:
    mailing_list = people.make_mailing_list()
    people.make_subscription(people.ADA, mailing_list)
    people.make_subscription(people.BEN, mailing_list, import_pk=7)
    assert happened(mailing_list) == {Growth.JOINED: 1, Growth.IMPORTED: 1}


def test_what_connections_counted_is_added_up_and_stays_the_same(db: None) -> None:
    mailing_list = people.make_mailing_list()
    people.make_subscription(people.ADA, mailing_list)
    before = states(mailing_list), happened(mailing_list)
    assert not fold_subscription_counts()
    assert (states(mailing_list), happened(mailing_list)) == before
    assert not SubscriptionCount.objects.exclude(writer=0).exists()


def test_the_triggers_are_on_the_table(db: None) -> None:
    """A migration that makes the table of subscriptions anew must make them again."""
    query = {
        "sqlite": "SELECT name FROM sqlite_master WHERE type = 'trigger' AND tbl_name = 'subscribers_subscription'",
        "postgresql": """
            SELECT tgname FROM pg_trigger WHERE tgrelid = 'subscribers_subscription'::regclass AND NOT tgisinternal
        """,
    }[connection.vendor]
    with connection.cursor() as cursor:
        cursor.execute(query)
        names = {name.removeprefix("subscribers_subscription_count_") for (name,) in cursor.fetchall()}
    assert {"insert", "update", "delete"} <= names
