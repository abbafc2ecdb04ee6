"""A tree while it is edited: what forms post, what buttons change, and which controls are shown."""

from __future__ import annotations

from typing import Any

import pytest
from django.http import QueryDict
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from subscribers.segments.editing import Shown, ShownGroup, ShownRule, new_tree, posted_tree, settled, with_step
from subscribers.segments.kinds import Control, Facts, RuleError
from subscribers.segments.rules import MAX_RULES, RulesError, parse_rules
from tests.subscribers.segments.population import NOW, World, make_world, trees

pytestmark = pytest.mark.django_db


@pytest.fixture
def world() -> World:
    return make_world()


def form_of(shown: ShownGroup) -> QueryDict:
    """What a browser posts for these controls."""
    data = QueryDict(mutable=True)

    def add(name: str, value: str) -> None:
        data.appendlist(name, value)

    def add_group(one: ShownGroup) -> None:
        add("part", "group")
        add("match", one.match)
        for part in one.parts:
            if isinstance(part, ShownGroup):
                add_group(part)
            else:
                add_rule(part)
        add("part", "end")

    def add_rule(one: ShownRule) -> None:
        add("part", "rule")
        add("what", one.what)
        add("comparison", one.comparison)
        add("value", one.value)

    add_group(shown)
    return data


@given(st.data())
@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
def test_a_form_posts_the_tree_that_it_shows(world: World, data: st.DataObject) -> None:
    facts = Facts(world.mailing_list, NOW)
    tree = parse_rules(data.draw(trees(world)), facts).as_json()
    shown = Shown(facts).group(tree)
    posted, paths = posted_tree(form_of(shown))
    assert settled(posted, facts) == tree
    parts = list(all_parts(shown))
    assert [paths[part.position] for part in parts] == [part.path for part in parts]
    step = data.draw(st.sampled_from(["remove", "up", "down", "add_rule", "add_group", "explode"]))
    position = data.draw(st.integers(0, len(paths) + 1))
    changed = with_step(posted, f"{step}:{position}", paths, facts)
    try:
        parse_rules(settled(changed, facts), facts)
    except RulesError as refusal:
        found = refusal.errors
    else:
        found = []
    assert {error.code for error in found} <= {"group_empty"}


def all_parts(group: ShownGroup) -> list[ShownGroup | ShownRule]:
    """The parts in the order of the form."""
    found: list[ShownGroup | ShownRule] = [group]
    for part in group.parts:
        found += all_parts(part) if isinstance(part, ShownGroup) else [part]
    return found


def named(tree: dict[str, Any]) -> Any:
    """The tree as nested lists of values."""
    return [named(each) for each in tree["rules"]] if "rules" in tree else tree["value"]


def rule(value: str) -> dict[str, str]:
    """A rule with this value."""
    return {"kind": "source", "field": "", "comparison": "is", "value": value}


def group(*rules: Any) -> dict[str, Any]:
    """A group."""
    return {"match": "all", "rules": list(rules)}


@pytest.mark.parametrize(
    ("step", "after"),
    [
        ("up:1", ["a", ["b", "c"], "d"]),
        ("down:1", [["a", "b", "c"], "d"]),
        ("up:2", [["b", "c"], "a", "d"]),
        ("down:2", ["a", "d", ["b", "c"]]),
        ("up:3", ["a", "b", ["c"], "d"]),
        ("down:3", ["a", ["c", "b"], "d"]),
        ("down:4", ["a", ["b"], "c", "d"]),
        ("up:6", ["a", ["b", "c", "d"]]),
        ("down:6", ["a", ["b", "c"], "d"]),
        ("remove:2", ["a", "d"]),
        ("remove:4", ["a", ["b"], "d"]),
        ("remove:0", ["a", ["b", "c"], "d"]),
        ("up:0", ["a", ["b", "c"], "d"]),
        ("add_rule:2", ["a", ["b", "c", "active"], "d"]),
        ("add_group:0", ["a", ["b", "c"], "d", ["active"]]),
        ("add_rule:1", ["a", ["b", "c"], "d"]),
        ("add_rule:99", ["a", ["b", "c"], "d"]),
        ("add_rule:²", ["a", ["b", "c"], "d"]),
        ("", ["a", ["b", "c"], "d"]),
    ],
)
def test_each_button_changes_the_tree_as_it_says(world: World, step: str, after: Any) -> None:
    # Positions in the form: 0 root, 1 a, 2 group, 3 b, 4 c, 5 end of the group, 6 d, 7 end.
    facts = Facts(world.mailing_list, NOW)
    tree, paths = posted_tree(form_of(Shown(facts).group(group(rule("a"), group(rule("b"), rule("c")), rule("d")))))
    assert named(with_step(tree, step, paths, facts)) == after


