"""Kinds of rules: what a rule can ask. Other apps register kinds of their own."""

from __future__ import annotations

import datetime
import re
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from enum import StrEnum
from functools import cached_property
from typing import TYPE_CHECKING, Any, TypeVar

from django.db.models import Q
from django.utils import timezone
from django.utils.formats import date_format, number_format
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, gettext_noop

from subscribers.addresses import UNFIT_FOR_HEADERS
from subscribers.models import MAX_TEXT, CustomField, MailingList, Segment, Tag, Topic

if TYPE_CHECKING:
    from django.utils.functional import _StrOrPromise as StrOrPromise

T = TypeVar("T")

#: A value as SQL gets it.
RuleValue = str | int | Decimal | datetime.date | None

#: The largest number of days and of issues in a rule.
MAX_DAYS, MAX_ISSUES = 36_500, 1_000

#: Numbers as the builder and files write them: no exponent, at most so many digits as a field stores.
NUMBER = re.compile(r"[+-]?[0-9]{1,18}(\.[0-9]{1,6})?")


class RuleError(ValueError):
    """One error of a tree of rules. The sentence says what to do, in the language that is active when it is shown."""

    permanent = True

    def __init__(self, code: str, message: str, *, path: tuple[int, ...] = (), **values: str | int) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        """In English, with `{names}` that `values` fill."""
        self.path = path
        """Where the rule or group is: positions in its groups, from the outermost. Empty: the whole tree."""
        self.values = values

    def __str__(self) -> str:
        return _(self.message).format(**self.values)

    def at(self, path: tuple[int, ...]) -> RuleError:
        """The same error of the rule at this place."""
        return RuleError(self.code, self.message, path=path, **self.values)


class Control(StrEnum):
    """The control with which a form asks for the value."""

    NONE = "none"
    TEXT = "text"
    NUMBER = "number"
    COUNT = "count"
    DATE = "date"
    OPTION = "option"


@dataclass(frozen=True)
class Comparison:
    """One way in which a kind compares."""

    label: StrOrPromise
    """In the builder."""
    words: StrOrPromise
    """In the sentence of a segment: with `%(value)s`, and `%(field)s` for the label of a custom field."""
    control: Control = Control.NONE
    largest: int = MAX_DAYS
    """Of a whole number."""


@dataclass(frozen=True)
class Rule:
    """One checked rule."""

    kind: str
    field: str
    """The key of a custom field; empty for other kinds."""
    comparison: str
    value: str
    """As in the form and in JSON: ISO dates, a point in numbers, the key of a row. Empty if there is none."""

    def as_json(self) -> dict[str, str]:
        """The rule in the JSON of a segment."""
        return {"kind": self.kind, "field": self.field, "comparison": self.comparison, "value": self.value}


class Facts:
    """What rules of a list can name, and the time at which they are evaluated. Reads each part once, when asked."""

    def __init__(self, mailing_list: MailingList, now: datetime.datetime | None = None) -> None:
        self.mailing_list = mailing_list
        self.now = now or timezone.now()
        self._kept: dict[str, Any] = {}

    @property
    def today(self) -> datetime.date:
        """The date in the time zone of the installation, UTC."""
        return timezone.localdate(self.now, timezone.get_default_timezone())

    @cached_property
    def fields(self) -> dict[str, CustomField]:
        """The list's custom fields by key."""
        return {each.key: each for each in CustomField.objects.filter(mailing_list=self.mailing_list.pk)}

    @cached_property
    def tags(self) -> dict[str, str]:
        """Names of the list's tags by primary key."""
        return _names(Tag.objects.filter(mailing_list=self.mailing_list.pk).order_by("key").values_list("pk", "name"))

    @cached_property
    def topics(self) -> dict[str, str]:
        """Names of the list's topics by primary key."""
        return _names(Topic.objects.filter(mailing_list=self.mailing_list.pk).values_list("pk", "name"))

    @cached_property
    def picked(self) -> dict[str, str]:
        """Names of the list's segments that are picked by hand, by primary key."""
        found = Segment.objects.filter(mailing_list=self.mailing_list.pk, is_picked=True)
        return _names(found.order_by("name").values_list("pk", "name"))

    @cached_property
    def other_lists(self) -> dict[str, str]:
        """Names of the other lists by primary key."""
        return _names(
            MailingList.objects.exclude(pk=self.mailing_list.pk).order_by("name", "pk").values_list("pk", "name")
        )

    def once(self, name: str, make: Callable[[], T]) -> T:
        """What `make` returns, made once for this object. For kinds of other apps."""
        if name not in self._kept:
            self._kept[name] = make()
        found: T = self._kept[name]
        return found


def _names(rows: Iterable[tuple[Any, str]]) -> dict[str, str]:
    return {str(pk): name for pk, name in rows}


