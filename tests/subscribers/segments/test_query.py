"""A tree of rules finds in SQL exactly whom it means."""

from __future__ import annotations

import re
from typing import Any

import pytest
from django.db import connection, transaction
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from subscribers.models import FieldValue, Segment, SegmentPick, Subscription, SubscriptionTag, Tag
from subscribers.segments.kinds import Facts
from subscribers.segments.query import matching, segment_queryset
from subscribers.segments.rules import RulesError, describe, parse_rules, rules_fingerprint
from tests.people import ada, ben, make_mailing_list, make_subscription, make_subscriptions
from tests.subscribers.segments.population import NOW, World, make_world, means, people, store, trees

pytestmark = pytest.mark.django_db


@pytest.fixture
def world() -> World:
    return make_world()


@given(st.data())
@settings(max_examples=80, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
def test_sql_finds_whom_the_tree_means(world: World, data: st.DataObject) -> None:
    drawn = data.draw(people)
    some_trees = data.draw(st.lists(trees(world), min_size=1, max_size=4))
    with transaction.atomic():
        store(world, drawn)
        for tree in some_trees:
            facts = Facts(world.mailing_list, NOW)
            group = parse_rules(tree, facts)
            found = sorted(matching(group, facts).values_list("pk", flat=True))
            assert found == sorted(person.pk for person in drawn if means(tree, person, world)), tree
            assert parse_rules(group.as_json(), facts) == group
            assert describe(group, facts)
        transaction.set_rollback(True)


HOSTILE = ["' OR 1=1 --", "%", "_", "\\", '"; DROP TABLE subscribers_subscription; --', "%%s", "{0}", "$1", "?", "é'"]


@pytest.mark.parametrize("kind", ["source", "name", "field"])
@pytest.mark.parametrize("comparison", ["is", "contains", "begins"])
def test_sql_in_values_is_text(world: World, kind: str, comparison: str) -> None:
    ada()
    for text in HOSTILE:
        tree = _tree(
            {"kind": kind, "field": "city" if kind == "field" else "", "comparison": comparison, "value": text}
        )
        facts = Facts(world.mailing_list)
        assert list(matching(parse_rules(tree, facts), facts)) == []
    with connection.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM subscribers_subscription")
        assert cursor.fetchone() == (1,)


def test_a_segment_has_subscriptions_of_its_list_only() -> None:
    first, elsewhere = ada(), make_subscription("ada@example.org", make_mailing_list("tide-tables"))
    rules = _tree({"kind": "state", "field": "", "comparison": "is", "value": "active"})
    segment = Segment.objects.create(mailing_list=first.mailing_list, name="Active", rules=rules)
    assert list(segment_queryset(segment)) == [first]
    picked = Segment.objects.create(mailing_list=first.mailing_list, name="Picked", is_picked=True)
    for subscription in (first, elsewhere):
        SegmentPick.objects.create(segment=picked, subscription=subscription)
    assert list(segment_queryset(picked)) == [first]


def test_a_segment_whose_tag_was_deleted_finds_nobody_instead_of_everybody() -> None:
    subscription = ada()
    tag = Tag.objects.create(mailing_list=subscription.mailing_list, name="VIP")
    rules = _tree({"kind": "tag", "field": "", "comparison": "is_not", "value": str(tag.pk)})
    segment = Segment.objects.create(mailing_list=subscription.mailing_list, name="Not VIP", rules=rules)
    assert list(segment_queryset(segment)) == [subscription]
    tag.delete()
    with pytest.raises(RulesError, match="no longer exists"):
        segment_queryset(segment)
    with pytest.raises(RulesError):
        segment_queryset(Segment(mailing_list=subscription.mailing_list, rules={}))


def test_the_fingerprint_follows_the_rules_and_the_picked_subscriptions_and_nothing_else() -> None:
    subscription = ada()
    rules = _tree({"kind": "state", "field": "", "comparison": "is", "value": "active"})
    segment = Segment.objects.create(mailing_list=subscription.mailing_list, name="Active", rules=rules)
    before = rules_fingerprint(segment)
    ben()
    segment.name = "Everyone"
    assert rules_fingerprint(segment) == before
    segment.rules = {"match": "any", "rules": rules["rules"]}
    assert rules_fingerprint(segment) != before
    picked = Segment.objects.create(mailing_list=subscription.mailing_list, name="Picked", is_picked=True)
    empty = rules_fingerprint(picked)
    SegmentPick.objects.create(segment=picked, subscription=subscription)
    assert rules_fingerprint(picked) not in (empty, before)
    rule = {"kind": "picked", "field": "", "comparison": "not_in", "value": str(picked.pk)}
    segment.rules = _tree(rule)
    named = rules_fingerprint(segment)
    picked.picks.all().delete()
    assert rules_fingerprint(segment) != named


def test_rules_are_read_from_indexes(world: World) -> None:
    _give_values_to(make_subscriptions(400, world.mailing_list), world)
    rules = (
        ({"kind": "tag", "field": "", "comparison": "is", "value": str(world.tags["VIP"].pk)}, "subscription_tag_once"),
        ({"kind": "field", "field": "city", "comparison": "is", "value": "berlin"}, "field_value_upper"),
        ({"kind": "field", "field": "age", "comparison": "more", "value": "390"}, "field_value_number"),
    )
    for rule, index in rules:
        facts = Facts(world.mailing_list)
        query = matching(parse_rules(_tree(rule), facts), facts)
        if connection.vendor == "postgresql":
            with connection.cursor() as cursor:
                # So few rows are read faster one after the other.
                cursor.execute("SET LOCAL enable_seqscan = off")
            assert index in query.explain()
        else:
            assert re.search(r"SEARCH U0 USING (COVERING )?INDEX", query.explain())


def _give_values_to(subscriptions: list[Subscription], world: World) -> None:
    """Each a city and an age of their own, and every hundredth a tag; with statistics, which decide about the plan."""
    for number, subscription in enumerate(subscriptions):
        city = {"field": world.fields["city"], "text": f"City {number}"}
        age = {"field": world.fields["age"], "number": number}
        FieldValue.objects.bulk_create(FieldValue(subscription=subscription, **each) for each in (city, age))
    SubscriptionTag.objects.bulk_create(
        SubscriptionTag(subscription=each, tag=world.tags["VIP" if number % 100 == 0 else "Press"])
        for number, each in enumerate(subscriptions)
    )
    if connection.vendor == "postgresql":
        with connection.cursor() as cursor:
            cursor.execute("ANALYZE subscribers_fieldvalue, subscribers_subscriptiontag, subscribers_subscription")


def _tree(rule: dict[str, Any]) -> dict[str, Any]:
    return {"match": "all", "rules": [rule]}
