"""Reading subscriptions for an export: chunk by chunk along the key, each with a fixed number of statements."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import chain
from typing import Any

from django.db.models import Case, F, Func, Q, TextField, Value, When
from django.db.models.expressions import Combinable
from django.db.models.functions import Concat

from subscribers.models import (
    Consent,
    ConsentKind,
    CustomField,
    FieldKind,
    FieldValue,
    SubscriptionQuerySet,
    SubscriptionState,
    SubscriptionTag,
    Suppression,
    Tag,
    TopicOptOut,
    fingerprint,
)

#: Subscriptions of one chunk, and keys that one statement names: SQLite limits the parameters of a statement.
CHUNK, CHUNK_OF_KEYS = 5000, 500

#: What belongs to a chunk is read by the span of its keys, unless the span has so many times as many keys.
SPARSE = 4

#: States in which an address may be suppressed.
MAY_BE_SUPPRESSED = (SubscriptionState.SUPPRESSED, SubscriptionState.UNSUBSCRIBED)

#: Steps that prove that a subscriber agreed.
PROOFS = (ConsentKind.CONFIRMED, ConsentKind.IMPORTED)


class UtcText(Func):
    """A time as text, `2026-05-31T09:30:00Z`; NULL for none. Reading times costs more than the rest of a row."""

    output_field = TextField()

    def as_postgresql(self, compiler: Any, connection: Any, **context: Any) -> Any:
        template = """to_char(%(expressions)s AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS"Z"')"""
        return self.as_sql(compiler, connection, template=template, **context)

    def as_sqlite(self, compiler: Any, connection: Any, **context: Any) -> Any:
        # Stored as text, in UTC.
        template = "replace(substr(%(expressions)s, 1, 19), ' ', 'T') || 'Z'"
        return self.as_sql(compiler, connection, template=template, **context)


def _after_bar(name: str) -> Case:
    """The text after a separator; nothing for an empty one."""
    text = Concat(Value(" | "), F(name), output_field=TextField())
    return Case(When(**{f"{name}__gt": ""}, then=text), default=Value(""), output_field=TextField())


#: The columns of a row, in their order; the first is the key. Times are text.
COLUMNS = (
    "pk",
    "subscriber__address",
    "subscriber__canonical",
    "subscriber__first_name",
    "state",
    UtcText("created_at"),
    UtcText("confirmed_at"),
    UtcText("ended_at"),
    "source",
    "subscriber__language",
    "subscriber__time_zone",
    "frequency",
    UtcText("paused_until"),
)


@dataclass(slots=True)
class Chunk:
    """Some subscriptions, and what belongs to them by key."""

    rows: Sequence[tuple[Any, ...]]
    """As in COLUMNS."""
    tags: Mapping[int, list[str]] = field(default_factory=dict)
    values: Mapping[int, dict[str, Any]] = field(default_factory=dict)
    """Values of custom fields by key of the field, as text; a list of options for fields with several."""
    topics_off: Mapping[int, list[str]] = field(default_factory=dict)
    reasons: Mapping[str, str] = field(default_factory=dict)
    """Reasons of suppressions by canonical address."""
    consents: Mapping[int, list[tuple[Any, ...]]] = field(default_factory=dict)
    """As in CONSENT_NAMES, the oldest first."""
    proofs: Mapping[int, str] = field(default_factory=dict)
    """The last proof of each in words; instead of its consents."""


#: A proof in one cell of a CSV.
PROOF = Concat(
    *(F("kind"), Value(" | "), UtcText("created_at"), _after_bar("form"), _after_bar("detail")),
    _after_bar("text__text"),
    output_field=TextField(),
)

#: What a consent tells in JSON Lines.
CONSENT_NAMES = (
    *("kind", "created_at", "address", "list_name", "form", "text", "text_version", "language", "source"),
    *("ip", "user_agent", "by", "reason", "detail"),
)
_OTHERS: dict[str, Combinable] = {
    "created_at": UtcText("created_at"),
    "text": F("text__text"),
    "text_version": F("text__version"),
}
CONSENT_COLUMNS: tuple[Combinable, ...] = tuple(_OTHERS.get(name, F(name)) for name in CONSENT_NAMES)


def read_chunks(
    subscriptions: SubscriptionQuerySet, fields: Iterable[CustomField], *, is_full: bool
) -> Iterator[Chunk]:
    """All of `subscriptions` in order of their keys. `is_full`: with all consents, else with the last proof only.

    Memory does not grow with their number. What changes meanwhile is exported as it was when its chunk was read.
    """
    fields_by_pk = {each.pk: each for each in fields}
    last = 0
    while rows := list(subscriptions.filter(pk__gt=last).order_by("pk").values_list(*COLUMNS)[:CHUNK]):
        keys = [row[0] for row in rows]
        last = keys[-1]
        places = _places(keys)
        yield Chunk(
            rows=rows,
            tags=_tags(places),
            values=_values(places, fields_by_pk) if fields_by_pk else {},
            topics_off=_topics_off(places),
            reasons=_reasons(rows),
            consents=_consents(places) if is_full else {},
            proofs={} if is_full else _proofs(places),
        )


def _places(keys: list[int]) -> list[Q]:
    """Conditions that together find what belongs to these subscriptions, and perhaps to some between them.

    A span takes one step in an index. A list of 5,000 keys costs more to write, plan and compare than the rows.
    """
    if keys[-1] - keys[0] < SPARSE * len(keys):
        return [Q(subscription__gte=keys[0], subscription__lte=keys[-1])]
    return [Q(subscription__in=keys[start : start + CHUNK_OF_KEYS]) for start in range(0, len(keys), CHUNK_OF_KEYS)]


def _tags(places: list[Q]) -> dict[int, list[str]]:
    found: dict[int, list[str]] = {}
    # Tags are few: the name of each is read once, and not with each of a million rows.
    names = dict(Tag.objects.values_list("pk", "name"))
    for place in places:
        for key, tag in SubscriptionTag.objects.filter(place).values_list("subscription_id", "tag_id"):
            if tag in names:
                found.setdefault(key, []).append(names[tag])
    return found


def _values(places: list[Q], fields: Mapping[int, CustomField]) -> dict[int, dict[str, Any]]:
    found: dict[int, dict[str, Any]] = {}
    columns = ("subscription_id", "field_id", "text", "number", "date")
    rows = (FieldValue.objects.filter(place).values_list(*columns) for place in places)
    for key, field_pk, text, number, date in chain.from_iterable(rows):
        if (field_ := fields.get(field_pk)) is None:
            continue
        values = found.setdefault(key, {})
        if field_.kind == FieldKind.CHOICES:
            values.setdefault(field_.key, []).append(text)
        elif field_.kind == FieldKind.NUMBER and number is not None:
            values[field_.key] = f"{number.normalize() + 0:f}"
        else:
            values[field_.key] = date.isoformat() if date else text
    several = [each for each in fields.values() if each.kind == FieldKind.CHOICES]
    for values in found.values() if several else ():
        for field_ in several:
            if field_.key in values:
                chosen = values[field_.key]
                known = [option for option in field_.options if option in chosen]
                values[field_.key] = known + sorted(set(chosen) - set(known))
    return found


def _topics_off(places: list[Q]) -> dict[int, list[str]]:
    found: dict[int, list[str]] = {}
    for place in places:
        rows = TopicOptOut.objects.filter(place).order_by("topic__position", "topic")
        for key, slug in rows.values_list("subscription_id", "topic__slug"):
            found.setdefault(key, []).append(slug)
    return found


def _reasons(rows: Sequence[tuple[Any, ...]]) -> dict[str, str]:
    by_fingerprint = {fingerprint(row[2]): row[2] for row in rows if row[4] in MAY_BE_SUPPRESSED}
    if not by_fingerprint:
        return {}
    found: dict[str, str] = {}
    keys = list(by_fingerprint)
    for start in range(0, len(keys), CHUNK_OF_KEYS):
        stored = Suppression.objects.filter(fingerprint__in=keys[start : start + CHUNK_OF_KEYS])
        found |= {by_fingerprint[key]: reason for key, reason in stored.values_list("fingerprint", "reason")}
    return found


def _proofs(places: list[Q]) -> dict[int, str]:
    rows = (
        Consent.objects.filter(place, kind__in=PROOFS).order_by("pk").values_list("subscription_id", PROOF)
        for place in places
    )
    # Of several, the last is kept.
    return dict(chain.from_iterable(rows))


def _consents(places: list[Q]) -> dict[int, list[tuple[Any, ...]]]:
    found: dict[int, list[tuple[Any, ...]]] = {}
    for place in places:
        rows = Consent.objects.filter(place).order_by("pk")
        for row in rows.values_list("subscription_id", *CONSENT_COLUMNS):
            found.setdefault(row[0], []).append(row[1:])
    return found
