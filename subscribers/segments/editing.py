"""A tree of rules while it is edited: read from a form, changed by one step, and shown with its controls.

A form posts the parts of the tree in their order: a `part` for each beginning and end of a group and for each rule, a
`match` for each group, and a `what`, `comparison` and `value` for each rule. So a part can be moved on the page without
renaming its fields.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from django.utils.translation import gettext as _
from django.utils.translation import gettext_noop

from subscribers.segments.count import Count
from subscribers.segments.kinds import ABOUT_FIELDS, REGISTRY, Comparison, Control, Facts, Kind, RuleError
from subscribers.segments.rules import MAX_DEPTH, MAX_RULES, Match

#: The most parts of a form: each rule may have a group of its own.
MAX_PARTS = 4 * MAX_RULES

Path = tuple[int, ...]


class PostedLists(Protocol):
    """The part of a QueryDict that is used."""

    def getlist(self, key: str) -> list[Any]:
        """Every value of a field, in the order of the form."""


def new_rule(facts: Facts) -> dict[str, str]:
    """The rule that “Add rule” adds."""
    return {"kind": "state", "field": "", "comparison": "is", "value": "active"}


def new_tree(facts: Facts) -> dict[str, Any]:
    """The tree of a new segment: the active subscriptions."""
    return {"match": Match.ALL.value, "rules": [new_rule(facts)]}


def posted_tree(data: PostedLists) -> tuple[dict[str, Any], list[Path]]:
    """The tree of a form, not checked, and the path of each of its parts. Raises RuleError for another form."""
    unreadable = RuleError("form_unreadable", gettext_noop("The form is incomplete. Reload the page."))
    names = data.getlist("part")
    values = {name: iter(data.getlist(name)) for name in ("match", "what", "comparison", "value")}
    if not names or len(names) > MAX_PARTS or names[0] != "group":
        raise unreadable
    root: dict[str, Any] = {}
    stack: list[tuple[Path, list[Any]]] = []
    paths: list[Path] = []
    try:
        for position, name in enumerate(names):
            if position and not stack:
                raise unreadable
            path = (*stack[-1][0], len(stack[-1][1])) if stack else ()
            if name == "end":
                paths.append(stack.pop()[0])
                continue
            paths.append(path)
            made = _posted_part(name, values)
            if stack:
                stack[-1][1].append(made)
            else:
                root = made
            if name == "group":
                stack.append((path, made["rules"]))
            if len(stack) > MAX_DEPTH:
                raise unreadable
    except (StopIteration, KeyError) as error:
        raise unreadable from error
    if stack:
        raise unreadable
    return root, paths


def _posted_part(name: str, values: Mapping[str, Iterator[str]]) -> dict[str, Any]:
    if name == "group":
        return {"match": next(values["match"]), "rules": []}
    if name != "rule":
        raise KeyError(name)
    kind, _colon, key = next(values["what"]).partition(":")
    return {
        "kind": kind,
        "field": key,
        "comparison": next(values["comparison"]),
        "value": next(values["value"]),
    }


def with_step(tree: dict[str, Any], step: str, paths: list[Path], facts: Facts) -> dict[str, Any]:
    """The tree after one step of an editor: `remove:3` removes the part at position 3 of the form. Unknown steps do
    nothing, and so do steps that would make a tree larger or deeper than it may be."""
    action, _colon, position = step.partition(":")
    if not position.isdecimal() or len(position) > 4 or int(position) >= len(paths):
        return tree
    path = paths[int(position)]
    if action == "remove" and path:
        _part(tree, path[:-1])["rules"].pop(path[-1])
    elif action in ("up", "down") and path:
        _move(tree, path, -1 if action == "up" else 1)
    elif action in ("add_rule", "add_group"):
        _add(tree, path, facts, as_group=action == "add_group")
    return tree


def _part(tree: dict[str, Any], path: Path) -> dict[str, Any]:
    for position in path:
        tree = tree["rules"][position]
    return tree


def _add(tree: dict[str, Any], path: Path, facts: Facts, *, as_group: bool) -> None:
    group = _part(tree, path)
    if "rules" not in group or _count(tree) >= MAX_RULES or (as_group and len(path) + 1 >= MAX_DEPTH):
        return
    rule = new_rule(facts)
    group["rules"].append({"match": Match.ANY.value, "rules": [rule]} if as_group else rule)


def _count(tree: dict[str, Any]) -> int:
    return sum(_count(each) if "rules" in each else 1 for each in tree["rules"])


def _move(tree: dict[str, Any], path: Path, by: int) -> None:
    """Past its neighbour; a rule goes into a neighbouring group, and out of its group at the end of it."""
    siblings, position = _part(tree, path[:-1])["rules"], path[-1]
    moved, target = siblings[position], position + by
    if 0 <= target < len(siblings):
        neighbour = siblings[target]
        siblings.pop(position)
        if "rules" in neighbour and "rules" not in moved:
            neighbour["rules"].insert(len(neighbour["rules"]) if by < 0 else 0, moved)
        else:
            siblings.insert(target, moved)
    elif len(path) > 1:
        siblings.pop(position)
        _part(tree, path[:-2])["rules"].insert(path[-2] + (by > 0), moved)


@dataclass
class ShownRule:
    """One rule with its controls."""

    position: int
    """Among the parts of the form."""
    path: Path
    whats: list[tuple[str, list[tuple[str, str]]]]
    """Groups of the first menu: label, and pairs of value and label."""
    what: str
    comparisons: list[tuple[str, str]]
    comparison: str
    control: Control
    largest: int
    options: list[tuple[str, str]]
    value: str
    error: str
    count: Count | None

    is_group = False

    @property
    def dom_id(self) -> str:
        """The id of its element."""
        return "rule-" + "-".join(map(str, self.path))


@dataclass
class ShownGroup:
    """One group with its controls."""

    position: int
    path: Path
    match: str
    error: str
    count: Count | None
    may_nest: bool
    parts: list[ShownRule | ShownGroup] = field(default_factory=list)

    is_group = True

    @property
    def is_root(self) -> bool:
        """Whether it is the outermost group."""
        return not self.path

    @property
    def dom_id(self) -> str:
        """The id of its element."""
        return "-".join(["group", *map(str, self.path)])

    @property
    def matches(self) -> list[tuple[str, str]]:
        """The choices of its menu."""
        return [
            (Match.ALL.value, _("all of these")),
            (Match.ANY.value, _("any of these")),
            (Match.NONE.value, _("none of these")),
        ]


class Shown:
    """Makes the controls of a tree, checked or not, with errors and counts by path."""

    def __init__(
        self, facts: Facts, errors: list[RuleError] | None = None, counts: Mapping[Path, Count] | None = None
    ) -> None:
        self._facts = facts
        self._errors = {error.path: str(error) for error in errors or ()}
        self._counts = counts or {}
        self._position = 0

    def group(self, tree: dict[str, Any], path: Path = ()) -> ShownGroup:
        """The group at this path. A stored tree of another shape is shown empty."""
        rules = tree.get("rules")
        match = tree.get("match")
        shown = ShownGroup(
            position=self._next(),
            path=path,
            match=match if isinstance(match, str) else Match.ALL.value,
            error=self._errors.get(path, ""),
            count=self._counts.get(path),
            may_nest=len(path) + 1 < MAX_DEPTH,
        )
        for index, each in enumerate(rules if isinstance(rules, list) else []):
            place = (*path, index)
            if isinstance(each, dict) and "rules" not in each:
                shown.parts.append(self._rule(each, place))
            elif isinstance(each, dict) and shown.may_nest:
                shown.parts.append(self.group(each, place))
        self._next()  # the end of the group
        return shown

    def rule(self, rule: dict[str, Any]) -> ShownRule:
        """The controls of a single rule."""
        return self._rule(rule, ())

    def _next(self) -> int:
        self._position += 1
        return self._position - 1

    def _rule(self, rule: dict[str, Any], path: Path) -> ShownRule:
        kind, key = _known_kind(rule, self._facts)
        table = kind.comparisons(self._facts, key)
        code = str(rule.get("comparison"))
        is_known = code in table
        code = code if is_known else next(iter(table))
        comparison = table[code]
        options = list(kind.options(self._facts, key, code).items())
        return ShownRule(
            position=self._next(),
            path=path,
            whats=_whats(self._facts),
            what=f"{kind.code}:{key}" if key else kind.code,
            comparisons=[(each, str(one.label)) for each, one in table.items()],
            comparison=code,
            control=comparison.control,
            largest=comparison.largest,
            options=options,
            value=_fitting(str(rule.get("value", "")), comparison, options),
            error=self._errors.get(path, ""),
            count=self._counts.get(path),
        )


def settled(tree: dict[str, Any], facts: Facts) -> dict[str, Any]:
    """The tree of a form as its controls show it: a comparison that the kind has, and a value that its control takes.

    So a rule whose subject was just changed has no error.
    """
    if "rules" in tree:
        return {"match": tree["match"], "rules": [settled(each, facts) for each in tree["rules"]]}
    shown = Shown(facts)._rule(tree, ())
    kind, _colon, key = shown.what.partition(":")
    return {"kind": kind, "field": key, "comparison": shown.comparison, "value": shown.value}


def _known_kind(rule: dict[str, Any], facts: Facts) -> tuple[Kind, str]:
    """The kind and the field of a rule; those of a new rule if they do not exist (any more)."""
    kind, key = REGISTRY.kinds.get(str(rule.get("kind"))), str(rule.get("field", ""))
    if kind is None or key not in kind.fields(facts):
        return REGISTRY.kinds["state"], ""
    return kind, key


def _fitting(value: str, comparison: Comparison, options: list[tuple[str, str]]) -> str:
    if comparison.control == Control.NONE:
        return ""
    if comparison.control == Control.OPTION and value not in dict(options):
        return ""
    return value


def _whats(facts: Facts) -> list[tuple[str, list[tuple[str, str]]]]:
    """The first menu: what a rule can be about, by group."""

    def make() -> list[tuple[str, list[tuple[str, str]]]]:
        # Kinds of other apps come last, whenever they were registered.
        groups: dict[str, list[tuple[str, str]]] = {_("Subscriber"): [], str(ABOUT_FIELDS): []}
        for code, kind in REGISTRY.kinds.items():
            rows = [(f"{code}:{key}" if key else code, label) for key, label in kind.fields(facts).items()]
            groups.setdefault(str(kind.group) or _("Subscriber"), []).extend(rows)
        return [(label, rows) for label, rows in groups.items() if rows]

    return facts.once("segments.whats", make)
