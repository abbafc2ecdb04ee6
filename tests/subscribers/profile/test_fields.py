"""Values of custom fields: what is read from text, stored once, and shown."""

from __future__ import annotations

import datetime
from decimal import Decimal

import pytest
from django.db import IntegrityError, transaction
from hypothesis import given
from hypothesis import strategies as st

from subscribers.models import Change, CustomField, FieldKind, FieldValue
from subscribers.profile.fields import (
    FieldValueError,
    Value,
    fields_of,
    parse_value,
    set_values,
    shown_value,
    value_text,
    values_of,
)
from tests.people import ada, ben, make_mailing_list

OPTIONS = ["Ropes", "Cranes", "Tides"]


def a_field(kind: FieldKind, key: str = "field") -> CustomField:
    return CustomField(key=key, label=key, kind=kind, options=OPTIONS)


def a_stored_field(kind: FieldKind, key: str) -> CustomField:
    return CustomField.objects.create(mailing_list=make_mailing_list(), key=key, label=key, kind=kind, options=OPTIONS)


@pytest.mark.parametrize(
    ("kind", "text", "value"),
    [
        (FieldKind.TEXT, "  Old harbour ", "Old harbour"),
        (FieldKind.NUMBER, "3.50", Decimal("3.5")),
        (FieldKind.NUMBER, "1e3", Decimal(1000)),
        (FieldKind.NUMBER, "-0", Decimal(0)),
        (FieldKind.DATE, "2026-05-31", datetime.date(2026, 5, 31)),
        (FieldKind.DATE, "2026-05-31T22:10:00.000Z", datetime.date(2026, 5, 31)),
        (FieldKind.YES_NO, "TRUE", True),
        (FieldKind.YES_NO, "Nein", False),
        (FieldKind.CHOICE, "cranes", "Cranes"),
        (FieldKind.CHOICES, "tides, Ropes,tides", ("Ropes", "Tides")),
        (FieldKind.CHOICES, " , ", None),
        (FieldKind.NUMBER, "  ", None),
    ],
)
def test_a_value_is_read_by_the_type_of_its_field(kind: FieldKind, text: str, value: Value) -> None:
    assert parse_value(a_field(kind), text) == value


@pytest.mark.parametrize(
    ("kind", "text", "sentence"),
    [
        (FieldKind.TEXT, "x" * 501, "Enter at most 500 characters."),
        (FieldKind.TEXT, "a\nb", "Remove line breaks and invisible characters."),
        (FieldKind.NUMBER, "three", "Enter a number, such as 12 or 3.5."),
        (FieldKind.NUMBER, "NaN", "Enter a number with at most 18 digits."),
        (FieldKind.NUMBER, "1e18", "Enter a number with at most 18 digits."),
        (FieldKind.NUMBER, "999999999999999999.9999999", "Enter a number with at most 18 digits."),
        (FieldKind.NUMBER, "-999999999999999999.9999996", "Enter a number with at most 18 digits."),
        (FieldKind.DATE, "31.05.2026", "Enter a date, such as 2026-05-31."),
        (FieldKind.YES_NO, "perhaps", "Enter “yes” or “no”."),
        (FieldKind.CHOICE, "Boats", "“Boats” is not an option of this field."),
        (FieldKind.CHOICES, "Ropes, Boats", "“Boats” is not an option of this field."),
    ],
)
def test_a_value_of_another_type_is_refused_with_what_to_enter(kind: FieldKind, text: str, sentence: str) -> None:
    with pytest.raises(FieldValueError) as caught:
        parse_value(a_field(kind), text)
    assert str(caught.value) == sentence


@given(kind=st.sampled_from(FieldKind), text=st.text(max_size=60))
def test_what_is_written_is_read_as_the_same_value(kind: FieldKind, text: str) -> None:
    field = a_field(kind)
    try:
        value = parse_value(field, text)
    except FieldValueError:
        return
    assert parse_value(field, value_text(value)) == value


