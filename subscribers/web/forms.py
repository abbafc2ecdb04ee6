"""The forms behind a link from the subscriber's own mailbox: first name, time zone, pause."""

from __future__ import annotations

import zoneinfo
from functools import cache

from django import forms
from django.utils.translation import gettext_lazy as _
from django.utils.translation import ngettext

from subscribers.consent.actions import PAUSE_WEEKS
from subscribers.signup.names import MAX_FIRST_NAME_LENGTH, FirstNameError, parse_first_name


class FirstNameForm(forms.Form):
    """The first name for greetings.

    The sign-up form does not ask for it: anyone can type a stranger's address there, and the name would be a message
    to them.
    """

    first_name = forms.CharField(required=False)

    def clean_first_name(self) -> str:
        try:
            return parse_first_name(self.cleaned_data["first_name"])
        except FirstNameError as error:
            raise forms.ValidationError(str(error)) from error

    @property
    def submitted_name(self) -> str:
        """What was submitted, to be shown again with an error."""
        return str(self.data.get("first_name", ""))[: 2 * MAX_FIRST_NAME_LENGTH]


class ReplaceFirstNameForm(FirstNameForm):
    """A first name that replaces the stored one. The page does not show that one, so an empty field keeps it."""

    def clean_first_name(self) -> str:
        name = super().clean_first_name()
        if not name:
            raise forms.ValidationError(_("Enter a first name, or use the button that deletes the stored one."))
        return name


class TimeZoneForm(forms.Form):
    """The subscriber's time zone, for issues that are sent at local time."""

    time_zone = forms.CharField(required=False)

    def clean_time_zone(self) -> str:
        """One of `zones`. The page does not show the stored zone, so an untouched field keeps it."""
        zone: str = self.cleaned_data["time_zone"]
        if zone not in self.zones:
            raise forms.ValidationError(_("Choose a time zone from the list."))
        return zone

    @property
    def zones(self) -> tuple[str, ...]:
        """Every zone that is named after a place."""
        return _zones_of_places()


@cache
def _zones_of_places() -> tuple[str, ...]:
    # `available_timezones` reads the files of all zones at every call.
    names = (name for name in zoneinfo.available_timezones() if "/" in name and not name.startswith("Etc/"))
    return tuple(sorted(names))


def _pause_choices() -> list[tuple[int, str]]:
    """Made per form, in the language of the page: a lazy text with a value in it would be fixed at import."""
    return [
        (weeks, ngettext("For %(weeks)d week", "For %(weeks)d weeks", weeks) % {"weeks": weeks})
        for weeks in PAUSE_WEEKS
    ]


class PauseForm(forms.Form):
    """The length of a pause."""

    weeks = forms.TypedChoiceField(
        choices=_pause_choices,
        coerce=int,
        error_messages={
            "required": _("Choose how long to pause."),
            "invalid_choice": _("Choose how long to pause."),
        },
    )
