"""The forms behind a link from the subscriber's own mailbox: preferences, change of address, reason."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from django import forms
from django.conf import settings
from django.utils import timezone
from django.utils.translation import gettext_lazy as _
from django.utils.translation import ngettext

from subscribers.addresses import MAX_ADDRESS_LENGTH, UNFIT_FOR_HEADERS, Address, AddressError, parse_address
from subscribers.consent.actions import PAUSE_WEEKS
from subscribers.consent.reasons import MAX_REASON_TEXT
from subscribers.models import Frequency, LeaveReason, Topic
from subscribers.signup.names import MAX_FIRST_NAME_LENGTH, FirstNameError, parse_first_name
from subscribers.web.zones import zone_groups, zones_of_places


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
    """The subscriber's time zone, for issues that are sent at local time. Empty: the newsletter's time."""

    time_zone = forms.CharField(required=False)

    def __init__(self, data: Any = None, *, stored: str = "") -> None:
        super().__init__(data)
        self.stored = stored

    def clean_time_zone(self) -> str:
        """Empty, one of the zones of places, or the stored one, which may have a former name."""
        zone: str = self.cleaned_data["time_zone"]
        if zone not in ("", self.stored, *zones_of_places()):
            raise forms.ValidationError(_("Choose a time zone from the list."))
        return zone

    @property
    def groups(self) -> list[tuple[str, list[tuple[str, str]]]]:
        """The zones by region, in words."""
        return zone_groups(timezone.now(), self.stored)


class LanguageForm(forms.Form):
    """The language of pages and mails about the subscription."""

    language = forms.ChoiceField(
        choices=lambda: settings.LANGUAGES,
        error_messages={
            "required": _("Choose a language from the list."),
            "invalid_choice": _("Choose a language from the list."),
        },
    )


class TopicsForm(forms.Form):
    """The topics that the subscriber wants."""

    topics = forms.MultipleChoiceField(
        error_messages={
            "required": _("Choose at least one topic. To get no issues, pause the subscription or unsubscribe."),
            "invalid_choice": _("Choose topics from the list."),
        },
    )

    def __init__(self, topics: Iterable[Topic], data: Any = None) -> None:
        super().__init__(data)
        self.fields["topics"].choices = [(topic.slug, topic.name) for topic in topics]  # type: ignore[attr-defined]


class FrequencyForm(forms.Form):
    """How often the list sends mail."""

    frequency = forms.ChoiceField(
        choices=Frequency.choices,
        error_messages={
            "required": _("Choose how often you want mail."),
            "invalid_choice": _("Choose how often you want mail."),
        },
    )


class AddressForm(forms.Form):
    """The new address of a subscriber. `address` is set once the form is valid."""

    email = forms.CharField(required=False)

    address: Address

    def clean_email(self) -> str:
        try:
            self.address = parse_address(self.cleaned_data["email"])
        except AddressError as error:
            raise forms.ValidationError(str(error)) from error
        return self.address.as_typed

    @property
    def submitted_email(self) -> str:
        """What was submitted, to be shown again with an error; cut to the length of an address."""
        return str(self.data.get("email", ""))[:MAX_ADDRESS_LENGTH]


class ReasonForm(forms.Form):
    """Why the subscriber has unsubscribed. Asked afterwards, and optional."""

    reason = forms.ChoiceField(
        choices=LeaveReason.choices,
        error_messages={"required": _("Choose a reason."), "invalid_choice": _("Choose a reason.")},
    )
    text = forms.CharField(
        required=False,
        max_length=MAX_REASON_TEXT,
        error_messages={"max_length": _("Enter at most %(limit_value)d characters.")},
    )

    def clean_text(self) -> str:
        """On one line, without invisible characters."""
        return " ".join(UNFIT_FOR_HEADERS.sub(" ", self.cleaned_data["text"]).split())


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