def test_values_are_shown_in_words() -> None:
    shown = [shown_value(value) for value in (True, Decimal("3.5"), datetime.date(2026, 5, 31), ("Ropes", "Tides"))]
    assert shown == ["yes", "3.5", "31 May 2026", "Ropes, Tides"]


@pytest.mark.django_db
def test_values_of_every_type_are_stored_and_replaced() -> None:
    subscription = ada()
    fields = {kind: a_stored_field(kind, kind.value) for kind in FieldKind}
    first: dict[FieldKind, Value] = {
        FieldKind.TEXT: "Old harbour",
        FieldKind.NUMBER: Decimal("3.5"),
        FieldKind.DATE: datetime.date(2026, 5, 31),
        FieldKind.YES_NO: False,
        FieldKind.CHOICE: "Cranes",
        FieldKind.CHOICES: ("Ropes", "Tides"),
    }
    set_values(subscription, {fields[kind]: value for kind, value in first.items()})
    assert values_of([subscription.pk]) == {subscription.pk: {kind.value: value for kind, value in first.items()}}

    set_values(subscription, {fields[FieldKind.CHOICES]: ("Cranes",), fields[FieldKind.TEXT]: None}, by="edda")
    expected = {kind.value: value for kind, value in first.items()} | {"choices": ("Cranes",)}
    del expected["text"]
    assert values_of([subscription.pk])[subscription.pk] == expected


@pytest.mark.django_db
def test_only_values_that_differ_are_in_the_history() -> None:
    subscription, field = ada(), a_stored_field(FieldKind.NUMBER, "berth")
    for value in (Decimal(12), Decimal("12.0"), Decimal(13)):
        set_values(subscription, {field: value}, by="edda")
    changes = list(Change.objects.order_by("pk").values_list("subscriber", "values", "by"))
    assert changes == [
        (subscription.subscriber_id, {"field": "berth", "from": "", "to": "12"}, "edda"),
        (subscription.subscriber_id, {"field": "berth", "from": "12", "to": "13"}, "edda"),
    ]


@pytest.mark.django_db
def test_values_belong_to_one_subscription() -> None:
    field, first, second = a_stored_field(FieldKind.TEXT, "city"), ada(), ben()
    set_values(first, {field: "Porto"})
    assert values_of([first.pk, second.pk]) == {first.pk: {"city": "Porto"}, second.pk: {}}


@pytest.mark.django_db
def test_the_database_rejects_a_second_value_of_a_field() -> None:
    field, subscription = a_stored_field(FieldKind.TEXT, "city"), ada()
    FieldValue.objects.create(field=field, subscription=subscription, text="Porto")
    with pytest.raises(IntegrityError), transaction.atomic():
        FieldValue.objects.create(field=field, subscription=subscription, text="Lisbon")


@pytest.mark.django_db
@pytest.mark.parametrize("key", ["first_name", "email"])
def test_the_database_rejects_the_key_of_a_built_in_field(key: str) -> None:
    with pytest.raises(IntegrityError), transaction.atomic():
        a_stored_field(FieldKind.TEXT, key)


@pytest.mark.django_db
def test_fields_are_in_their_order() -> None:
    for position, key in ((2, "a"), (1, "b"), (2, "c")):
        CustomField.objects.create(mailing_list=make_mailing_list(), key=key, label=key, position=position)
    assert list(fields_of(make_mailing_list())) == ["b", "a", "c"]


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("Kiel, Brest, France", ("Kiel", "Brest, France")),
        ("brest, france", ("Brest, France",)),
        ("Brest,Kiel", ("Kiel", "Brest")),
        ("Brest, France, Brest", ("Brest", "Brest, France")),
    ],
)
def test_an_option_may_contain_a_comma(text: str, value: tuple[str, ...]) -> None:
    field = CustomField(key="ports", label="Ports", kind=FieldKind.CHOICES, options=["Kiel", "Brest", "Brest, France"])
    assert parse_value(field, text) == value
    assert parse_value(field, value_text(value)) == value
    with pytest.raises(FieldValueError):
        parse_value(field, f"{text}, Nantes")
