"""Which data is about a subscriber: one rule for each kind, which exports and erases it.

Other apps add rules of their own when they start, because this one knows nothing of them.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from django.db.models import Model

from subscribers.addresses import parse_address
from subscribers.models import Subscriber, fingerprint

if TYPE_CHECKING:
    from django.utils.functional import _StrOrPromise as StrOrPromise

#: One exported row: names and plain values, as JSON has them.
Row = dict[str, Any]


@dataclass(frozen=True)
class DataSubject:
    """Whose data it is: an address, and the subscriber with it, if there is one."""

    canonical: str
    subscriber: Subscriber | None

    @functools.cached_property
    def subscriber_pk(self) -> int:
        """The key of the subscriber; 0, which no row has, without one."""
        return self.subscriber.pk if self.subscriber else 0

    @functools.cached_property
    def subscription_pks(self) -> list[int]:
        """The keys of the subscriptions."""
        return list(self.subscriber.subscriptions.values_list("pk", flat=True)) if self.subscriber else []

    @property
    def addresses(self) -> tuple[str, ...]:
        """The address in each form in which it is stored."""
        typed = self.subscriber.address if self.subscriber else self.canonical
        return tuple({self.canonical: None, typed: None})

    @property
    def domain(self) -> str:
        """The mail domain of the address."""
        return self.canonical.rpartition("@")[2]

    def is_named_in(self, text: str) -> bool:
        """Whether a text, or JSON as it is stored, has one of the addresses, and not only as a part of a longer one."""
        return self._named.search(text) is not None

    def without_name(self, text: str) -> str:
        """The text without the addresses."""
        return self._named.sub("", text)

    @functools.cached_property
    def _named(self) -> re.Pattern[str]:
        """The addresses, which are ASCII, with their borders: susan@example.org does not name an@example.org.

        In JSON, the letter of an escape such as `\\n` or `\\u00fc` may stand before one.
        """
        words = "|".join(map(re.escape, self.addresses))
        return re.compile(
            rf"(?:(?<![\w.+-])|(?<=\\[bfnrt])|(?<=\\u[0-9a-f]{{4}}))(?:{words})(?![\w-]|\.\w)",
            re.IGNORECASE | re.ASCII,
        )

    @property
    def fingerprint(self) -> str:
        """The keyed hash that stays after erasure."""
        return fingerprint(self.canonical)


def find_data_subject(address: str) -> DataSubject:
    """The subscriber with this address, stored or not. Raises AddressError."""
    canonical = parse_address(address).canonical
    return DataSubject(canonical, Subscriber.objects.filter(canonical=canonical).first())


def _nothing(subject: DataSubject) -> list[int]:
    return []


@dataclass(frozen=True, slots=True, kw_only=True)
class DataRule:
    """What to do with one kind of data about a subscriber."""

    name: str
    """The name of the section in an export; unique."""
    title: StrOrPromise
    """The heading of the section."""
    models: tuple[type[Model], ...]
    """The models that it covers."""
    export: Callable[[DataSubject], Iterable[Row]] | None
    """Returns what is stored; None where it tells the subscriber nothing, such as the log of editors."""
    erase: Callable[[DataSubject, list[int]], int]
    """Removes or empties all of it, in the transaction of the erasure. Returns how many rows.

    Gets the keys that `locate` found, which may be gone.
    """
    locate: Callable[[DataSubject], list[int]] = _nothing
    """Finds rows without an index, before the transaction: a long search must not lock the database."""


#: The rules that other apps have added, in this order.
_ADDED: dict[str, DataRule] = {}


def add_rule(rule: DataRule) -> None:
    """Add the rule of another app. A rule with the same name is replaced, so that this may be repeated."""
    _ADDED[rule.name] = rule


#: Run after each erasure, outside of its transaction. Other parts of the app add themselves at the start.
CLEANUPS: list[Callable[[], None]] = []


def added_rules() -> tuple[DataRule, ...]:
    """The rules of other apps."""
    return tuple(_ADDED.values())


def plain_row(row: Model, *names: str, **more: Any) -> Row:
    """The named fields of a row and others, as plain values; codes as they are stored."""
    values = {name: getattr(row, name) for name in names} | more
    return {name: value for name, value in values.items() if value not in (None, "", [], {})}