def test_no_button_makes_a_tree_larger_or_deeper_than_it_may_be(world: World) -> None:
    facts = Facts(world.mailing_list, NOW)
    full = group(*[rule("a")] * MAX_RULES)
    tree, paths = posted_tree(form_of(Shown(facts).group(full)))
    assert with_step(tree, "add_rule:0", paths, facts) == full
    deep = group(group(group(rule("a"))))
    tree, paths = posted_tree(form_of(Shown(facts).group(deep)))
    assert with_step(tree, "add_group:2", paths, facts) == deep


@pytest.mark.parametrize(
    "body",
    [
        "",
        "part=rule&what=state&comparison=is&value=active",
        "part=group&match=all",
        "part=group&part=end",
        "part=group&match=all&part=end&part=rule&what=state&comparison=is&value=a",
        "part=group&match=all&part=rule&part=end",
        "part=group&match=all&part=script&part=end",
        "part=group&match=all&part=end&part=end",
        "part=group&match=all" * 4 + "part=end" * 4,
        "&".join(["part=group&match=all"] * 4 + ["part=end"] * 4),
        "part=group&match=all&" + "part=rule&what=state&comparison=is&value=a&" * 300 + "part=end",
    ],
)
def test_a_form_of_another_shape_is_refused(world: World, body: str) -> None:
    with pytest.raises(RuleError, match="incomplete"):
        posted_tree(QueryDict(body))


def test_a_rule_whose_subject_was_changed_gets_a_comparison_and_a_control_that_fit(world: World) -> None:
    facts = Facts(world.mailing_list, NOW)
    changed = {"kind": "field", "field": "colour", "comparison": "contains", "value": "Hamburg"}
    assert settled(changed, facts) == {"kind": "field", "field": "colour", "comparison": "is", "value": ""}
    shown = Shown(facts).group(group(changed)).parts[0]
    assert isinstance(shown, ShownRule)
    assert (shown.control, shown.options[0], shown.what) == (Control.OPTION, ("Blue", "Blue"), "field:colour")


def test_the_first_menu_groups_what_a_rule_can_be_about(world: World) -> None:
    facts = Facts(world.mailing_list, NOW)
    shown = Shown(facts).group(new_tree(facts)).parts[0]
    assert isinstance(shown, ShownRule)
    menus = dict(shown.whats)
    assert list(menus) == ["Subscriber", "Custom fields", "Issues"]
    assert ("field:city", "City") in menus["Custom fields"]
    assert ("clicked", "Clicked") in menus["Issues"]
    assert ("state", "State") in menus["Subscriber"]


def test_a_rule_about_a_deleted_field_is_shown_with_its_error(world: World) -> None:
    world.fields["city"].delete()
    facts = Facts(world.mailing_list, NOW)
    tree = group({"kind": "field", "field": "city", "comparison": "is", "value": "Kiel"})
    with pytest.raises(RulesError) as caught:
        parse_rules(tree, facts)
    shown = Shown(facts, caught.value.errors).group(tree).parts[0]
    assert shown.error == "The field of this rule no longer exists. Remove the rule."
