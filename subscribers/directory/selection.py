"""Selections: which subscribers an editor is looking at, as a filter that pages, bulk actions and exports share."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

from django.db import connection
from django.db.models import Exists, OuterRef, Q, QuerySet
from django.utils import timezone
from django.utils.translation import gettext as _

from subscribers.directory.search import COMMON, search, search_exactly
from subscribers.models import (
    IMPORTED,
    Segment,
    Subscriber,
    Subscription,
    SubscriptionQuerySet,
    SubscriptionState,
    SubscriptionTag,
)
from subscribers.segments.query import segment_queryset
from subscribers.segments.rules import RulesError

#: Active subscriptions that skip issues at the moment. A filter, and no state of its own.
PAUSED = "paused"

#: The filter for subscriptions without a source.
NO_SOURCE = "-"

#: The most subscribers that are picked one by one.
MAX_KEYS = 1000

#: Digits of a primary key, which is a 64-bit integer.
MAX_DIGITS = 18

#: The most sources that are offered.
MAX_SOURCES = 50


class InvalidSelection(ValueError):
    """A query string that no page of ours links to."""

    permanent = True


class SelectionGone(ValueError):
    """The segment of a selection was deleted, or its rules cannot be used any more."""

    permanent = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Selection:
    """Subscribers by the conditions of one subscription each, and by a text. All conditions hold at once.

    List, state, source, tag and segment are conditions on the same subscription.
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

    @classmethod
    def from_query(cls, query: Mapping[str, str], *, is_exact: bool = False) -> Selection:
        """The selection of a query string. Raises InvalidSelection."""
        if unknown := query.keys() - {"q", "list", "state", "source", "tag", "segment", "keys"}:
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
        )

    @classmethod
    def from_json(cls, stored: Mapping[str, Any]) -> Selection:
        """What `to_json` has made."""
        return cls(**{**stored, "keys": tuple(stored["keys"])})

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
        }
        return urlencode({name: value for name, value in values.items() if value})

    def without(self, name: str) -> Selection:
        """The same without the condition of this name."""
        nothing: Any = None if name in ("mailing_list", "tag", "segment") else ""
        return dataclasses.replace(self, **{name: nothing})

    def without_keys(self) -> Selection:
        """The filter alone, for the way back to the list."""
        return dataclasses.replace(self, keys=())

    @property
    def has_conditions(self) -> bool:
        """Whether subscriptions decide, and not the address or name alone."""
        return any((self.mailing_list, self.state, self.source, self.tag, self.segment))

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
        if self.tag:
            found = found.filter(Exists(SubscriptionTag.objects.filter(tag=self.tag, subscription=OuterRef("pk"))))
        return found

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


def _in_segment(pk: int) -> SubscriptionQuerySet:
    segment = Segment.objects.select_related("mailing_list").filter(pk=pk).first()
    if segment is None:
        raise SelectionGone(_("The segment was deleted."))
    try:
        return segment_queryset(segment)
    except RulesError as error:
        raise SelectionGone(str(error)) from error


def sources() -> list[str]:
    """The sources that subscriptions have, in alphabetical order, one step in the index each."""
    found = list(Subscription.objects.filter(source=IMPORTED).values_list("source", flat=True)[:1])
    named = Subscription.objects.exclude(source__in=["", IMPORTED]).order_by("source").values_list("source", flat=True)
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
