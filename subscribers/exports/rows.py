"""Reading subscriptions for an export: chunk by chunk along the key, each with a fixed number of statements."""

from __future__ import annotations

import datetime
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from django.db import connection

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
    TopicOptOut,
    fingerprint,
)

#: Subscriptions of one chunk. SQLite limits the parameters of a statement.
CHUNK, CHUNK_SQLITE = 5000, 500

#: States in which an address may be suppressed.
MAY_BE_SUPPRESSED = (SubscriptionState.SUPPRESSED, SubscriptionState.UNSUBSCRIBED)

#: Steps that prove that a subscriber agreed.
PROOFS = (ConsentKind.CONFIRMED, ConsentKind.IMPORTED)

#: The columns of a row, in their order; the first is the key.
COLUMNS = (
    "pk",
    "subscriber__address",
    "subscriber__canonical",
    "subscriber__first_name",
    "state",
    "created_at",
    "confirmed_at",
    "ended_at",
    "source",
    "subscriber__language",
    "subscriber__time_zone",
    "frequency",
    "paused_until",
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
    """As in the `consent_columns` of `read_chunks`, the oldest first."""


#: What a consent tells in a CSV, and in JSON Lines.
PROOF_COLUMNS = ("kind", "created_at", "form", "text__text", "detail")
CONSENT_COLUMNS = (
    *("kind", "created_at", "address", "list_name", "form", "text__text", "text__version", "language", "source"),
    *("ip", "user_agent", "by", "reason", "detail"),
)


def read_chunks(
    subscriptions: SubscriptionQuerySet, fields: Iterable[CustomField], *, is_full: bool
) -> Iterator[Chunk]:
    """All of `subscriptions` in order of their keys. `is_full`: with all consents, else with the last proof only.

    Memory does not grow with their number. What changes meanwhile is exported as it was when its chunk was read.
    """
    fields_by_pk = {each.pk: each for each in fields}
    size, last = (CHUNK_SQLITE if connection.vendor == "sqlite" else CHUNK), 0
    while rows := list(subscriptions.filter(pk__gt=last).order_by("pk").values_list(*COLUMNS)[:size]):
        keys = [row[0] for row in rows]
        last = keys[-1]
        yield Chunk(
            rows=rows,
            tags=_tags(keys),
            values=_values(keys, fields_by_pk) if fields_by_pk else {},
            topics_off=_topics_off(keys),
            reasons=_reasons(rows),
            consents=_consents(keys) if is_full else _proofs(keys),
        )


def _tags(keys: list[int]) -> dict[int, list[str]]:
    found: dict[int, list[str]] = {}
    rows = SubscriptionTag.objects.filter(subscription__in=keys).values_list("subscription_id", "tag__name")
    for key, name in rows:
        found.setdefault(key, []).append(name)
    return found


def _values(keys: list[int], fields: Mapping[int, CustomField]) -> dict[int, dict[str, Any]]:
    found: dict[int, dict[str, Any]] = {}
    rows = FieldValue.objects.filter(subscription__in=keys)
    for key, field_pk, text, number, date in rows.values_list("subscription_id", "field_id", "text", "number", "date"):
        if (field_ := fields.get(field_pk)) is None:
            continue
        values = found.setdefault(key, {})
        if field_.kind == FieldKind.CHOICES:
            values.setdefault(field_.key, []).append(text)
        elif field_.kind == FieldKind.NUMBER and number is not None:
            values[field_.key] = f"{number.normalize() + 0:f}"
        else:
            values[field_.key] = date.isoformat() if date else text
    for values in found.values():
        for field_ in fields.values():
            if field_.kind == FieldKind.CHOICES and field_.key in values:
                chosen = values[field_.key]
                known = [option for option in field_.options if option in chosen]
                values[field_.key] = known + sorted(set(chosen) - set(known))
    return found


def _topics_off(keys: list[int]) -> dict[int, list[str]]:
    found: dict[int, list[str]] = {}
    rows = TopicOptOut.objects.filter(subscription__in=keys).order_by("topic__position", "topic")
    for key, slug in rows.values_list("subscription_id", "topic__slug"):
        found.setdefault(key, []).append(slug)
    return found


def _reasons(rows: Sequence[tuple[Any, ...]]) -> dict[str, str]:
    by_fingerprint = {fingerprint(row[2]): row[2] for row in rows if row[4] in MAY_BE_SUPPRESSED}
    if not by_fingerprint:
        return {}
    stored = Suppression.objects.filter(fingerprint__in=by_fingerprint).values_list("fingerprint", "reason")
    return {by_fingerprint[key]: reason for key, reason in stored}


def _proofs(keys: list[int]) -> dict[int, list[tuple[Any, ...]]]:
    rows = Consent.objects.filter(subscription__in=keys, kind__in=PROOFS).order_by("pk")
    # Of several, the last is kept.
    return {row[0]: [row[1:]] for row in rows.values_list("subscription_id", *PROOF_COLUMNS)}


def _consents(keys: list[int]) -> dict[int, list[tuple[Any, ...]]]:
    found: dict[int, list[tuple[Any, ...]]] = {}
    rows = Consent.objects.filter(subscription__in=keys).order_by("pk")
    for row in rows.values_list("subscription_id", *CONSENT_COLUMNS):
        found.setdefault(row[0], []).append(row[1:])
    return found


def utc(at: datetime.datetime | None) -> str:
    """`2026-05-31T09:30:00Z`; empty for no time. Times come in UTC from the database."""
    return f"{at.isoformat()[:19]}Z" if at else ""
