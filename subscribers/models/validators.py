"""Validators of the fields that end up in mails."""

from __future__ import annotations

import ipaddress
import re
import zoneinfo
from urllib.parse import urlsplit

from django.core.exceptions import ValidationError
from django.utils.translation import gettext as _

from subscribers.addresses import UNFIT_FOR_HEADERS, AddressError, parse_address

#: Scheme, host (with a wildcard for its subdomains) and port (CSP Level 3, host-source).
ORIGIN = re.compile(r"https?://(\*\.)?[a-z0-9]([a-z0-9.-]{0,250}[a-z0-9])?(:[0-9]{1,5})?", re.IGNORECASE)

#: A domain in lower-case ASCII, perhaps with a dot before it.
DOMAIN = re.compile(r"\.?([a-z0-9_-]{1,63}\.)+[a-z0-9-]{2,63}")


def check_header_text(value: str) -> None:
    """Refuse line breaks, control characters and direction marks: they allow header injection."""
    if UNFIT_FOR_HEADERS.search(value):
        raise ValidationError(_("Remove line breaks and invisible characters."))


def check_sender_name(value: str) -> None:
    """Refuse a display name that looks like an address: mail programs would show it as the sender."""
    check_header_text(value)
    if "@" in value:
        raise ValidationError(_("A sender name cannot contain an @."))


def check_web_address(value: str) -> None:
    """Refuse everything but an https:// URL with a host name. Its characters are those of RFC 3986."""
    if not value.startswith("https://") or not re.fullmatch(r"[!#-;=?-Z\[\]_a-z~%]+", value) or not _host_of(value):
        raise ValidationError(_("Enter a URL that starts with https://, such as https://www.example.org/privacy."))


def check_contact(value: str) -> None:
    """Accept an email address or an https:// URL."""
    if "@" in value and "/" not in value:
        check_address(value)
    else:
        check_web_address(value)


def check_origins(value: str) -> None:
    """Accept origins for a Content-Security-Policy, separated by spaces or line breaks, or `*`.

    One source that does not parse would make browsers ignore it, and a semicolon would begin another directive.
    """
    for origin in value.split():
        if origin != "*" and not ORIGIN.fullmatch(origin):
            raise ValidationError(
                _("“%(origin)s” is not an origin. Enter scheme and host only, such as https://www.example.org.")
                % {"origin": origin[:80]}
            )


def check_domains(value: str) -> None:
    """Accept mail domains in ASCII, separated by spaces or line breaks; a dot before one includes its subdomains."""
    for domain in value.split():
        if not DOMAIN.fullmatch(domain):
            message = _("“%(domain)s” is not a mail domain. Enter a name such as example.org or .example.org.")
            raise ValidationError(message % {"domain": domain[:80]})


def check_networks(value: str) -> None:
    """Accept IP addresses and networks, separated by spaces or line breaks."""
    for network in value.split():
        try:
            ipaddress.ip_network(network)
        except ValueError as error:
            message = _("“%(network)s” is not a network. Enter an address or a network such as 203.0.113.0/24.")
            raise ValidationError(message % {"network": network[:80]}) from error


def _host_of(url: str) -> str:
    try:
        return urlsplit(url).hostname or ""
    except ValueError:
        return ""


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
