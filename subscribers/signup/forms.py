"""The sign-up form, and its rules against bots.

The rules need no CAPTCHA and no JavaScript: a honeypot field, and a signed timestamp of when the form was shown. They
only make abuse more expensive. Two other rules protect the owner of an address: a sign-up sends at most a few mails to
it, and does not make a subscription active.
"""

from __future__ import annotations

import time
from typing import Any

from django import forms
from django.core import signing
from django.utils.translation import gettext as _

from subscribers.addresses import MAX_ADDRESS_LENGTH, Address, AddressError, parse_address
from subscribers.models import MailingList

#: Seconds between showing and submitting the form. Scripts submit at once; a visitor takes longer than half a second.
#: A form outside the limits is shown again with an error, so that a visitor can submit it again.
MIN_SECONDS_TO_SUBMIT, MAX_SECONDS_TO_SUBMIT = 0.5, 2 * 60 * 60


def sign_timestamp(mailing_list: MailingList, shown_at: float | None = None) -> str:
    """A signed timestamp of when this list's form was shown (seconds since 1970; default: now)."""
    shown = time.time() if shown_at is None else shown_at
    return _signer(mailing_list).sign(f"{shown:.3f}")


def _signer(mailing_list: MailingList) -> signing.Signer:
    return signing.Signer(salt=f"subscribers.signup.{mailing_list.slug}")


class SignupForm(forms.Form):
    """An address, which is confirmed by mail. `address` is set once the form is valid."""

    email = forms.CharField(required=False)
    website = forms.CharField(required=False)
    timestamp = forms.CharField(required=False)

    address: Address

    def __init__(self, mailing_list: MailingList, data: Any = None) -> None:
        super().__init__(data)
        self.mailing_list = mailing_list

    def clean_email(self) -> str:
        try:
            self.address = parse_address(self.cleaned_data["email"])
        except AddressError as error:
            raise forms.ValidationError(str(error)) from error
        return self.address.as_typed

    def clean_timestamp(self) -> str:
        """Check how long ago the form was shown."""
        timestamp: str = self.cleaned_data["timestamp"]
        too_slow = _("This page was open for too long. Press the button again.")
        try:
            age = time.time() - float(_signer(self.mailing_list).unsign(timestamp))
        except (signing.BadSignature, ValueError) as error:
            raise forms.ValidationError(too_slow) from error
        if age < MIN_SECONDS_TO_SUBMIT:
            raise forms.ValidationError(_("The form was submitted too fast. Press the button again."))
        if age > MAX_SECONDS_TO_SUBMIT:
            raise forms.ValidationError(too_slow)
        return timestamp

    @property
    def submitted_email(self) -> str:
        """What was submitted, to be shown again with an error; cut to the length of an address."""
        return str(self.data.get("email", ""))[:MAX_ADDRESS_LENGTH]

    @property
    def new_timestamp(self) -> str:
        """The timestamp for the form that is being shown."""
        return sign_timestamp(self.mailing_list)

    @property
    def is_from_a_bot(self) -> bool:
        """Whether the honeypot field was filled in."""
        return bool(self.cleaned_data.get("website"))
