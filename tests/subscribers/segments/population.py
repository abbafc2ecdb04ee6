"""Small populations, trees over them, and what a tree means, in plain Python."""

from __future__ import annotations

import datetime
import itertools
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from hypothesis import strategies as st

from subscribers.models import (
    CustomField,
    FieldKind,
    FieldValue,
    Frequency,
    MailingList,
    Segment,
    SegmentPick,
    Subscriber,
    Subscription,
    SubscriptionState,
    SubscriptionTag,
    Tag,
    Topic,
    TopicOptOut,
)
from tests.people import make_mailing_list

NOW = datetime.datetime(2026, 11, 29, 12, tzinfo=datetime.UTC)
DAY = datetime.timedelta(days=1)

#: Few values, so that rules meet them: capital letters, the signs of LIKE, quotes, and letters outside ASCII.
TEXTS = ["Berlin", "berlin", "100%", "1_0", "O'Hara", "日本", "a\\b", "ber"]
NUMBERS = ["-1", "0", "2.5", "3", "1000000"]
DATES = ["2026-10-01", "2026-11-20", "2026-11-28", "2026-11-29", "2026-11-30"]
COUNTS = ["1", "2", "9", "60"]
OPTIONS = ["Blue", "Green", "Blue, dark"]
TAGS, TOPICS, DOMAINS = ["VIP", "Press"], ["Ports", "Craft"], ["quay.example", "a-quay.example", "pier.example"]

FIELDS = {
    "city": FieldKind.TEXT,
    "age": FieldKind.NUMBER,
    "met": FieldKind.DATE,
    "member": FieldKind.YES_NO,
    "colour": FieldKind.CHOICE,
    "colours": FieldKind.CHOICES,
}

_numbers = itertools.count()


@dataclass
class Person:
    """One subscription, as a test draws it."""

    state: str
    domain: str
    name: str
    source: str
    language: str
    frequency: str
    joined: datetime.datetime | None
    paused_until: datetime.datetime | None
    tags: frozenset[str]
    without_topics: frozenset[str]
    is_picked: bool
    is_elsewhere: bool
    values: dict[str, Any]
    pk: int = 0


@dataclass
class World:
    """A list with its fields, tags, topics, a picked segment, and another list."""

    mailing_list: MailingList
    other: MailingList
    fields: dict[str, CustomField]
    tags: dict[str, Tag]
    topics: dict[str, Topic]
    picked: Segment
    people: list[Person] = field(default_factory=list)


def make_world() -> World:
    """The world without people."""
    mailing_list, other = make_mailing_list(language="de"), make_mailing_list("tide-tables")
    return World(
        mailing_list,
        other,
        {
            key: CustomField.objects.create(
                mailing_list=mailing_list, key=key, label=key.title(), kind=kind, options=OPTIONS
            )
            for key, kind in FIELDS.items()
        },
        {name: Tag.objects.create(mailing_list=mailing_list, name=name) for name in TAGS},
        {name: Topic.objects.create(mailing_list=mailing_list, name=name, slug=name.lower()) for name in TOPICS},
        Segment.objects.create(mailing_list=mailing_list, name="Friends", is_picked=True),
    )


def _some(values: list[str], at_least: int = 0) -> st.SearchStrategy[frozenset[str]]:
    """At least so many of these values, at most two."""
    counts = range(at_least, 3)
    return st.sampled_from([frozenset(each) for count in counts for each in itertools.combinations(values, count)])


people = st.lists(
    st.builds(
        Person,
        state=st.sampled_from(SubscriptionState.values),
        domain=st.sampled_from(DOMAINS),
        name=st.sampled_from(["", *TEXTS]),
        source=st.sampled_from(["", *TEXTS]),
        language=st.sampled_from(["", "de", "en"]),
        frequency=st.sampled_from(Frequency.values),
        joined=st.none() | st.sampled_from([NOW - days * DAY for days in (0, 1, 2, 9, 60)]),
        paused_until=st.none() | st.sampled_from([NOW - DAY, NOW, NOW + DAY]),
        tags=_some(TAGS),
        without_topics=_some(TOPICS),
        is_picked=st.booleans(),
        is_elsewhere=st.booleans(),
        values=st.fixed_dictionaries(
            {},
            optional={
                "city": st.sampled_from(TEXTS),
                "age": st.sampled_from(NUMBERS),
                "met": st.sampled_from(DATES),
                "member": st.sampled_from(["yes", "no"]),
                "colour": st.sampled_from(OPTIONS),
                "colours": _some(OPTIONS, 1),
            },
        ),
    ),
    max_size=5,
)


