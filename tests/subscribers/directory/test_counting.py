"""Counts of pages: exact while they are small, then an estimate that says so."""

from __future__ import annotations

import pytest
from django.db import connection

from subscribers.directory.counting import Count, Precision, count_rows
from subscribers.models import Subscriber, Subscription
from tests.people import make_subscriptions

pytestmark = pytest.mark.django_db


def analyze() -> None:
    """What the planner knows is what is there, and not what other tests left."""
    if connection.vendor == "postgresql":
        with connection.cursor() as cursor:
            cursor.execute("ANALYZE subscribers_subscriber")


def test_a_small_number_is_exact() -> None:
    make_subscriptions(3)
    analyze()
    assert count_rows(Subscriber.objects.all(), 3) == Count(3)


def test_a_large_number_is_an_estimate_and_named_so() -> None:
    make_subscriptions(40)
    analyze()
    if connection.vendor == "postgresql":
        count = count_rows(Subscriber.objects.all(), 5)
        assert (count.number, count.precision) == (40, Precision.ABOUT)
    else:
        assert count_rows(Subscriber.objects.all(), 5) == Count(5, Precision.MORE_THAN)


@pytest.mark.parametrize(
    ("count", "words"),
    [
        (Count(1), "1 subscriber"),
        (Count(340_000, Precision.ABOUT), "about 340,000 subscribers"),
        (Count(1_000, Precision.MORE_THAN), "more than 1,000 subscribers"),
    ],
)
def test_numbers_are_said_in_words(count: Count, words: str) -> None:
    assert count.subscribers == words


def test_no_rows_are_counted_where_the_condition_names_none() -> None:
    """As on the list of subscribers of an installation without a mailing list."""
    assert count_rows(Subscription.objects.filter(mailing_list__in=[])).number == 0
