"""Selections: which subscribers an editor is looking at, as a filter that pages, bulk actions and exports share."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

from django.db import connection
from django.db.models import BooleanField, Exists, F, Func, OuterRef, Q, QuerySet
from django.utils import timezone
from django.utils.translation import gettext as _

from subscribers.directory.search import COMMON, search, search_exactly
from subscribers.models import (
    IMPORTED,
    Import,
    MailingList,
    Segment,
    Subscriber,
    Subscription,
    SubscriptionQuerySet,
    SubscriptionState,
    SubscriptionTag,
)
from subscribers.segments.kinds import Facts
from subscribers.segments.query import condition_of, segment_queryset
from subscribers.segments.rules import Group, Match, RulesError, parse_rules

#: Active subscriptions that skip issues at the moment. A filter, and no state of its own.
PAUSED = "paused"

#: The filter for subscriptions without a source.
NO_SOURCE = "-"

#: The most subscribers that are picked one by one.
MAX_KEYS = 1000

#: Digits of a primary key, which is a 64-bit integer.
MAX_DIGITS = 18

#: The most further filters, and characters of each of their parts.
MAX_RULES, MAX_RULE_TEXT = 10, 300

#: The most sources that are offered.
MAX_SOURCES = 50

#: Rows that show whether there were imports by an earlier version.
FIRST_ROWS = 500


#: Kind, field, comparison and value of a rule, as segments have them.
RuleParts = tuple[str, str, str, str]


class InvalidSelection(ValueError):
    """A query string that no page of ours links to."""

    permanent = True


class SelectionGone(ValueError):
    """The segment of a selection was deleted, or rules cannot be used any more."""

    permanent = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Selection:
    """Subscribers by the conditions of one subscription each, and by a text. All conditions hold at once.

    List, state, source, tag, segment and rules are conditions on the same subscription.
    """

    text: str = ""
    """A part of the address or of the name."""
    is_exact: bool = False
    """Whether the text is a whole address, and nothing else is found."""
    mailing_list: int | None = None
    state: str = ""
    """A SubscriptionState, or PAUSED."""
    source: str = ""
    tag: int | None = None
    segment: int | None = None
    keys: tuple[int, ...] = ()
    """If there are any: only these subscribers."""
    rules: tuple[RuleParts, ...] = ()
    """Further filters: all of these rules of segments, about one list."""

    @classmethod
    def from_query(cls, query: Mapping[str, str], *, is_exact: bool = False) -> Selection:
        """The selection of a query string. Raises InvalidSelection."""
        if unknown := query.keys() - {"q", "list", "state", "source", "tag", "segment", "keys", "rules"}:
            raise InvalidSelection(f"unknown filter {min(unknown)!r}")
        state = query.get("state", "")
        if state not in {"", PAUSED, *SubscriptionState.values}:
            raise InvalidSelection("unknown value of the filter 'state'")
        keys = tuple(_key("keys", part) or 0 for part in query.get("keys", "").split(",") if part)
        if len(keys) > MAX_KEYS:
            raise InvalidSelection("too many keys")
        return cls(
            text=_text(query, "q").strip(),
            is_exact=is_exact,
            mailing_list=_key("list", query.get("list", "")),
            state=state,
            source=_text(query, "source"),
            tag=_key("tag", query.get("tag", "")),
            segment=_key("segment", query.get("segment", "")),
            keys=keys,
            rules=_rules(query),
        )

    @classmethod
    def from_json(cls, stored: Mapping[str, Any]) -> Selection:
        """What `to_json` has made."""
        rules = tuple(_rule(each) for each in stored.get("rules", ()))
        return cls(**{**stored, "keys": tuple(stored["keys"]), "rules": rules})

    def to_json(self) -> dict[str, Any]:
        """For the database."""
        return {**dataclasses.asdict(self), "keys": list(self.keys)}

    @property
    def query(self) -> str:
        """The query string of this selection, without `?`."""
        values = {
            "q": self.text,
            "list": self.mailing_list,
            "state": self.state,
            "source": self.source,
            "tag": self.tag,
            "segment": self.segment,
            "keys": ",".join(map(str, self.keys)),
            "rules": json.dumps(self.rules, ensure_ascii=False, separators=(",", ":")) if self.rules else "",
        }
        return urlencode({name: value for name, value in values.items() if value})

    def without(self, name: str) -> Selection:
        """The same without the condition of this name."""
        nothing: Any = None if name in ("mailing_list", "tag", "segment") else ""
        return dataclasses.replace(self, **{name: nothing})

    def with_rule(self, rule: RuleParts) -> Selection:
        """The same with one more rule; a repeated one changes nothing."""
        return self if rule in self.rules else dataclasses.replace(self, rules=(*self.rules, rule))

    def without_rule(self, rule: RuleParts) -> Selection:
        """The same without this rule."""
        return dataclasses.replace(self, rules=tuple(each for each in self.rules if each != rule))

    def without_keys(self) -> Selection:
        """The filter alone, for the way back to the list."""
        return dataclasses.replace(self, keys=())

    @property
    def has_conditions(self) -> bool:
        """Whether subscriptions decide, and not the address or name alone."""
        return any((self.mailing_list, self.state, self.source, self.tag, self.segment, self.rules))

    def subscriptions(self) -> SubscriptionQuerySet:
        """The subscriptions that meet its conditions, of whichever subscriber. Raises SelectionGone."""
        found = _in_segment(self.segment) if self.segment else Subscription.objects.all()
        if self.mailing_list:
            found = found.filter(mailing_list=self.mailing_list)
        if self.state == PAUSED:
            found = found.filter(state=SubscriptionState.ACTIVE, paused_until__gt=timezone.now())
        elif self.state:
            found = found.filter(state=self.state)
        if self.source:
            found = found.filter(source="" if self.source == NO_SOURCE else self.source)
            if self.source not in (NO_SOURCE, IMPORTED):
                found = found.filter(IsNamedSource(F("source")))
        if self.tag:
            found = found.filter(_has_tag(self.tag))
        if self.rules:
            found = found.filter(self._rules_condition())
        return found

    def list_of_rules(self) -> MailingList | None:
        """The list that its rules are about: the chosen one, else the only one; None if there are several."""
        lists = MailingList.objects.filter(pk=self.mailing_list) if self.mailing_list else MailingList.objects.all()
        found = list(lists[:2])
        return found[0] if len(found) == 1 else None

    def _rules_condition(self) -> Q:
        mailing_list = self.list_of_rules()
        if mailing_list is None:
            raise SelectionGone(_("Choose a list: further filters are about the subscribers of one list."))
        facts = Facts(mailing_list)
        try:
            return Q(condition_of(group_of(self.rules, facts), facts), mailing_list=mailing_list.pk)
        except RulesError as error:
            raise SelectionGone(str(error)) from error

    def subscribers(self) -> QuerySet[Subscriber]:
        """The selected subscribers, in no order. Raises SelectionGone."""
        found = Subscriber.objects.all()
        if self.keys:
            found = found.filter(pk__in=self.keys)
        if self.has_conditions:
            found = found.filter(self._has_subscription())
        return search_exactly(found, self.text) if self.is_exact else search(found, self.text)

    def _has_subscription(self) -> Q:
        subscriptions = self.subscriptions()
        if connection.vendor == "sqlite" and subscriptions[:COMMON].count() < COMMON:
            # SQLite would ask for the subscriptions of one subscriber after the other.
            return Q(pk__in=subscriptions.values("subscriber"))
        return Q(Exists(subscriptions.filter(subscriber=OuterRef("pk"))))

    def subscriptions_of(self, subscribers: list[int]) -> SubscriptionQuerySet:
        """Those subscriptions of these subscribers (keys) that meet its conditions. Raises SelectionGone."""
        return self.subscriptions().filter(subscriber__in=subscribers)


def group_of(rules: Sequence[RuleParts], facts: Facts) -> Group:
    """The checked group of these rules. Raises RulesError."""
    return parse_rules({"match": Match.ALL.value, "rules": [as_tree(each) for each in rules]}, facts)


def as_tree(rule: RuleParts) -> dict[str, str]:
    """The rule in the JSON of a segment."""
    return dict(zip(("kind", "field", "comparison", "value"), rule, strict=True))


def _has_tag(tag: int) -> Q:
    rows = SubscriptionTag.objects.filter(tag=tag)
    if connection.vendor == "sqlite" and rows[:COMMON].count() < COMMON:
        # SQLite would look for the tag of one subscription after the other.
        return Q(pk__in=rows.values("subscription"))
    return Q(Exists(rows.filter(subscription=OuterRef("pk"))))


def _in_segment(pk: int) -> SubscriptionQuerySet:
    segment = Segment.objects.select_related("mailing_list").filter(pk=pk).first()
    if segment is None:
        raise SelectionGone(_("The segment was deleted."))
    try:
        return segment_queryset(segment)
    except RulesError as error:
        raise SelectionGone(str(error)) from error


class IsNamedSource(Func):
    """The condition of the index of sources, word for word.

    SQLite uses an index with a condition only if the statement has the same one, and parameters are none of its words.
    """

    template = f"NOT (%(expressions)s IN ('', '{IMPORTED}'))"
    output_field = BooleanField()


def sources() -> list[str]:
    """The sources that subscriptions have, in alphabetical order, one step in the index each."""
    # Versions without the table of imports made the oldest rows.
    oldest = Subscription.objects.order_by("pk").values_list("source", flat=True)[:FIRST_ROWS]
    found = [IMPORTED] if Import.objects.exists() or IMPORTED in set(oldest) else []
    named = Subscription.objects.filter(IsNamedSource(F("source"))).order_by("source").values_list("source", flat=True)
    last = named.first()
    while last is not None and len(found) < MAX_SOURCES:
        found.append(last)
        last = named.filter(source__gt=last).first()
    return sorted(found)


def _text(query: Mapping[str, str], name: str) -> str:
    text = query.get(name, "")
    if "\0" in text:
        raise InvalidSelection(f"a NUL in the filter {name!r}")
    return text


def _key(name: str, text: str) -> int | None:
    if not text:
        return None
    if not (text.isascii() and text.isdecimal() and len(text) <= MAX_DIGITS):
        raise InvalidSelection(f"no key in the filter {name!r}")
    return int(text)


def _rules(query: Mapping[str, str]) -> tuple[RuleParts, ...]:
    text = _text(query, "rules")
    if not text:
        return ()
    try:
        stored = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise InvalidSelection("no JSON in the filter 'rules'") from error
    if not isinstance(stored, list) or len(stored) > MAX_RULES:
        raise InvalidSelection("no rules in the filter 'rules'")
    return tuple(_rule(each) for each in stored)


def _rule(stored: Any) -> RuleParts:
    if not isinstance(stored, list | tuple) or len(stored) != 4:
        raise InvalidSelection("no rule in the filter 'rules'")
    parts = [each for each in stored if isinstance(each, str) and len(each) <= MAX_RULE_TEXT and "\0" not in each]
    if len(parts) != 4 or not all(part.isprintable() for part in parts):
        raise InvalidSelection("no rule in the filter 'rules'")
    return (parts[0], parts[1], parts[2], parts[3])
