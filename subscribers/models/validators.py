"""Validators of the fields that end up in mails."""

from __future__ import annotations

import zoneinfo

from django.core.exceptions import ValidationError
from django.utils.translation import gettext as _

from subscribers.addresses import UNFIT_FOR_HEADERS, AddressError, parse_address


def check_header_text(value: str) -> None:
    """Refuse line breaks, control characters and direction marks: they allow header injection."""
    if UNFIT_FOR_HEADERS.search(value):
        raise ValidationError(_("Remove line breaks and invisible characters."))


def check_sender_name(value: str) -> None:
    """Refuse a display name that looks like an address: mail programs would show it as the sender."""
    check_header_text(value)
    if "@" in value:
        raise ValidationError(_("A sender name cannot contain an @."))


def check_time_zone(name: str) -> None:
    """Refuse everything but IANA time zones, such as a bare offset."""
    if name not in zoneinfo.available_timezones():
        raise ValidationError(_("“%(name)s” is not a time zone. Enter a name such as Europe/Berlin.") % {"name": name})


def check_address(value: str) -> None:
    """Apply the same rules as to subscribers' addresses."""
    try:
        parse_address(value)
    except AddressError as error:
        raise ValidationError(str(error)) from error
