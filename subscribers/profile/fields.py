"""Values of custom fields: read what was typed, store it, and show it."""

from __future__ import annotations

import datetime
from collections.abc import Collection, Iterable, Mapping, Sequence
from decimal import Decimal, InvalidOperation

from django.db import transaction
from django.db.models import QuerySet
from django.utils import translation
from django.utils.formats import date_format, number_format
from django.utils.translation import gettext as _
from django.utils.translation import gettext_noop

from subscribers.addresses import UNFIT_FOR_HEADERS
from subscribers.models import MAX_TEXT, ChangeKind, CustomField, FieldKind, FieldValue, MailingList, Subscription
from subscribers.profile.history import record_changes

#: A value as Python has it: text, number, date, yes or no, or the chosen options in their order. None: no value.
Value = str | Decimal | datetime.date | bool | tuple[str, ...] | None

#: Words of files and forms for yes and no.
YES, NO = (
    frozenset({"yes", "y", "true", "t", "1", "on", "ja", "oui", "sí", "si"}),
    frozenset({"no", "n", "false", "f", "0", "off", "nein", "non"}),
)

#: Numbers are stored with so many digits before and behind the point.
DIGITS, DECIMALS = 18, 6

#: Statements stay far below SQLite's limit of parameters.
CHUNK = 500


class FieldValueError(ValueError):
    """Not a value of the field's type. The sentence says what to enter, in the language that is active when shown."""

    permanent = True

    def __init__(self, message: str, **values: str | int) -> None:
        super().__init__(message)
        self.message = message
        """In English, with `{names}` that `values` fill."""
        self.values = values

    def __str__(self) -> str:
        return _(self.message).format(**self.values)


def parse_value(field: CustomField, raw: str) -> Value:
    """The value that a form or file has as text; several options are separated by commas. Raises FieldValueError.

    Dates are ISO dates, with or without a time; numbers have a point.
    """
    text = raw.strip()
    if not text:
        return None
    if field.kind == FieldKind.NUMBER:
        return _number(text)
    if field.kind == FieldKind.DATE:
        return _date(text)
    if field.kind == FieldKind.YES_NO:
        return _yes_or_no(text)
    if field.kind == FieldKind.CHOICE:
        return _option(field, text)
    if field.kind == FieldKind.CHOICES:
        return chosen_options(field, _split_options(field, text))
    if len(text) > MAX_TEXT:
        raise FieldValueError(gettext_noop("Enter at most {limit} characters."), limit=MAX_TEXT)
    if UNFIT_FOR_HEADERS.search(text):
        raise FieldValueError(gettext_noop("Remove line breaks and invisible characters."))
    return text


def _split_options(field: CustomField, text: str) -> list[str]:
    """The options in a text. An option may contain commas, too: of those that fit, the longest counts."""
    parts, found = text.split(","), list[str]()
    known = {str(option).casefold() for option in field.options}
    longest = 1 + max((option.count(",") for option in known), default=0)
    start = 0
    while start < len(parts):
        lengths = range(min(longest, len(parts) - start), 0, -1)
        candidates = {length: ",".join(parts[start : start + length]).strip() for length in lengths}
        length = next((length for length in lengths if candidates[length].casefold() in known), 1)
        found.append(candidates[length])
        start += length
    return found


def chosen_options(field: CustomField, options: Iterable[str]) -> tuple[str, ...] | None:
    """These options, in the order of the field and each once; None if there is none. Raises FieldValueError."""
    chosen = {_option(field, option.strip()) for option in options if option.strip()}
    return tuple(option for option in field.options if option in chosen) or None


def _number(text: str) -> Decimal:
    try:
        number = Decimal(text)
    except InvalidOperation as error:
        raise FieldValueError(gettext_noop("Enter a number, such as 12 or 3.5.")) from error
    limit = Decimal(10) ** DIGITS
    # Rounding may add a digit.
    if not number.is_finite() or abs(number) >= limit or abs(round(number, DECIMALS)) >= limit:
        raise FieldValueError(gettext_noop("Enter a number with at most {digits} digits."), digits=DIGITS)
    return round(number, DECIMALS).normalize() + 0


def _date(text: str) -> datetime.date:
    try:
        return datetime.datetime.fromisoformat(text).date()
    except ValueError as error:
        raise FieldValueError(gettext_noop("Enter a date, such as 2026-05-31.")) from error


def _yes_or_no(text: str) -> bool:
    word = text.casefold()
    if word not in YES | NO:
        raise FieldValueError(gettext_noop("Enter “yes” or “no”."))
    return word in YES


def _option(field: CustomField, text: str) -> str:
    """The option with this text; capital letters make no difference."""
    for option in field.options:
        if option.casefold() == text.casefold():
            return str(option)
    raise FieldValueError(gettext_noop("“{option}” is not an option of this field."), option=text[:60])


