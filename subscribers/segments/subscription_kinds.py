"""Kinds of rules about subscribers and their subscriptions."""

from __future__ import annotations

import datetime
import re
from abc import abstractmethod
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar

from django.conf import settings
from django.db.models import Exists, F, OuterRef, Q, Value
from django.db.models.functions import Upper
from django.db.models.lookups import Exact
from django.utils.translation import gettext_lazy as _
from django.utils.translation import gettext_noop, ngettext_lazy

from subscribers.models import (
    FieldKind,
    FieldValue,
    Frequency,
    SegmentPick,
    Subscription,
    SubscriptionState,
    SubscriptionTag,
    TopicOptOut,
)
from subscribers.segments.kinds import (
    ABOUT_FIELDS,
    REGISTRY,
    Comparison,
    Control,
    Facts,
    Kind,
    Rule,
    RuleError,
    RuleValue,
)

if TYPE_CHECKING:
    from django.utils.functional import _StrOrPromise as StrOrPromise

#: A domain in ASCII, as canonical addresses have it.
DOMAIN = re.compile(r"(?=.{1,253}\Z)([a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?\.)+[a-z0-9-]{2,63}")


class SimpleKind(Kind):
    """A kind whose comparisons are always the same."""

    table: ClassVar[Mapping[str, Comparison]]

    def comparisons(self, facts: Facts, field: str) -> Mapping[str, Comparison]:
        return self.table


def text_comparisons(
    is_: StrOrPromise, contains: StrOrPromise, begins: StrOrPromise, has: StrOrPromise, has_none: StrOrPromise
) -> dict[str, Comparison]:
    """The comparisons of texts, with their words. Capital and small letters make no difference."""
    return {
        "is": Comparison(_("is"), is_, Control.TEXT),
        "contains": Comparison(_("contains"), contains, Control.TEXT),
        "begins": Comparison(_("begins with"), begins, Control.TEXT),
        "has_value": Comparison(_("has any value"), has),
        "has_none": Comparison(_("has no value"), has_none),
    }


def text_condition(path: str, comparison: str, value: RuleValue) -> Q:
    """A comparison of the text at this path, which is empty where there is none."""
    if comparison == "is":
        return Q(Exact(Upper(F(path)), Upper(Value(value))))
    if comparison == "contains":
        return Q(**{f"{path}__icontains": value})
    if comparison == "begins":
        return Q(**{f"{path}__istartswith": value})
    return Q(**{path: ""}) if comparison == "has_none" else ~Q(**{path: ""})


class TextKind(SimpleKind):
    """A text of the subscription or the subscriber."""

    path: str

    def condition(self, rule: Rule, facts: Facts) -> Q:
        return text_condition(self.path, rule.comparison, self.value(rule, facts))


class OptionKind(SimpleKind):
    """One of several options."""

    def options(self, facts: Facts, field: str, comparison: str) -> Mapping[str, str]:
        return {str(value): str(label) for value, label in self.choices(facts)}

    @abstractmethod
    def choices(self, facts: Facts) -> Any:
        """Pairs of value and label."""

    @abstractmethod
    def is_(self, value: str, facts: Facts) -> Q:
        """The filter of the comparison “is”."""

    def condition(self, rule: Rule, facts: Facts) -> Q:
        """The filter; each other comparison is the opposite of the first."""
        condition = self.is_(rule.value, facts)
        return condition if rule.comparison == next(iter(self.table)) else ~condition


class State(OptionKind):
    """The state of the subscription."""

    code, label = "state", _("State")
    table: ClassVar = {
        "is": Comparison(_("is"), _("state is %(value)s"), Control.OPTION),
        "is_not": Comparison(_("is not"), _("state is not %(value)s"), Control.OPTION),
    }

    def choices(self, facts: Facts) -> Any:
        return SubscriptionState.choices

    def is_(self, value: str, facts: Facts) -> Q:
        return Q(state=value)


