"""Form fields for custom fields: on the sign-up page, after confirming, and on the preferences page."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from django import forms
from django.core.exceptions import ValidationError
from django.utils.translation import gettext as _

from subscribers.models import MAX_TEXT, CustomField, FieldKind
from subscribers.profile.fields import FieldValueError, Value, chosen_options, parse_value, value_text

#: Names of form fields begin with it, so that no key of a custom field is the name of another field of the page.
PREFIX = "field-"


class ValueField(forms.Field):
    """A form field for one custom field. Its cleaned value is a `Value`."""

    def __init__(self, field: CustomField, *, required: bool) -> None:
        super().__init__(
            required=required, label=field.label, help_text=field.help_text, widget=_widget(field, required)
        )
        self.custom_field = field

    def clean(self, value: Any) -> Value:
        """The value of the field's type. Raises ValidationError with what to enter."""
        field = self.custom_field
        try:
            # An option may contain a comma, so that several are not read as one text.
            parsed = chosen_options(field, value) if isinstance(value, list) else parse_value(field, value or "")
        except FieldValueError as error:
            raise ValidationError(str(error)) from error
        if parsed is None and self.required:
            raise ValidationError(self.error_messages["required"], code="required")
        return parsed


class FieldsForm(forms.Form):
    """One field per custom field, in their order."""

    def __init__(
        self, fields: Iterable[CustomField], *args: Any, values: Mapping[str, Value] | None = None, **kwargs: Any
    ) -> None:
        super().__init__(*args, **kwargs)
        for field in fields:
            form_field = ValueField(field, required=field.is_required)
            form_field.initial = _initial((values or {}).get(field.key))
            self.fields[PREFIX + field.key] = form_field

    @property
    def entered(self) -> dict[CustomField, Value]:
        """The values of a valid form by field, for `set_values`. None where a field was left empty."""
        return {
            field.custom_field: self.cleaned_data[name]
            for name, field in self.fields.items()
            if isinstance(field, ValueField)
        }


def fields_form(
    fields: Iterable[CustomField],
    data: Mapping[str, Any] | None = None,
    values: Mapping[str, Value] | None = None,
) -> FieldsForm:
    """A form that asks for these fields: bound to `data` of a request, or with the stored `values` by key."""
    return FieldsForm(fields, data=data, values=values)


def _initial(value: Value) -> str | list[str]:
    return list(value) if isinstance(value, tuple) else value_text(value)


def _widget(field: CustomField, required: bool) -> forms.Widget:
    if field.kind == FieldKind.NUMBER:
        return forms.NumberInput(attrs={"step": "any"})
    if field.kind == FieldKind.DATE:
        return forms.DateInput(attrs={"type": "date"}, format="%Y-%m-%d")
    if field.kind == FieldKind.YES_NO:
        return _select([("yes", _("Yes")), ("no", _("No"))], required)
    options = [(option, option) for option in field.options]
    if field.kind == FieldKind.CHOICE:
        return _select(options, required)
    if field.kind == FieldKind.CHOICES:
        return forms.CheckboxSelectMultiple(choices=options)
    return forms.TextInput(attrs={"maxlength": MAX_TEXT})


def _select(options: list[tuple[str, str]], required: bool) -> forms.Select:
    return forms.Select(choices=[("", _("Choose…") if required else "–"), *options])
