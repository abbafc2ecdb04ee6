"""A segment's tree of rules: read it from JSON, check it, say it in words."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from django.utils.translation import gettext as _
from django.utils.translation import gettext_noop

from subscribers.models import Segment
from subscribers.segments.kinds import REGISTRY, Facts, Kind, Rule, RuleError
from subscribers.segments.references import rules_in

#: How deep groups may be nested, the outermost included, and how many rules a tree may have.
MAX_DEPTH, MAX_RULES = 3, 50

#: The keys of a rule and of a group in JSON.
RULE_KEYS, GROUP_KEYS = {"kind", "field", "comparison", "value"}, {"match", "rules"}


class Match(StrEnum):
    """How many rules of a group have to match."""

    ALL = "all"
    ANY = "any"
    NONE = "none"


@dataclass(frozen=True)
class Group:
    """A checked group. Its rules and groups are in the order of the form."""

    match: Match
    rules: tuple[Rule | Group, ...]

    def as_json(self) -> dict[str, Any]:
        """The tree as a segment stores it."""
        return {"match": self.match.value, "rules": [each.as_json() for each in self.rules]}

    def walk(self, path: tuple[int, ...] = ()) -> Iterator[tuple[tuple[int, ...], Rule | Group]]:
        """Each group and rule with its place, itself first."""
        yield path, self
        for position, each in enumerate(self.rules):
            if isinstance(each, Group):
                yield from each.walk((*path, position))
            else:
                yield (*path, position), each


class RulesError(ValueError):
    """A tree that cannot be used, with every error that was found. Its text is all their sentences."""

    permanent = True

    def __init__(self, errors: list[RuleError]) -> None:
        super().__init__(errors[0].message)
        self.errors = errors

    def __str__(self) -> str:
        return " ".join(str(error) for error in self.errors)


def parse_rules(tree: Any, facts: Facts) -> Group:
    """The checked tree of a JSON value from anywhere. Raises RulesError."""
    reading = _Reading(facts)
    try:
        root = reading.group(tree, ())
    except RuleError as error:
        raise RulesError([error]) from error
    if reading.errors:
        raise RulesError(reading.errors)
    return root


def rules_of(segment: Segment, facts: Facts) -> Group:
    """The checked tree of a stored segment. Raises RulesError, for example if a tag of a rule was deleted."""
    return parse_rules(segment.rules, facts)


class _Reading:
    """Reads one tree. Errors of values are collected; a wrong shape ends the reading."""

    def __init__(self, facts: Facts) -> None:
        self.facts = facts
        self.errors: list[RuleError] = []
        self._count = 0

    def group(self, tree: Any, path: tuple[int, ...]) -> Group:
        if not isinstance(tree, dict) or set(tree) != GROUP_KEYS or not isinstance(tree["rules"], list):
            message = gettext_noop("Add a rule.") if tree == {} else gettext_noop("This is not a tree of rules.")
            raise RuleError("group_empty" if tree == {} else "tree_unreadable", message, path=path)
        if not isinstance(tree["match"], str) or tree["match"] not in set(Match):
            raise RuleError("match_unknown", gettext_noop("A group matches all, any or none of its rules."), path=path)
        if len(path) >= MAX_DEPTH:
            message = gettext_noop("Groups can be nested at most {limit} deep.")
            raise RuleError("too_deep", message, path=path, limit=MAX_DEPTH)
        if not tree["rules"]:
            self.errors.append(
                RuleError("group_empty", gettext_noop("Add a rule or remove the group."), path=path)
                if path
                else RuleError("group_empty", gettext_noop("Add a rule."), path=path)
            )
        parts = [self.part(each, (*path, position)) for position, each in enumerate(tree["rules"])]
        return Group(Match(tree["match"]), tuple(parts))

    def part(self, tree: Any, path: tuple[int, ...]) -> Rule | Group:
        if isinstance(tree, dict) and "match" in tree:
            return self.group(tree, path)
        self._count += 1
        if self._count > MAX_RULES:
            message = gettext_noop("A segment can have at most {limit} rules.")
            raise RuleError("too_many", message, path=path, limit=MAX_RULES)
        if not isinstance(tree, dict) or set(tree) != RULE_KEYS or not all(isinstance(v, str) for v in tree.values()):
            raise RuleError("tree_unreadable", gettext_noop("This is not a rule."), path=path)
        rule = Rule(tree["kind"], tree["field"], tree["comparison"], tree["value"].strip())
        try:
            _check(rule, self.facts)
        except RuleError as error:
            self.errors.append(error.at(path))
        return rule


def kind_of(rule: Rule) -> Kind:
    """The kind of a rule. Raises RuleError."""
    if rule.kind not in REGISTRY.kinds:
        raise RuleError("kind_unknown", gettext_noop("Choose what the rule is about."))
    return REGISTRY.kinds[rule.kind]


def _check(rule: Rule, facts: Facts) -> None:
    kind = kind_of(rule)
    if rule.field not in kind.fields(facts):
        raise RuleError("field_unknown", gettext_noop("The field of this rule no longer exists. Remove the rule."))
    if rule.comparison not in kind.comparisons(facts, rule.field):
        raise RuleError("comparison_unknown", gettext_noop("Choose how to compare."))
    kind.value(rule, facts)


def describe(group: Group, facts: Facts) -> str:
    """The tree in words, in the active language: “state is Active, and (tag is VIP or tag is Press)”."""
    parts = [_words(each, facts) for each in group.rules]
    if group.match == Match.NONE:
        return _("none of these: %(rules)s") % {"rules": _listed(parts, _("%(first)s or %(last)s"))}
    return _listed(parts, _("%(first)s or %(last)s") if group.match == Match.ANY else _("%(first)s and %(last)s"))


def _words(part: Rule | Group, facts: Facts) -> str:
    if isinstance(part, Rule):
        return kind_of(part).words(part, facts)
    words = describe(part, facts)
    return words if len(part.rules) == 1 and part.match != Match.NONE else f"({words})"


def _listed(parts: list[str], pattern: str) -> str:
    """“a, b and c” by the pattern for the last two."""
    return pattern % {"first": ", ".join(parts[:-1]), "last": parts[-1]} if len(parts) > 1 else "".join(parts)


def rules_fingerprint(segment: Segment) -> str:
    """SHA-256 of what editors decided about the segment, for the manifest of a send: its rules, or who is picked.

    Rules that name a picked segment include its subscribers. Other subscribers who begin to match change nothing.
    """
    decided: dict[str, Any] = {"picked": _picked(segment)} if segment.is_picked else {"rules": segment.rules}
    if not segment.is_picked:
        named = {str(rule.get("value")) for rule in rules_in(segment.rules) if rule.get("kind") == "picked"}
        found = Segment.objects.filter(mailing_list=segment.mailing_list_id, is_picked=True).order_by("pk")
        decided["named"] = {str(each.pk): _picked(each) for each in found if str(each.pk) in named}
    return hashlib.sha256(json.dumps(decided, sort_keys=True).encode()).hexdigest()


def _picked(segment: Segment) -> list[int]:
    return list(segment.picks.order_by("subscription").values_list("subscription", flat=True))
