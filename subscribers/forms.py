"""What readers type and press.

Against robots, without a puzzle and without JavaScript (R-41, R-42): a field that people do not see, and a signed time
stamp of when the form was shown. Both only raise the price of mischief; what holds is that a sign-up sends at most a
few mails to an address, and makes nobody active.
"""

from __future__ import annotations

import time
import zoneinfo
from functools import cache
from typing import Any

from django import forms
from django.core import signing

from subscribers.addresses import LONGEST_ADDRESS, Address, AddressError, parse_address
from subscribers.consent import PAUSES
from subscribers.models import MailingList
from subscribers.names import LONGEST_FIRST_NAME, NameRefused, read_first_name

#: Seconds between showing a form and sending it. Scripts post at once; half a second is faster than any hand, and
#: the answer to it is the form again, so that nobody is locked out.
FASTEST, SLOWEST = 0.5, 2 * 60 * 60

TOO_FAST = "That was faster than a hand can be. Please press the button once more."
TOO_SLOW = "This page was open for a long time. Please press the button once more."


def make_stamp(mailing_list: MailingList, shown_at: float | None = None) -> str:
    """A signed note of when this list's form was shown (seconds since 1970; now if not given)."""
    shown = time.time() if shown_at is None else shown_at
    return _signer(mailing_list).sign(f"{shown:.3f}")


def _signer(mailing_list: MailingList) -> signing.Signer:
    return signing.Signer(salt=f"subscribers.signup.{mailing_list.slug}")


class SignupForm(forms.Form):
    """One address; who is behind it decides by mail. `address` is set once the form is valid."""

    email = forms.CharField(required=False)
    website = forms.CharField(required=False)
    stamp = forms.CharField(required=False)

    address: Address

    def __init__(self, mailing_list: MailingList, data: Any = None) -> None:
        super().__init__(data)
        self.mailing_list = mailing_list

    def clean_email(self) -> str:
        """Read the address; the error is a sentence for the person."""
        try:
            self.address = parse_address(self.cleaned_data["email"])
        except AddressError as error:
            raise forms.ValidationError(str(error)) from error
        return self.address.as_given

    def clean_stamp(self) -> str:
        """Check how long ago the form was shown."""
        stamp: str = self.cleaned_data["stamp"]
        try:
            age = time.time() - float(_signer(self.mailing_list).unsign(stamp))
        except (signing.BadSignature, ValueError) as error:
            raise forms.ValidationError(TOO_SLOW) from error
        if age < FASTEST:
            raise forms.ValidationError(TOO_FAST)
        if age > SLOWEST:
            raise forms.ValidationError(TOO_SLOW)
        return stamp

    @property
    def typed(self) -> str:
        """What the person typed, to be shown again; no more of it than an address can be long."""
        return str(self.data.get("email", ""))[:LONGEST_ADDRESS]

    @property
    def fresh_stamp(self) -> str:
        """The stamp for the form that is being shown now."""
        return make_stamp(self.mailing_list)

    @property
    def is_from_a_robot(self) -> bool:
        """Whether the field that people do not see was filled in."""
        return bool(self.cleaned_data.get("website"))


class FirstNameForm(forms.Form):
    """The name that issues may greet a reader by. Only asked behind a link from their own mailbox.

    At the sign-up, where anybody may type anybody's address, a name would be a stranger's words in our mails (R-58).
    """

    first_name = forms.CharField(required=False)

    def clean_first_name(self) -> str:
        """Read the name; the error is a sentence for the person."""
        try:
            return read_first_name(self.cleaned_data["first_name"])
        except NameRefused as error:
            raise forms.ValidationError(str(error)) from error

    @property
    def typed(self) -> str:
        """What the person typed, to be shown again."""
        return str(self.data.get("first_name", ""))[: 2 * LONGEST_FIRST_NAME]


class TimeZoneForm(forms.Form):
    """Where a reader is, so that issues may come by their own clock."""

    time_zone = forms.CharField(required=False)

    def clean_time_zone(self) -> str:
        """A zone of the list, or none."""
        zone: str = self.cleaned_data["time_zone"]
        if zone and zone not in self.zones:
            raise forms.ValidationError("Choose a time zone of the list.")
        return zone

    @property
    def zones(self) -> tuple[str, ...]:
        """Every zone that is named after a place."""
        return _zones_of_places()


@cache
def _zones_of_places() -> tuple[str, ...]:
    # Each look walks through the files of all zones.
    names = (name for name in zoneinfo.available_timezones() if "/" in name and not name.startswith("Etc/"))
    return tuple(sorted(names))


class PauseForm(forms.Form):
    """For how long a reader wants to rest."""

    weeks = forms.TypedChoiceField(
        choices=[(weeks, f"{weeks} weeks") for weeks in PAUSES],
        coerce=int,
        error_messages={"required": "Choose for how long.", "invalid_choice": "Choose 2, 4 or 8 weeks."},
    )