def value_text(value: Value) -> str:
    """The value in files, the API and forms: ISO dates, a point in numbers, options separated by commas."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, tuple):
        return ", ".join(value)
    if isinstance(value, Decimal):
        return f"{value:f}"
    return value.isoformat() if isinstance(value, datetime.date) else value


def shown_value(value: Value) -> str:
    """The value as it is shown, in the active language."""
    if isinstance(value, bool):
        return _("yes") if value else _("no")
    if isinstance(value, Decimal):
        return str(number_format(value, use_l10n=True))
    if isinstance(value, datetime.date):
        return str(date_format(value, "DATE_FORMAT"))
    return value_text(value)


def fields_of(mailing_list: MailingList) -> dict[str, CustomField]:
    """The list's fields by key, in their order."""
    return {field.key: field for field in CustomField.objects.filter(mailing_list=mailing_list)}


def values_of(subscriptions: Sequence[int]) -> dict[int, dict[str, Value]]:
    """The values of these subscriptions (primary keys) by field key; one statement per CHUNK."""
    return _read(subscriptions, FieldValue.objects.select_related("field"))


def shown_values(subscriptions: Sequence[int], keys: Collection[str]) -> dict[int, dict[str, str]]:
    """The values of these fields for mails: in the language of the list, on one line; one statement per CHUNK."""
    if not keys:
        return {pk: {} for pk in subscriptions}
    rows = FieldValue.objects.select_related("field__mailing_list").filter(field__key__in=keys)
    languages: dict[str, str] = {}
    found = _read(subscriptions, rows, languages)
    shown: dict[int, dict[str, str]] = {}
    for pk, values in found.items():
        shown[pk] = {}
        for key, value in values.items():
            with translation.override(languages[key]):
                shown[pk][key] = " ".join(UNFIT_FOR_HEADERS.sub(" ", shown_value(value)).split())
    return shown


def _read(
    subscriptions: Sequence[int], source: QuerySet[FieldValue], languages: dict[str, str] | None = None
) -> dict[int, dict[str, Value]]:
    """The values of these rows by subscription and key. `languages` gets that of each field's list by key."""
    found: dict[int, dict[str, Value]] = {pk: {} for pk in subscriptions}
    for start in range(0, len(subscriptions), CHUNK):
        rows = source.filter(subscription__in=subscriptions[start : start + CHUNK])
        for row in rows.order_by("field__position", "field", "pk"):
            values = found[row.subscription_id]
            values[row.field.key] = _joined(row.field, values.get(row.field.key), _value(row))
            if languages is not None:
                languages.setdefault(row.field.key, row.field.mailing_list.page_language)
    return found


def _value(row: FieldValue) -> Value:
    if row.field.kind == FieldKind.NUMBER:
        return row.number.normalize() + 0 if row.number is not None else None
    if row.field.kind == FieldKind.DATE:
        return row.date
    if row.field.kind == FieldKind.YES_NO:
        return row.text == "yes"
    return (row.text,) if row.field.kind == FieldKind.CHOICES else row.text


def _joined(field: CustomField, before: Value, value: Value) -> Value:
    """Options in the order of the field."""
    if not isinstance(value, tuple):
        return value
    chosen = {*(before if isinstance(before, tuple) else ()), *value}
    known = [option for option in field.options if option in chosen]
    return (*known, *sorted(chosen - set(known)))


def rows_for(field: CustomField, subscription_pk: int, value: Value) -> list[FieldValue]:
    """The rows that store this value, not saved."""
    if value is None:
        return []
    if isinstance(value, tuple):
        return [
            FieldValue(field=field, subscription_id=subscription_pk, is_multiple=True, text=option) for option in value
        ]
    row = FieldValue(field=field, subscription_id=subscription_pk)
    if isinstance(value, bool):
        row.text = value_text(value)
    elif isinstance(value, Decimal):
        row.number = value
    elif isinstance(value, datetime.date):
        row.date = value
    else:
        row.text = value
    return [row]


def set_values(subscription: Subscription, values: Mapping[CustomField, Value], *, by: str = "") -> None:
    """Store these values, and a change for each that differs. `by` is an editor; empty: the subscriber."""
    with transaction.atomic():
        # Of two callers at once, the second sees what the first has stored.
        Subscription.objects.select_for_update(no_key=True).get(pk=subscription.pk)
        before = values_of([subscription.pk])[subscription.pk]
        changed = {field: value for field, value in values.items() if before.get(field.key) != value}
        FieldValue.objects.filter(subscription=subscription, field__in=list(changed)).delete()
        FieldValue.objects.bulk_create(
            row for field, value in changed.items() for row in rows_for(field, subscription.pk, value)
        )
        for field, value in changed.items():
            old, new = value_text(before.get(field.key)), value_text(value)
            record_changes([subscription], ChangeKind.FIELD, {"field": field.key, "from": old, "to": new}, by=by)
