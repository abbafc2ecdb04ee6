"""Trees of rules: hostile JSON is refused with a code, a sentence and a place; good ones are said in words."""

from __future__ import annotations

from typing import Any

import pytest
from django.utils import translation
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from subscribers.segments.kinds import REGISTRY, Facts, RuleError
from subscribers.segments.query import matching
from subscribers.segments.rules import MAX_RULES, RulesError, describe, parse_rules
from subscribers.segments.subscription_kinds import State
from tests.subscribers.segments.population import NOW, World, make_world

pytestmark = pytest.mark.django_db


@pytest.fixture
def world() -> World:
    return make_world()


def rule(kind: str = "state", comparison: str = "is", value: str = "active", field: str = "") -> dict[str, str]:
    """A rule as JSON."""
    return {"kind": kind, "field": field, "comparison": comparison, "value": value}


def group(*rules: Any, match: str = "all") -> dict[str, Any]:
    """A group as JSON."""
    return {"match": match, "rules": list(rules)}


def errors(tree: Any, world: World) -> list[RuleError]:
    """The errors of a tree."""
    with pytest.raises(RulesError) as caught:
        parse_rules(tree, Facts(world.mailing_list, NOW))
    assert str(caught.value)
    return caught.value.errors


@pytest.mark.parametrize(
    ("tree", "code", "path"),
    [
        ({}, "group_empty", ()),
        (None, "tree_unreadable", ()),
        ([], "tree_unreadable", ()),
        ("all", "tree_unreadable", ()),
        ({"match": "all"}, "tree_unreadable", ()),
        ({"match": "all", "rules": {}}, "tree_unreadable", ()),
        (group(rule()) | {"_connector": "OR 1=1"}, "tree_unreadable", ()),
        (group(), "group_empty", ()),
        (group(rule(), match="xor"), "match_unknown", ()),
        ({"match": ["all"], "rules": [rule()]}, "match_unknown", ()),
        (group(rule(), group()), "group_empty", (1,)),
        (group(rule(), "state=active"), "tree_unreadable", (1,)),
        (group(rule(), rule() | {"extra": "1"}), "tree_unreadable", (1,)),
        (group(rule() | {"value": 1}), "tree_unreadable", (0,)),
        (group(rule() | {"value": None}), "tree_unreadable", (0,)),
        (group(group(group(group(rule())))), "too_deep", (0, 0, 0)),
        (group(*[rule()] * 51), "too_many", (50,)),
        (group(rule("password")), "kind_unknown", (0,)),
        (group(rule("state", "regex")), "comparison_unknown", (0,)),
        (group(rule("state", "is", "deleted")), "value_unknown", (0,)),
        (group(rule("state", "is", "")), "value_missing", (0,)),
        (group(rule(field="canonical__regex")), "field_unknown", (0,)),
        (group(rule("field", "is", "x", "password")), "field_unknown", (0,)),
        (group(rule("field", "contains", "1", "age")), "comparison_unknown", (0,)),
        (group(rule("field", "is", "many", "age")), "value_no_number", (0,)),
        (group(rule("field", "is", "1e999999999", "age")), "value_no_number", (0,)),
        (group(rule("field", "is", "NaN", "age")), "value_no_number", (0,)),
        (group(rule("field", "is", "31.5.2026", "met")), "value_no_date", (0,)),
        (group(rule("field", "is", "2026-02-30", "met")), "value_no_date", (0,)),
        (group(rule("field", "is", "x" * 501, "city")), "value_too_long", (0,)),
        (group(rule("field", "is", "a\x00b", "city")), "value_invisible", (0,)),
        (group(rule("field", "is", "a\ud800b", "city")), "value_invisible", (0,)),
        (group(rule("field", "is", "Purple", "colour")), "value_unknown", (0,)),
        (group(rule("joined", "last_days", "0")), "value_out_of_range", (0,)),
        (group(rule("joined", "last_days", "36501")), "value_out_of_range", (0,)),
        (group(rule("joined", "last_days", "²")), "value_no_count", (0,)),
        (group(rule("joined", "last_days", "1.5")), "value_no_count", (0,)),
        (group(rule("domain", "is", "no domain")), "value_no_domain", (0,)),
        (group(rule("paused", "is", "yes")), "value_unexpected", (0,)),
        (group(rule("tag", "is", "999999")), "value_unknown", (0,)),
        (group(rule("list", "in", "1 OR 1=1")), "value_unknown", (0,)),
    ],
)
def test_a_tree_that_cannot_be_used_is_refused(world: World, tree: Any, code: str, path: tuple[int, ...]) -> None:
    assert [(error.code, error.path) for error in errors(tree, world)] == [(code, path)]