class HasTag(OptionKind):
    """A tag."""

    code, label = "tag", _("Tag")
    table: ClassVar = {
        "is": Comparison(_("is"), _("tag %(value)s"), Control.OPTION),
        "is_not": Comparison(_("is not"), _("without tag %(value)s"), Control.OPTION),
    }

    def choices(self, facts: Facts) -> Any:
        return facts.tags.items()

    def is_(self, value: str, facts: Facts) -> Q:
        return Q(Exists(SubscriptionTag.objects.filter(tag=int(value), subscription=OuterRef("pk"))))


class GetsTopic(OptionKind):
    """A topic that the subscription gets."""

    code, label = "topic", _("Topic")
    table: ClassVar = {
        "includes": Comparison(_("includes"), _("topic %(value)s"), Control.OPTION),
        "includes_not": Comparison(_("does not include"), _("without topic %(value)s"), Control.OPTION),
    }

    def choices(self, facts: Facts) -> Any:
        return facts.topics.items()

    def is_(self, value: str, facts: Facts) -> Q:
        return ~Q(Exists(TopicOptOut.objects.filter(topic=int(value), subscription=OuterRef("pk"))))


class MailFrequency(OptionKind):
    """How often the subscriber gets mail."""

    code, label = "frequency", _("Frequency")
    table: ClassVar = {"is": Comparison(_("is"), _("frequency is “%(value)s”"), Control.OPTION)}

    def choices(self, facts: Facts) -> Any:
        return Frequency.choices

    def is_(self, value: str, facts: Facts) -> Q:
        return Q(frequency=value)


class Language(OptionKind):
    """The subscriber's language, which is that of the list if none is chosen."""

    code, label = "language", _("Language")
    table: ClassVar = {
        "is": Comparison(_("is"), _("language is %(value)s"), Control.OPTION),
        "is_not": Comparison(_("is not"), _("language is not %(value)s"), Control.OPTION),
    }

    def choices(self, facts: Facts) -> Any:
        return settings.LANGUAGES

    def is_(self, value: str, facts: Facts) -> Q:
        chosen = Q(subscriber__language=value)
        return chosen | Q(subscriber__language="") if facts.mailing_list.language == value else chosen


class Picked(OptionKind):
    """The picked subscriptions of another segment."""

    code, label = "picked", _("Picked segment")
    table: ClassVar = {
        "in": Comparison(_("includes the subscriber"), _("in the segment %(value)s"), Control.OPTION),
        "not_in": Comparison(_("does not include the subscriber"), _("not in the segment %(value)s"), Control.OPTION),
    }

    def choices(self, facts: Facts) -> Any:
        return facts.picked.items()

    def is_(self, value: str, facts: Facts) -> Q:
        return Q(Exists(SegmentPick.objects.filter(segment=int(value), subscription=OuterRef("pk"))))


class OtherList(OptionKind):
    """An active subscription of another list."""

    code, label = "list", _("Another list")
    table: ClassVar = {
        "in": Comparison(_("is subscribed to"), _("active on %(value)s"), Control.OPTION),
        "not_in": Comparison(_("is not subscribed to"), _("not active on %(value)s"), Control.OPTION),
    }

    def choices(self, facts: Facts) -> Any:
        return facts.other_lists.items()

    def is_(self, value: str, facts: Facts) -> Q:
        there = Subscription.objects.filter(
            mailing_list=int(value), subscriber=OuterRef("subscriber_id"), state=SubscriptionState.ACTIVE
        )
        return Q(Exists(there))


class Paused(SimpleKind):
    """Whether issues skip the subscription for now."""

    code, label = "paused", _("Pause")
    table: ClassVar = {
        "is": Comparison(_("is paused"), _("paused")),
        "is_not": Comparison(_("is not paused"), _("not paused")),
    }

    def condition(self, rule: Rule, facts: Facts) -> Q:
        paused = Q(paused_until__isnull=False, paused_until__gt=facts.now)
        return paused if rule.comparison == "is" else ~paused