def store(world: World, drawn: list[Person]) -> None:
    """Add these people to the world."""
    for person in drawn:
        address = f"reader-{next(_numbers)}@{person.domain}"
        subscriber = Subscriber.objects.create(
            address=address, canonical=address, first_name=person.name, language=person.language
        )
        if person.state == SubscriptionState.ACTIVE and person.joined is None:
            person.joined = NOW
        subscription = Subscription.objects.create(
            mailing_list=world.mailing_list,
            subscriber=subscriber,
            state=person.state,
            source=person.source,
            frequency=person.frequency,
            confirmed_at=person.joined,
            paused_until=person.paused_until,
        )
        person.pk = subscription.pk
        _store_around(world, person, subscription)
    world.people = drawn


def _store_around(world: World, person: Person, subscription: Subscription) -> None:
    SubscriptionTag.objects.bulk_create(
        SubscriptionTag(tag=world.tags[name], subscription=subscription) for name in person.tags
    )
    TopicOptOut.objects.bulk_create(
        TopicOptOut(topic=world.topics[name], subscription=subscription) for name in person.without_topics
    )
    if person.is_picked:
        SegmentPick.objects.create(segment=world.picked, subscription=subscription)
    if person.is_elsewhere:
        Subscription.objects.create(
            mailing_list=world.other,
            subscriber=subscription.subscriber,
            state=SubscriptionState.ACTIVE,
            confirmed_at=NOW,
        )
    FieldValue.objects.bulk_create(
        row for key, value in person.values.items() for row in _rows(world, key, value, subscription)
    )


def _rows(world: World, key: str, value: Any, subscription: Subscription) -> list[FieldValue]:
    column = {"age": "number", "met": "date"}.get(key, "text")
    several = value if isinstance(value, frozenset) else [value]
    return [
        FieldValue(
            field=world.fields[key],
            subscription=subscription,
            is_multiple=FIELDS[key] == FieldKind.CHOICES,
            **{column: one},
        )
        for one in several
    ]


def _rule(kind: str, comparisons: list[str], values: list[str], key: str = "") -> st.SearchStrategy[dict[str, Any]]:
    return st.builds(
        lambda comparison, value: {
            "kind": kind,
            "field": key,
            "comparison": comparison,
            "value": "" if comparison.startswith("has_") else value,
        },
        st.sampled_from(comparisons),
        st.sampled_from(values),
    )


def rules(world: World) -> st.SearchStrategy[dict[str, Any]]:
    """One rule of any kind."""
    texts = ["is", "contains", "begins", "has_value", "has_none"]
    any_value = ["has_value", "has_none"]
    return st.one_of(
        _rule("state", ["is", "is_not"], list(SubscriptionState.values)),
        _rule("tag", ["is", "is_not"], [str(tag.pk) for tag in world.tags.values()]),
        _rule("topic", ["includes", "includes_not"], [str(topic.pk) for topic in world.topics.values()]),
        _rule("frequency", ["is"], list(Frequency.values)),
        _rule("language", ["is", "is_not"], ["de", "en"]),
        _rule("picked", ["in", "not_in"], [str(world.picked.pk)]),
        _rule("list", ["in", "not_in"], [str(world.other.pk)]),
        _rule("paused", ["is", "is_not"], [""]),
        _rule("joined", ["last_days", "days_ago"], COUNTS),
        _rule("joined", ["before", "after"], DATES),
        _rule("source", texts, TEXTS),
        _rule("name", texts, TEXTS),
        _rule("domain", ["is", "is_not"], DOMAINS),
        _rule("field", [*texts, "is_not"], TEXTS, "city"),
        _rule("field", ["is", "is_not", "more", "less", *any_value], NUMBERS, "age"),
        _rule("field", ["is", "before", "after", *any_value], DATES, "met"),
        _rule("field", ["last_days"], COUNTS, "met"),
        _rule("field", ["is", *any_value], ["yes", "no"], "member"),
        _rule("field", ["is", "is_not", *any_value], OPTIONS, "colour"),
        _rule("field", ["includes", "includes_not", *any_value], OPTIONS, "colours"),
    )


