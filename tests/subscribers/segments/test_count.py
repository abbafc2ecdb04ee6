"""Counts of rules are exact where that is quick, estimates that say so elsewhere, and never take long."""

from __future__ import annotations

import time
from typing import Any

import pytest
from django.db import DatabaseError, connection

from subscribers.models import Subscription, SubscriptionState, SubscriptionTag, Tag
from subscribers.segments import count
from subscribers.segments.count import Count, TookTooLong, count_matching, count_within, preview_counts, time_limit
from subscribers.segments.kinds import Facts
from subscribers.segments.rules import Group, parse_rules
from tests.people import ada, ben, make_mailing_list, make_subscription, make_subscriptions

pytestmark = pytest.mark.django_db


def rule(kind: str = "state", value: str = "active", comparison: str = "is") -> dict[str, str]:
    """A rule as JSON."""
    return {"kind": kind, "field": "", "comparison": comparison, "value": value}


def tree(*rules: Any, match: str = "all") -> tuple[Group, Facts]:
    """A checked tree and its facts."""
    facts = Facts(make_mailing_list())
    return parse_rules({"match": match, "rules": list(rules)}, facts), facts


def tag_every_tenth(people: list[Subscription]) -> Tag:
    """A tag that each tenth has."""
    tag = Tag.objects.create(mailing_list=make_mailing_list(), name="VIP")
    SubscriptionTag.objects.bulk_create(SubscriptionTag(tag=tag, subscription=each) for each in people[::10])
    return tag


def test_a_short_list_is_counted_exactly_in_two_statements(django_assert_num_queries: Any) -> None:
    tag = tag_every_tenth([ada(), ben(), make_subscription("elsewhere@example.org", make_mailing_list("tide-tables"))])
    group, facts = tree(rule(), {"match": "any", "rules": [rule(value="pending"), rule("tag", str(tag.pk))]})
    # PostgreSQL has a savepoint around the limit, and three statements to set it.
    with django_assert_num_queries(2 if connection.vendor == "sqlite" else 7):
        preview = preview_counts(group, facts)
    assert preview.total == Count(1)
    assert preview.active == Count(1)
    assert preview.percent == 100.0
    assert preview.parts == {(0,): Count(1), (1,): Count(2), (1, 0): Count(1), (1, 1): Count(1)}


def test_a_long_list_is_counted_exactly_while_that_is_quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(count, "SAMPLE_SIZE", 100)
    tag = tag_every_tenth(make_subscriptions(400))
    group, facts = tree(rule(), rule("tag", str(tag.pk), "is_not"))
    preview = preview_counts(group, facts)
    assert (preview.total, preview.percent) == (Count(360), 90.0)
    assert preview.parts == {(0,): Count(400), (1,): Count(360)}


def test_what_is_not_counted_in_time_is_estimated_and_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(count, "SMALL", 400)
    monkeypatch.setattr(count, "SAMPLE_SIZE", 400)
    monkeypatch.setattr(count, "EXACT_LIMIT", 0)
    tag = tag_every_tenth(make_subscriptions(1_000))
    group, facts = tree(rule(), rule("tag", str(tag.pk), "is_not"))
    preview = preview_counts(group, facts)
    assert preview.total.is_estimate
    assert 850 <= (preview.total.number or 0) <= 950
    assert preview.active == Count(1_000, is_estimate=True)
    assert count_matching(group, facts).is_estimate


def test_without_time_for_an_estimate_there_is_no_number(monkeypatch: pytest.MonkeyPatch) -> None:
    for limit in ("SAMPLE_SIZE", "EXACT_LIMIT", "SAMPLE_LIMIT"):
        monkeypatch.setattr(count, limit, 0)
    monkeypatch.setattr(count, "WINDOWS", 1)
    ada()
    group, facts = tree(rule())
    preview = preview_counts(group, facts)
    assert preview.total == Count(None, is_estimate=True)
    assert preview.percent is None
    assert count.sample_of(group, facts) is None


def slow_statement() -> None:
    """Counts a hundred million numbers, one after the other."""
    with connection.cursor() as cursor:
        cursor.execute(
            "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 100000000) SELECT count(*) FROM n"
        )
        cursor.fetchall()


def test_a_slow_statement_is_ended_and_the_connection_stays_usable() -> None:
    started = time.monotonic()
    with pytest.raises(TookTooLong), time_limit(0.05):
        slow_statement()
    # A busy machine may be late; without the limit it takes more than a minute.
    assert time.monotonic() - started < 20
    assert count_within(Subscription.objects.all(), 20) == 0
    if connection.vendor == "postgresql":
        with connection.cursor() as cursor:
            cursor.execute("SHOW statement_timeout")
            assert cursor.fetchone() == ("0",)


def test_other_errors_of_the_database_are_not_taken_for_slowness() -> None:
    with pytest.raises(DatabaseError), time_limit(20), connection.cursor() as cursor:
        cursor.execute("SELECT nothing FROM nowhere")


def test_an_estimate_has_two_digits() -> None:
    assert [count._rounded(number) for number in (0.4, 99.6, 100, 1249, 123456)] == [0, 100, 100, 1200, 120000]


def test_a_sample_begins_at_a_random_place_and_goes_on_at_the_start() -> None:
    people = [each.pk for each in make_subscriptions(12)]
    group, facts = tree(rule())
    found = count.sample_of(group, facts, draw=lambda _first, _last: people[7])
    assert found is not None
    assert [each.pk for each in found] == [*people[7:], *people[:5]]
    assert {each.state for each in found} == {SubscriptionState.ACTIVE}
    one = count.sample_of(group, facts, size=1)
    assert one is not None
    assert len(one) == 1