class Joined(SimpleKind):
    """When the subscriber agreed last. Pending subscriptions have not joined."""

    code, label = "joined", _("Joined")
    table: ClassVar = {
        "last_days": Comparison(
            _("in the last … days"),
            ngettext_lazy("joined in the last day", "joined in the last %(value)d days", "value"),
            Control.COUNT,
        ),
        "days_ago": Comparison(
            _("more than … days ago"),
            ngettext_lazy("joined more than a day ago", "joined more than %(value)d days ago", "value"),
            Control.COUNT,
        ),
        "before": Comparison(_("before"), _("joined before %(value)s"), Control.DATE),
        "after": Comparison(_("after"), _("joined after %(value)s"), Control.DATE),
    }

    def condition(self, rule: Rule, facts: Facts) -> Q:
        value, is_later = self.value(rule, facts), rule.comparison in ("last_days", "after")
        if isinstance(value, datetime.date):
            since = _midnight(value, 1 if is_later else 0)
        else:
            since = facts.now - datetime.timedelta(days=int(value or 0))
        return Q(confirmed_at__isnull=False) & (Q(confirmed_at__gte=since) if is_later else Q(confirmed_at__lt=since))


def _midnight(date: datetime.date, days: int) -> datetime.datetime:
    """The beginning of the day, so many days later; in UTC. The last date there is has no next day."""
    at = datetime.datetime.combine(date, datetime.time.min, tzinfo=datetime.UTC)
    try:
        return at + datetime.timedelta(days=days)
    except OverflowError:
        return at


class Source(TextKind):
    """Where the subscriber came from."""

    code, label, path = "source", _("Source"), "source"
    table: ClassVar = text_comparisons(
        _("source is %(value)s"),
        _("source contains %(value)s"),
        _("source begins with %(value)s"),
        _("with a source"),
        _("without a source"),
    )


class Name(TextKind):
    """The first name."""

    code, label, path = "name", _("First name"), "subscriber__first_name"
    table: ClassVar = text_comparisons(
        _("first name is %(value)s"),
        _("first name contains %(value)s"),
        _("first name begins with %(value)s"),
        _("with a first name"),
        _("without a first name"),
    )


class MailDomain(SimpleKind):
    """The domain of the address."""

    code, label = "domain", _("Mail domain")
    table: ClassVar = {
        "is": Comparison(_("is"), _("mail domain is %(value)s"), Control.TEXT),
        "is_not": Comparison(_("is not"), _("mail domain is not %(value)s"), Control.TEXT),
    }

    def value(self, rule: Rule, facts: Facts) -> RuleValue:
        """The domain in ASCII."""
        typed = str(super().value(rule, facts)).removeprefix("@").lower()
        try:
            domain = typed if typed.isascii() else typed.encode("idna").decode()
        except UnicodeError:
            domain = ""
        if not DOMAIN.fullmatch(domain):
            raise RuleError("value_no_domain", gettext_noop("Enter a domain, such as example.org."))
        return domain

    def condition(self, rule: Rule, facts: Facts) -> Q:
        condition = Q(subscriber__canonical__endswith=f"@{self.value(rule, facts)}")
        return condition if rule.comparison == "is" else ~condition


