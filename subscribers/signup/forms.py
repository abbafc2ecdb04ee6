"""The sign-up form: an address, the custom fields that the list asks for, and what tells bots from browsers.

The measures need no CAPTCHA and no JavaScript: a hidden field, and a stamp of when the form was shown. They only make
abuse more expensive. Two other rules protect the owner of an address: a sign-up sends at most a few mails to it, and
does not make a subscription active.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

from django import forms
from django.utils.functional import cached_property
from django.utils.translation import gettext as _

from subscribers.addresses import MAX_ADDRESS_LENGTH, Address, AddressError, parse_address
from subscribers.models import CustomField, FieldAsked, MailingList
from subscribers.profile.fields import value_text
from subscribers.profile.forms import FieldsForm, fields_form
from subscribers.signup.facts import clean_source
from subscribers.signup.stamps import (
    MAX_SECONDS_TO_SUBMIT,
    MAX_SKEW,
    MIN_SECONDS_TO_SUBMIT,
    Stamp,
    StampError,
    read_stamp,
    sign_timestamp,
)

#: An answer as it is stored until the confirmation: text, or the chosen options.
Answer = str | list[str]


class SignupForm(forms.Form):
    """An address, which is confirmed by mail. `address` is set once the form is valid."""

    email = forms.CharField(required=False)
    website = forms.CharField(required=False)
    timestamp = forms.CharField(required=False)
    source = forms.CharField(required=False)
    shown_text = forms.CharField(required=False)

    address: Address
    stamp: Stamp | None = None

    def __init__(
        self, mailing_list: MailingList, data: Any = None, *, source: str = "", needs_stamp: bool = True
    ) -> None:
        """`source` is that of the page’s address. `needs_stamp` False: a form on another site was copied as HTML."""
        super().__init__(data)
        self.mailing_list, self._source, self._needs_stamp = mailing_list, source, needs_stamp

    @cached_property
    def custom(self) -> FieldsForm:
        """The custom fields that the sign-up form asks for."""
        asked = CustomField.objects.filter(mailing_list=self.mailing_list.pk, asked=FieldAsked.SIGNUP)
        return fields_form(asked, self.data if self.is_bound else None)

    def is_valid(self) -> bool:
        """Whether the address, the stamp and the custom fields are."""
        # Both are checked, so that all errors show at once.
        return all([super().is_valid(), self.custom.is_valid()])

    def clean_email(self) -> str:
        try:
            self.address = parse_address(self.cleaned_data["email"])
        except AddressError as error:
            raise forms.ValidationError(str(error)) from error
        return self.address.as_typed

    def clean_timestamp(self) -> str:
        """Check how long ago the form was shown."""
        signed: str = self.cleaned_data["timestamp"]
        if not signed and not self._needs_stamp:
            return ""
        try:
            self.stamp = read_stamp(self.mailing_list, signed)
        except StampError as error:
            raise forms.ValidationError(stamp_problem()) from error
        age = self.seconds or 0.0
        if age < -MAX_SKEW:
            raise forms.ValidationError(stamp_problem())
        if age < MIN_SECONDS_TO_SUBMIT:
            raise forms.ValidationError(_("The form was submitted too fast. Press the button again."))
        if age > MAX_SECONDS_TO_SUBMIT:
            raise forms.ValidationError(stamp_problem())
        return signed

    def clean_source(self) -> str:
        return clean_source(self.cleaned_data["source"])

    @property
    def seconds(self) -> float | None:
        """How long ago the form was shown; None without a stamp."""
        return time.time() - self.stamp.shown_at if self.stamp else None

    @property
    def answers(self) -> dict[str, Answer]:
        """What a valid form was answered, by the key of the field; without empty answers."""
        entered = {field.key: value for field, value in self.custom.entered.items() if value is not None}
        return {key: list(value) if isinstance(value, tuple) else value_text(value) for key, value in entered.items()}

    @property
    def submitted_email(self) -> str:
        """What was submitted, to be shown again with an error; cut to the length of an address."""
        return str(self.data.get("email", ""))[:MAX_ADDRESS_LENGTH]

    @property
    def shown_source(self) -> str:
        """The source that the form carries."""
        return clean_source(str(self.data.get("source", ""))) if self.is_bound else self._source

    @property
    def new_timestamp(self) -> str:
        """The stamp for the form that is being shown."""
        return sign_timestamp(self.mailing_list)

    @property
    def is_from_a_bot(self) -> bool:
        """Whether the hidden field was filled in."""
        return bool(self.cleaned_data.get("website"))

    @property
    def field_names(self) -> frozenset[str]:
        """The names of all fields, to be repeated by another page."""
        return frozenset({*self.fields, *self.custom.fields})

    @property
    def problems(self) -> list[tuple[str, str]]:
        """(id of the element, sentence) of each error."""
        ids = {"email": "email", "timestamp": "subscribe"}
        own = [(ids.get(name, "subscribe"), str(error)) for name, errors in self.errors.items() for error in errors]
        custom = self.custom.errors.items() if self.is_bound else ()
        return own + [(str(self.custom[name].id_for_label), str(error)) for name, errors in custom for error in errors]

    @property
    def errors_by_field(self) -> Mapping[str, list[str]]:
        """The same for programs: sentences by the name of the field."""
        names = {"timestamp": "form"}
        own = {names.get(name, name): [str(error) for error in errors] for name, errors in self.errors.items()}
        return own | {name: [str(error) for error in errors] for name, errors in self.custom.errors.items()}


def stamp_problem() -> str:
    """What is shown for a stamp that is too old, not genuine, or used."""
    return _("This page was open for too long. Press the button again.")


def answers_as_text(answers: Mapping[str, Answer]) -> dict[str, str]:
    """The answers as one text each, for rules."""
    return {key: ", ".join(answer) if isinstance(answer, list) else answer for key, answer in answers.items()}