class Kind(ABC):
    """One kind of rule. `code` is in the JSON of segments and never changes."""

    code: str
    label: StrOrPromise
    #: The group of the builder's menu; empty: first.
    group: StrOrPromise = ""

    def fields(self, facts: Facts) -> Mapping[str, str]:
        """Labels of what the kind asks about, by the rule's `field`. Most kinds ask about one thing."""
        return {"": str(self.label)}

    @abstractmethod
    def comparisons(self, facts: Facts, field: str) -> Mapping[str, Comparison]:
        """The comparisons by their codes, the usual one first."""

    def options(self, facts: Facts, field: str, comparison: str) -> Mapping[str, str]:
        """Labels by value, where the control is a list of options."""
        return {}

    @abstractmethod
    def condition(self, rule: Rule, facts: Facts) -> Q:
        """The filter over subscriptions. The rule is checked; rows have an outer key only, never a name of the user."""

    def value(self, rule: Rule, facts: Facts) -> RuleValue:
        """The value as SQL gets it. Raises RuleError."""
        comparison = self.comparisons(facts, rule.field)[rule.comparison]
        if comparison.control == Control.OPTION:
            return _option(rule, self.options(facts, rule.field, rule.comparison))
        return read_value(comparison, rule.value)

    def words(self, rule: Rule, facts: Facts) -> str:
        """The rule as a part of a sentence, in the active language."""
        comparison = self.comparisons(facts, rule.field)[rule.comparison]
        shown: str | int = rule.value
        if comparison.control == Control.OPTION:
            shown = self.options(facts, rule.field, rule.comparison)[rule.value]
        elif comparison.control in (Control.TEXT, Control.NUMBER, Control.DATE, Control.COUNT):
            shown = _shown(read_value(comparison, rule.value))
        return str(comparison.words % {"value": shown, "field": self.fields(facts).get(rule.field, "")})


def read_value(comparison: Comparison, raw: str) -> RuleValue:
    """The value of a comparison without options. Raises RuleError."""
    text = raw.strip()
    if comparison.control == Control.NONE:
        if text:
            raise RuleError("value_unexpected", gettext_noop("This comparison has no value."))
        return None
    if not text:
        raise RuleError("value_missing", gettext_noop("Enter a value."))
    if comparison.control == Control.COUNT:
        return _count(text, comparison.largest)
    if comparison.control == Control.NUMBER:
        if not NUMBER.fullmatch(text):
            raise RuleError("value_no_number", gettext_noop("Enter a number, such as 12 or 3.5."))
        return Decimal(text)
    if comparison.control == Control.DATE:
        return _date(text)
    if len(text) > MAX_TEXT:
        raise RuleError("value_too_long", gettext_noop("Enter at most {limit} characters."), limit=MAX_TEXT)
    if UNFIT_FOR_HEADERS.search(text):
        raise RuleError("value_invisible", gettext_noop("Remove line breaks and invisible characters."))
    return text


def _count(text: str, largest: int) -> int:
    if not (text.isascii() and text.isdigit() and len(text) <= 9):
        raise RuleError("value_no_count", gettext_noop("Enter a whole number."))
    if not 1 <= int(text) <= largest:
        raise RuleError("value_out_of_range", gettext_noop("Enter a number from 1 to {limit}."), limit=largest)
    return int(text)


def _date(text: str) -> datetime.date:
    try:
        if not re.fullmatch(r"[0-9]{4}-[0-9]{2}-[0-9]{2}", text):
            raise ValueError(text)
        return datetime.date.fromisoformat(text)
    except ValueError as error:
        raise RuleError("value_no_date", gettext_noop("Enter a date, such as 2026-05-31.")) from error


def _option(rule: Rule, options: Mapping[str, str]) -> str:
    if not rule.value:
        raise RuleError("value_missing", gettext_noop("Choose a value."))
    if rule.value not in options:
        raise RuleError("value_unknown", gettext_noop("The chosen value no longer exists. Choose another one."))
    return rule.value


def _shown(value: RuleValue) -> str | int:
    """For a sentence. Whole numbers stay numbers, so that the words can have a plural."""
    if isinstance(value, Decimal):
        return str(number_format(value, use_l10n=True))
    if isinstance(value, datetime.date):
        return str(date_format(value, "DATE_FORMAT"))
    if isinstance(value, str):
        return _("“%(text)s”") % {"text": value}
    return value or 0


@dataclass
class Registry:
    """The kinds by code, in the order of the builder's menu."""

    kinds: dict[str, Kind] = field(default_factory=dict)

    def register(self, kind: Kind) -> None:
        """Add a kind. Raises ValueError if its code is taken by another class."""
        known = self.kinds.get(kind.code)
        if known is not None and type(known) is not type(kind):
            raise ValueError(f"two kinds of rules have the code {kind.code!r}")
        self.kinds[kind.code] = kind


REGISTRY = Registry()
register = REGISTRY.register

#: Groups of the builder's menu.
ABOUT_SUBSCRIBER, ABOUT_FIELDS = gettext_lazy("Subscriber"), gettext_lazy("Custom fields")
