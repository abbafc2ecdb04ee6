"""The forms behind a link from the subscriber's own mailbox: first name, time zone, pause."""

from __future__ import annotations

import zoneinfo
from functools import cache

from django import forms
from django.utils.translation import gettext_lazy as _
from django.utils.translation import ngettext_lazy

from subscribers.consent.actions import PAUSES
from subscribers.signup.names import LONGEST_FIRST_NAME, NameRefused, parse_first_name


class FirstNameForm(forms.Form):
    """The first name for greetings.

    The sign-up form does not ask for it: anyone can type a stranger's address there, and the name would be a message
    to them.
    """

    first_name = forms.CharField(required=False)

    def clean_first_name(self) -> str:
        """Check the name."""
        try:
            return parse_first_name(self.cleaned_data["first_name"])
        except NameRefused as error:
            raise forms.ValidationError(str(error)) from error

    @property
    def typed(self) -> str:
        """What was typed, to be shown again with an error."""
        return str(self.data.get("first_name", ""))[: 2 * LONGEST_FIRST_NAME]


class TimeZoneForm(forms.Form):
    """The subscriber's time zone, for issues that are sent at local time."""

    time_zone = forms.CharField(required=False)

    def clean_time_zone(self) -> str:
        """One of `zones`, or empty."""
        zone: str = self.cleaned_data["time_zone"]
        if zone and zone not in self.zones:
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


class PauseForm(forms.Form):
    """The length of a pause."""

    weeks = forms.TypedChoiceField(
        choices=[
            (weeks, ngettext_lazy("%(weeks)d week from today", "%(weeks)d weeks from today", weeks) % {"weeks": weeks})
            for weeks in PAUSES
        ],
        coerce=int,
        error_messages={
            "required": _("Choose how long to pause."),
            "invalid_choice": _("Choose 2, 4 or 8 weeks."),
        },
    )
