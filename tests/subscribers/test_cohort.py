"""Cohorts: whatever changes subscriptions, they say what an independent recount says, and an age that is over stays."""

from __future__ import annotations

import datetime
from collections import Counter
from dataclasses import dataclass

import pytest
from django.db import connection
from django.utils import timezone
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.django import TestCase

from subscribers.models import (
    JOINED,
    LOST_NAMES,
    CohortCount,
    Import,
    MailingList,
    Subscription,
    SubscriptionState,
    fold_cohort_counts,
    forget_sources,
    rebuild_cohort_counts,
)
from subscribers.privacy.erase import erase_data_subject
from subscribers.privacy.registry import find_data_subject
from tests import people

State = SubscriptionState
Cohort = tuple[str, str, str]
"""Month, source and name of a counter."""


def counted(mailing_list: MailingList) -> dict[Cohort, int]:
    found = CohortCount.objects.since([mailing_list.pk], "")
    return {(*key, name): value for key, names in found.items() for name, value in names.items() if value}


def months_ago(months: int) -> datetime.datetime:
    """The middle of a month in the past."""
    now = timezone.now().astimezone(datetime.UTC)
    number = now.year * 12 + now.month - 1 - months
    return datetime.datetime(number // 12, number % 12 + 1, 15, 12, tzinfo=datetime.UTC)


def month(months: int) -> str:
    return months_ago(months).strftime("%Y-%m")


def lost(age: int) -> str:
    return LOST_NAMES[next((place for place, limit in enumerate((3, 6, 12)) if age <= limit), 3)]


@dataclass
class Person:
    """What the recount knows: the cohort of an active subscription, else None."""

    pk: int
    source: str
    cohort: tuple[str, str] | None = None
    joined_ago: int = 0


STEPS = st.tuples(
    st.integers(0, 3),
    st.sampled_from(["join", "leave", "suppress", "ask", "erase", "pause"]),
    st.integers(0, 15),
)


class AnyOrder(TestCase):
    """Joins, leaves, returns and erasures, of one or of all at once."""

    @settings(max_examples=40, deadline=None)
    @given(st.lists(STEPS, max_size=14), st.lists(st.sampled_from(["", "fair", "radio"]), min_size=3, max_size=3))
    def test_the_counters_are_those_of_an_independent_recount(
        self, steps: list[tuple[int, str, int]], sources: list[str]
    ) -> None:
        mailing_list = people.make_mailing_list(slug=f"list-{MailingList.objects.count()}")
        every = [
            Person(
                people.make_subscription(
                    f"{name}@example.org", mailing_list, state=State.PENDING, confirmed_at=None, source=source
                ).pk,
                source,
            )
            for name, source in zip("abc", sources, strict=True)
        ]
        expected: Counter[Cohort] = Counter()
        for place, step, ago in steps:
            chosen = every if place == 3 else every[place : place + 1]
            self._write([person.pk for person in chosen], step, months_ago(ago))
            for person in list(chosen):
                self._expect(expected, person, step, ago)
            if step == "erase":
                every = [person for person in every if person not in chosen]
        assert counted(mailing_list) == {key: value for key, value in expected.items() if value}
        assert rebuild_cohort_counts() == []

    def _write(self, keys: list[int], step: str, at: datetime.datetime) -> None:
        rows = Subscription.objects.filter(pk__in=keys)
        if step == "join":
            rows.exclude(state=State.ACTIVE).update(state=State.ACTIVE, confirmed_at=at)
        elif step == "pause":
            rows.update(paused_until=at)
        elif step == "erase":
            rows.delete()
        else:
            state = {"leave": State.UNSUBSCRIBED, "suppress": State.SUPPRESSED, "ask": State.PENDING}[step]
            rows.update(state=state)

    def _expect(self, expected: Counter[Cohort], person: Person, step: str, ago: int) -> None:
        if step == "join" and person.cohort is None:
            person.cohort, person.joined_ago = (month(ago), person.source), ago
            expected[*person.cohort, JOINED] += 1
        elif step in ("leave", "suppress", "ask", "erase") and person.cohort is not None:
            expected[*person.cohort, lost(person.joined_ago)] += 1
            person.cohort = None


def test_what_an_import_brings_joins_when_it_runs_and_not_when_it_was_confirmed(db: None) -> None:
    mailing_list = people.make_mailing_list()
    ran = Import.objects.create(mailing_list=mailing_list, file_name="a", size=1, sha256="", started_at=months_ago(2))
    subscription = people.make_subscription(
        people.ADA, mailing_list, import_pk=ran.pk, source="import", confirmed_at=months_ago(40)
    )
    assert counted(mailing_list) == {(month(2), "import", JOINED): 1}
    Subscription.objects.filter(pk=subscription.pk).update(state=State.UNSUBSCRIBED, ended_at=timezone.now())
    assert counted(mailing_list) == {(month(2), "import", JOINED): 1, (month(2), "import", "lost_3"): 1}
    Subscription.objects.update(state=State.PENDING, request_number=1)
    Subscription.objects.update(state=State.ACTIVE, confirmed_at=months_ago(0))
    assert counted(mailing_list)[month(0), "", JOINED] == 1


def test_an_active_subscription_whose_time_is_corrected_moves_and_is_not_lost(db: None) -> None:
    mailing_list = people.make_mailing_list()
    people.make_subscription(people.ADA, mailing_list, confirmed_at=months_ago(1))
    Subscription.objects.update(confirmed_at=months_ago(7))
    assert counted(mailing_list) == {(month(7), "", JOINED): 1}


def test_an_erasure_changes_no_age_that_is_over(db: None) -> None:
    mailing_list = people.make_mailing_list()
    people.make_subscription(people.ADA, mailing_list, confirmed_at=months_ago(8))
    Subscription.objects.all().delete()
    assert counted(mailing_list) == {(month(8), "", JOINED): 1, (month(8), "", "lost_12"): 1}


def test_a_forgotten_source_leaves_the_sums_as_they_are(db: None) -> None:
    mailing_list = people.make_mailing_list()
    for address, source in ((people.ADA, "ada’s own form"), (people.BEN, "fair"), (people.CLEO, "")):
        people.make_subscription(address, mailing_list, source=source, confirmed_at=months_ago(1))
    forget_sources(["ada’s own form", ""])
    assert counted(mailing_list) == {(month(1), "", JOINED): 2, (month(1), "fair", JOINED): 1}


def test_what_connections_counted_is_added_up_and_stays_the_same(db: None) -> None:
    mailing_list = people.make_mailing_list()
    people.make_subscription(people.ADA, mailing_list, source="fair", confirmed_at=months_ago(0))
    before = counted(mailing_list)
    assert not fold_cohort_counts()
    assert counted(mailing_list) == before == {(month(0), "fair", JOINED): 1}
    assert not CohortCount.objects.exclude(writer=0).exists()


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
        names = {name.removeprefix("subscribers_subscription_cohort_") for (name,) in cursor.fetchall()}
    assert {"insert", "update", "delete"} <= names


@pytest.mark.parametrize("ago", [3, 4, 13])
def test_a_subscription_is_lost_at_its_age_in_months(db: None, ago: int) -> None:
    mailing_list = people.make_mailing_list()
    people.make_subscription(people.ADA, mailing_list, confirmed_at=months_ago(ago))
    Subscription.objects.update(state=State.SUPPRESSED)
    assert counted(mailing_list) == {(month(ago), "", JOINED): 1, (month(ago), "", lost(ago)): 1}


def test_a_recount_corrects_how_many_joined_and_leaves_who_was_lost(db: None) -> None:
    mailing_list = people.make_mailing_list()
    for address in (people.ADA, people.BEN, people.CLEO):
        people.make_subscription(address, mailing_list, source="fair", confirmed_at=months_ago(5))
    Subscription.objects.filter(subscriber__canonical=people.CLEO).update(state=State.UNSUBSCRIBED)
    right = counted(mailing_list)
    CohortCount.objects.filter(name=JOINED).update(value=0)
    key = (mailing_list.pk, month(5), "fair")
    assert rebuild_cohort_counts() == [(key, -1, 2)]
    assert counted(mailing_list) == right == {(month(5), "fair", JOINED): 3, (month(5), "fair", "lost_6"): 1}
    assert rebuild_cohort_counts() == []


def test_an_erasure_leaves_no_source_that_only_the_erased_came_from(db: None) -> None:
    mailing_list = people.make_mailing_list()
    for address, source in ((people.ADA, "for ada"), (people.BEN, "fair"), (people.CLEO, "fair")):
        people.make_subscription(address, mailing_list, source=source, confirmed_at=months_ago(1))
    for address in (people.ADA, people.BEN):
        erase_data_subject(find_data_subject(address))
    assert counted(mailing_list) == {
        (month(1), "", JOINED): 1,
        (month(1), "", "lost_3"): 1,
        (month(1), "fair", JOINED): 2,
        (month(1), "fair", "lost_3"): 1,
    }