#: Comparisons of custom fields.
_IS = Comparison(_("is"), _("%(field)s is %(value)s"), Control.TEXT)
_IS_NOT = Comparison(_("is not"), _("%(field)s is not %(value)s"), Control.TEXT)
_ANY = {
    "has_value": Comparison(_("has any value"), _("with a value of %(field)s")),
    "has_none": Comparison(_("has no value"), _("without a value of %(field)s")),
}
_BY_TYPE: dict[str, dict[str, Comparison]] = {
    FieldKind.TEXT: {
        "is": _IS,
        "is_not": _IS_NOT,
        "contains": Comparison(_("contains"), _("%(field)s contains %(value)s"), Control.TEXT),
        "begins": Comparison(_("begins with"), _("%(field)s begins with %(value)s"), Control.TEXT),
        **_ANY,
    },
    FieldKind.NUMBER: {
        "is": Comparison(_IS.label, _IS.words, Control.NUMBER),
        "is_not": Comparison(_IS_NOT.label, _IS_NOT.words, Control.NUMBER),
        "more": Comparison(_("is more than"), _("%(field)s is more than %(value)s"), Control.NUMBER),
        "less": Comparison(_("is less than"), _("%(field)s is less than %(value)s"), Control.NUMBER),
        **_ANY,
    },
    FieldKind.DATE: {
        "is": Comparison(_IS.label, _IS.words, Control.DATE),
        "before": Comparison(_("is before"), _("%(field)s is before %(value)s"), Control.DATE),
        "after": Comparison(_("is after"), _("%(field)s is after %(value)s"), Control.DATE),
        "last_days": Comparison(
            _("is in the last … days"),
            ngettext_lazy("%(field)s is in the last day", "%(field)s is in the last %(value)d days", "value"),
            Control.COUNT,
        ),
        **_ANY,
    },
    FieldKind.YES_NO: {"is": Comparison(_IS.label, _IS.words, Control.OPTION), **_ANY},
    FieldKind.CHOICE: {
        "is": Comparison(_IS.label, _IS.words, Control.OPTION),
        "is_not": Comparison(_IS_NOT.label, _IS_NOT.words, Control.OPTION),
        **_ANY,
    },
    FieldKind.CHOICES: {
        "includes": Comparison(_("includes"), _("%(field)s includes %(value)s"), Control.OPTION),
        "includes_not": Comparison(_("does not include"), _("%(field)s does not include %(value)s"), Control.OPTION),
        **_ANY,
    },
}

#: Comparisons that match who has no such value, too.
_NEGATED = {"is_not": "is", "includes_not": "includes", "has_none": "has_value"}


class Field(Kind):
    """The value of a custom field."""

    code, label, group = "field", _("Custom field"), ABOUT_FIELDS

    def fields(self, facts: Facts) -> Mapping[str, str]:
        return {key: field.label for key, field in facts.fields.items()}

    def comparisons(self, facts: Facts, field: str) -> Mapping[str, Comparison]:
        return _BY_TYPE[facts.fields[field].kind]

    def options(self, facts: Facts, field: str, comparison: str) -> Mapping[str, str]:
        """Those of the field; an option that was removed is none."""
        if facts.fields[field].kind == FieldKind.YES_NO:
            return {"yes": str(_("yes")), "no": str(_("no"))}
        return {str(option): str(option) for option in facts.fields[field].options}

    def condition(self, rule: Rule, facts: Facts) -> Q:
        comparison = _NEGATED.get(rule.comparison, rule.comparison)
        rows = FieldValue.objects.filter(field=facts.fields[rule.field].pk, subscription=OuterRef("pk"))
        found = rows.filter(self._rows(facts.fields[rule.field].kind, comparison, self.value(rule, facts), facts))
        return ~Q(Exists(found)) if rule.comparison in _NEGATED else Q(Exists(found))

    def _rows(self, kind: str, comparison: str, value: RuleValue, facts: Facts) -> Q:
        if comparison == "has_value":
            return Q()
        if kind == FieldKind.NUMBER:
            suffix = {"is": "", "more": "__gt", "less": "__lt"}[comparison]
            return Q(**{f"number{suffix}": value})
        if kind == FieldKind.DATE:
            return self._dates(comparison, value, facts)
        if kind == FieldKind.TEXT:
            # The condition of the index. PostgreSQL does not conclude it from the comparison.
            return ~Q(text="") & text_condition("text", comparison, value)
        return Q(text=value)

    def _dates(self, comparison: str, value: RuleValue, facts: Facts) -> Q:
        if isinstance(value, int):
            return Q(date__gt=facts.today - datetime.timedelta(days=value), date__lte=facts.today)
        suffix = {"is": "", "before": "__lt", "after": "__gt"}[comparison]
        return Q(**{f"date{suffix}": value})


def register_kinds() -> None:
    """Register the kinds of this app, in the order of the builder's menu."""
    for kind in (
        State(),
        Joined(),
        HasTag(),
        GetsTopic(),
        Source(),
        Language(),
        MailDomain(),
        Name(),
        Paused(),
        MailFrequency(),
        Picked(),
        OtherList(),
        Field(),
    ):
        REGISTRY.register(kind)
