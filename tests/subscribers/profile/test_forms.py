"""Forms that ask for custom fields: what they accept, what they say, and that stored values come back."""

from __future__ import annotations

import datetime
from decimal import Decimal

import pytest
from django.http import QueryDict

from subscribers.models import CustomField, FieldKind
from subscribers.profile.fields import Value, fields_of, set_values, values_of
from subscribers.profile.forms import fields_form
from tests.people import ada, make_mailing_list

pytestmark = pytest.mark.django_db

VALUES: dict[str, Value] = {
    "city": "Hamburg",
    "age": Decimal("41.5"),
    "born": datetime.date(1985, 5, 31),
    "member": False,
    "colour": "Blue, dark",
    "colours": ("Green", "Blue, dark"),
}


@pytest.fixture
def fields() -> dict[str, CustomField]:
    kinds = dict(zip(VALUES, FieldKind.values, strict=True))
    for position, (key, kind) in enumerate(kinds.items()):
        CustomField.objects.create(
            mailing_list=make_mailing_list(),
            key=key,
            label=key.title(),
            kind=kind,
            options=["Green", "Blue, dark"],
            position=position,
            help_text="Help" if key == "city" else "",
        )
    return fields_of(make_mailing_list())


def posted(body: str) -> QueryDict:
    """A form as a browser posts it."""
    return QueryDict(body)


def test_what_is_entered_has_the_type_of_its_field(fields: dict[str, CustomField]) -> None:
    form = fields_form(
        fields.values(),
        posted(
            "field-city=Hamburg&field-age=41.50&field-born=1985-05-31&field-member=no&field-colour=Blue, dark"
            "&field-colours=Blue, dark&field-colours=Green"
        ),
    )
    assert form.is_valid(), form.errors
    assert {field.key: value for field, value in form.entered.items()} == VALUES


def test_stored_values_come_back_unchanged(fields: dict[str, CustomField]) -> None:
    subscription = ada()
    set_values(subscription, {fields[key]: value for key, value in VALUES.items()})
    form = fields_form(fields.values(), values=values_of([subscription.pk])[subscription.pk])
    html = str(form)
    for part in ('value="Hamburg"', 'value="41.5"', 'value="1985-05-31"', '<option value="no" selected>', "Help"):
        assert part in html
    assert html.count("checked") == 2
    assert '<option value="Blue, dark" selected>' in html


def test_empty_fields_are_no_values(fields: dict[str, CustomField]) -> None:
    form = fields_form(fields.values(), posted(""))
    assert form.is_valid()
    assert set(form.entered.values()) == {None}


def test_each_error_is_at_its_field(fields: dict[str, CustomField]) -> None:
    fields["city"].is_required = fields["colours"].is_required = True
    body = "field-age=many&field-born=31.5.1985&field-member=perhaps&field-colour=Red&field-city= "
    form = fields_form(fields.values(), posted(body))
    assert form.errors == {
        "field-city": ["This field is required."],
        "field-age": ["Enter a number, such as 12 or 3.5."],
        "field-born": ["Enter a date, such as 2026-05-31."],
        "field-member": ["Enter “yes” or “no”."],
        "field-colour": ["“Red” is not an option of this field."],
        "field-colours": ["This field is required."],
    }


def test_labels_and_options_of_editors_are_escaped() -> None:
    field = CustomField(key="city", label="<b>City</b>", help_text="<i>", kind=FieldKind.CHOICE, options=["<script>"])
    html = str(fields_form([field]))
    assert not any(tag in html for tag in ("<b>", "<i>", "<script>"))


def test_a_key_that_is_the_name_of_another_field_of_the_page_does_no_harm() -> None:
    form = fields_form([CustomField(key="csrfmiddlewaretoken", label="Token")], posted("csrfmiddlewaretoken=abc"))
    assert form.is_valid()
    assert list(form.fields) == ["field-csrfmiddlewaretoken"]
