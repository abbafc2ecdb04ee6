"""Growth: what was active on each day follows from what is active now, and from what was won and lost since."""

from __future__ import annotations

import datetime
import itertools

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.django import TestCase

from newsletter.reports.growth import (
    Step,
    active_and_pending,
    first_day,
    growth_of,
    period_bounds,
    suppressions_by_reason,
)
from subscribers.models import Growth, MailingList, SubscriptionCount
from tests import people

TODAY = datetime.date(2026, 11, 27)  # A Friday.


def count(mailing_list: MailingList, days_ago: int, **counts: int) -> None:
    day = (TODAY - datetime.timedelta(days=days_ago)).isoformat()
    for name, value in counts.items():
        SubscriptionCount.objects.create(mailing_list=mailing_list, day=day, name=name, value=value)


def test_days_are_counted_back_from_what_is_active_now(db: None) -> None:
    mailing_list = people.make_mailing_list()
    count(mailing_list, 0, joined=3, requested=9)
    count(mailing_list, 1, left=2, removed=1, imported=1)
    periods = growth_of([mailing_list.pk], TODAY, Step.DAY, 3, active=10)
    assert [period.active for period in periods] == [9, 7, 10]
    assert [(period.won, period.lost) for period in periods] == [(0, 0), (1, 3), (3, 0)]
    assert periods[-1].first == periods[-1].last == TODAY


def test_weeks_begin_on_monday_and_the_last_one_may_not_be_over(db: None) -> None:
    mailing_list = people.make_mailing_list()
    count(mailing_list, 4, joined=1)
    count(mailing_list, 5, joined=5)
    last, this = growth_of([mailing_list.pk], TODAY, Step.WEEK, 2, active=6)
    assert (this.first, this.last) == (datetime.date(2026, 11, 23), datetime.date(2026, 11, 29))
    assert (this.won, this.active) == (1, 6)
    assert (last.won, last.active) == (5, 5)


def test_months_have_their_own_lengths(db: None) -> None:
    mailing_list = people.make_mailing_list()
    months = growth_of([mailing_list.pk], datetime.date(2028, 3, 1), Step.MONTH, 3, active=0)
    bounds = [(month.first.isoformat(), month.last.isoformat()) for month in months]
    assert bounds == [("2028-01-01", "2028-01-31"), ("2028-02-01", "2028-02-29"), ("2028-03-01", "2028-03-31")]


@given(
    st.dates(datetime.date(2024, 1, 1), datetime.date(2030, 12, 31)), st.sampled_from(list(Step)), st.integers(1, 40)
)
def test_there_are_as_many_periods_as_asked_for(today: datetime.date, step: Step, number: int) -> None:
    periods = list(period_bounds(first_day(today, step, number), today, step))
    assert len(periods) == number
    assert periods[-1][0] <= today <= periods[-1][1]
    day = datetime.timedelta(days=1)
    assert all(before[1] + day == after[0] for before, after in itertools.pairwise(periods))


class AnyCounts(TestCase):
    @settings(max_examples=25)
    @given(
        st.lists(st.tuples(st.integers(0, 80), st.sampled_from(list(Growth)), st.integers(1, 5)), max_size=20),
        st.sampled_from(list(Step)),
    )
    def test_each_period_differs_from_the_one_before_by_what_was_won_and_lost(
        self, changes: list[tuple[int, Growth, int]], step: Step
    ) -> None:
        mailing_list = people.make_mailing_list(slug=f"list-{MailingList.objects.count()}")
        # Each as the part of another connection.
        for writer, (days_ago, name, value) in enumerate(changes):
            day = (TODAY - datetime.timedelta(days=days_ago)).isoformat()
            SubscriptionCount.objects.create(mailing_list=mailing_list, day=day, name=name, writer=writer, value=value)
        periods = growth_of([mailing_list.pk], TODAY, step, 12, active=1_000)
        assert periods[-1].active == 1_000
        for before, after in itertools.pairwise(periods):
            assert after.active - before.active == after.won - after.lost


def test_history_that_is_not_known_gives_no_number_below_zero(db: None) -> None:
    mailing_list = people.make_mailing_list()
    count(mailing_list, 0, joined=5)
    assert [period.active for period in growth_of([mailing_list.pk], TODAY, Step.DAY, 2, active=3)] == [0, 3]


def test_lists_are_counted_together_and_by_themselves(db: None) -> None:
    first, second = people.make_mailing_list("first"), people.make_mailing_list("second")
    people.ada(first), people.ben(first), people.ada(second)
    assert active_and_pending([first.pk]) == (1, 1)
    assert active_and_pending([first.pk, second.pk]) == (2, 1)
    count(first, 0, joined=1)
    count(second, 0, joined=4)
    assert growth_of([second.pk], TODAY, Step.DAY, 1, active=4)[0].won == 4


@pytest.mark.django_db
def test_suppressions_are_told_apart_by_reason_and_list() -> None:
    first, second = people.make_mailing_list("first"), people.make_mailing_list("second")
    people.dina(first), people.emil(second)
    since = datetime.datetime.now(datetime.UTC).date() - datetime.timedelta(days=1)
    assert suppressions_by_reason(None, since) == {"complaint": 1, "hard_bounce": 1}
    assert suppressions_by_reason([first.pk], since) == {"complaint": 1}
    assert suppressions_by_reason(None, since + datetime.timedelta(days=2)) == {}