def test_the_tag_of_another_list_is_not_accepted(world: World) -> None:
    other = {str(world.mailing_list.pk): "", **Facts(world.other).tags}
    assert other == {str(world.mailing_list.pk): ""}
    tree = group(rule("tag", "is", str(world.tags["VIP"].pk)))
    with pytest.raises(RulesError):
        parse_rules(tree, Facts(world.other))


def test_all_errors_of_values_are_found_at_once(world: World) -> None:
    tree = group(rule("tag", "is", ""), group(rule("joined", "before", "soon"), rule()), rule("field", "is", "", "age"))
    assert [(error.path, str(error)) for error in errors(tree, world)] == [
        ((0,), "Choose a value."),
        ((1, 0), "Enter a date, such as 2026-05-31."),
        ((2,), "Enter a value."),
    ]


def test_as_many_rules_as_allowed_are_accepted(world: World) -> None:
    facts = Facts(world.mailing_list, NOW)
    tree = parse_rules(group(*[rule()] * (MAX_RULES - 2), group(rule(), group(rule(), match="none"))), facts)
    assert matching(tree, facts).count() == 0


_JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False)
    | st.text(max_size=8)
    | st.sampled_from(["all", "any", "state", "field", "is", "city", "active", "\x00", "\ud800"]),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["match", "rules", "kind", "field", "comparison", "value", "x"]), inner, max_size=4
        )
        | st.fixed_dictionaries({"match": inner, "rules": st.lists(inner, max_size=3)})
        | st.fixed_dictionaries({"kind": inner, "field": inner, "comparison": inner, "value": inner})
    ),
    max_leaves=12,
)


@given(_JSON)
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_json_is_read_or_refused(world: World, tree: Any) -> None:
    facts = Facts(world.mailing_list, NOW)
    try:
        parsed = parse_rules(tree, facts)
    except RulesError as refusal:
        found = refusal.errors
    else:
        found = []
        assert list(matching(parsed, facts)) == []
    assert all(error.code and str(error) for error in found)


def test_a_tree_is_said_in_words(world: World) -> None:
    tree = group(
        rule(),
        rule("joined", "days_ago", "180"),
        group(
            rule("topic", "includes_not", str(world.topics["Craft"].pk)),
            rule("field", "more", "3.5", "age"),
            match="any",
        ),
        group(rule("domain", "is", "@Quay.example"), rule("paused", "is", ""), match="none"),
        rule("tag", "is_not", str(world.tags["Press"].pk)),
        rule("field", "last_days", "1", "met"),
    )
    facts = Facts(world.mailing_list, NOW)
    with translation.override("en"):
        words = describe(parse_rules(tree, facts), facts)
    assert words == (
        "state is Active, joined more than 180 days ago, (without topic Craft or Age is more than 3.5), "
        "(none of these: mail domain is “quay.example” or paused), without tag Press and Met is in the last day"
    )


def test_two_kinds_cannot_have_the_same_code() -> None:
    class Impostor(State):
        """Another class with a code that is taken."""

    REGISTRY.register(State())
    with pytest.raises(ValueError, match="'state'"):
        REGISTRY.register(Impostor())