def _group(parts: st.SearchStrategy[Any]) -> st.SearchStrategy[dict[str, Any]]:
    return st.fixed_dictionaries(
        {"match": st.sampled_from(["all", "any", "none"]), "rules": st.lists(parts, min_size=1, max_size=3)}
    )


def trees(world: World) -> st.SearchStrategy[dict[str, Any]]:
    """A tree as deep as it may be."""
    rule = rules(world)
    return _group(rule | _group(rule | _group(rule)))


def means(tree: dict[str, Any], person: Person, world: World) -> bool:
    """Whether the tree matches the person."""
    if "match" not in tree:
        return _means_rule(tree, person, world)
    matched = [means(each, person, world) for each in tree["rules"]]
    return {"all": all(matched), "any": any(matched), "none": not any(matched)}[tree["match"]]


def _means_rule(rule: dict[str, Any], person: Person, world: World) -> bool:
    kind, comparison, value = rule["kind"], rule["comparison"], rule["value"]
    if kind == "field":
        return _means_field(rule, person.values.get(rule["field"]))
    if kind in ("source", "name"):
        return _means_text(comparison, person.source if kind == "source" else person.name, value)
    if kind == "joined":
        return _means_joined(comparison, person.joined, value)
    is_so: dict[str, Callable[[], bool]] = {
        "state": lambda: person.state == value,
        "tag": lambda: value in {str(world.tags[name].pk) for name in person.tags},
        "topic": lambda: value not in {str(world.topics[name].pk) for name in person.without_topics},
        "frequency": lambda: person.frequency == value,
        "language": lambda: (person.language or "de") == value,
        "picked": lambda: person.is_picked,
        "list": lambda: person.is_elsewhere,
        "paused": lambda: person.paused_until is not None and person.paused_until > NOW,
        "domain": lambda: person.domain == value,
    }
    return is_so[kind]() is not ("not" in comparison)


def _means_joined(comparison: str, joined: datetime.datetime | None, value: str) -> bool:
    if joined is None:
        return False
    if comparison in ("last_days", "days_ago"):
        return (joined >= NOW - int(value) * DAY) is (comparison == "last_days")
    date = datetime.date.fromisoformat(value)
    return joined.date() < date if comparison == "before" else joined.date() > date


def _means_text(comparison: str, text: str, value: str) -> bool:
    text, value = text.upper(), value.upper()
    return {
        "is": text == value,
        "is_not": text != value,
        "contains": value in text,
        "begins": text.startswith(value),
        "has_value": text != "",
        "has_none": text == "",
    }[comparison]


def _means_field(rule: dict[str, Any], stored: Any) -> bool:
    key, comparison, value = rule["field"], rule["comparison"], rule["value"]
    if stored is None:
        return comparison in ("is_not", "includes_not", "has_none")
    if comparison in ("has_value", "has_none"):
        return bool(comparison == "has_value")
    if key == "city":
        return _means_text(comparison, stored, value)
    if key == "colours":
        return (value in stored) is (comparison == "includes")
    if key == "met":
        return _means_date(comparison, datetime.date.fromisoformat(stored), value)
    if key == "age":
        number, limit = float(stored), float(value)
        return {"is": number == limit, "is_not": number != limit, "more": number > limit, "less": number < limit}[
            comparison
        ]
    return bool((stored == value) is (comparison == "is"))


def _means_date(comparison: str, date: datetime.date, value: str) -> bool:
    if comparison == "last_days":
        return NOW.date() - int(value) * DAY < date <= NOW.date()
    other = datetime.date.fromisoformat(value)
    return {"is": date == other, "before": date < other, "after": date > other}[comparison]
