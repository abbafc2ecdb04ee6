"""Email addresses: the one parser for forms, imports, the admin and provider events.

Mail is sent to `as_typed`. Two addresses with the same `canonical` form belong to the same subscriber.
"""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass
from email.errors import MessageError
from email.headerregistry import Address as HeaderAddress

from django.utils.translation import gettext, gettext_noop
from email_validator import SPECIAL_USE_DOMAIN_NAMES, EmailNotValidError, EmailUndeliverableError, validate_email

#: Octets of a local part and of a whole address (RFC 5321 §4.5.3.1).
MAX_LOCAL_PART_LENGTH, MAX_ADDRESS_LENGTH = 64, 254

#: Labels of a domain, such as 3 in mail.example.org. DNS allows 127 (RFC 1035 §2.3.4), but no mail domain has so many.
MAX_LABELS = 20

#: Characters that no mail header may contain: control characters, line breaks of any kind, direction marks.
UNFIT_FOR_HEADERS = re.compile(
    "[\x00-\x1f\x7f-\x9f\u2028\u2029\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069\ud800-\udfff]"
)


class AddressError(ValueError):
    """Not a usable email address. The sentence says what to change, in the language that is active when it is shown."""

    permanent = True

    def __init__(self, message: str, **values: str | int) -> None:
        super().__init__(message)
        self.message = message
        """In English, with `{names}` that `values` fill."""
        self.values = values

    def __str__(self) -> str:
        return gettext(self.message).format(**self.values)


@dataclass(frozen=True, slots=True)
class Address:
    """An email address that passed every check."""

    as_typed: str
    """As typed, without outer spaces, the domain in ASCII."""
    canonical: str
    """In lower case. Plus-tags and dots are kept."""


def _plain_pattern() -> re.Pattern[str]:
    """Short ASCII addresses that `parse_address` accepts unchanged: most of every list.

    A domain of at most 63 characters has no label that is too long. Labels with `--` are left to `parse_address`, and
    so are all top-level domains in which a name has a special use.
    """
    atom = r"[A-Za-z0-9_#$&'*+\-/=^`{|}~]++"
    label = r"[A-Za-z0-9]++(?:-[A-Za-z0-9]++)*+"
    special = "|".join(sorted({re.escape(name.rpartition(".")[2]) for name in SPECIAL_USE_DOMAIN_NAMES}))
    return re.compile(
        rf"(?=[^@]{{1,{MAX_LOCAL_PART_LENGTH}}}@[^@]{{4,63}}\Z)"
        rf"{atom}(?:\.{atom})*+@"
        rf"(?:{label}\.){{1,{MAX_LABELS - 1}}}+(?!(?i:{special})\Z)[A-Za-z]{{2,}}+"
    )


_PLAIN = _plain_pattern()


def is_plain_address(typed: str) -> bool:
    """Whether this is certainly accepted as it is, with its lower case as canonical form.

    Many times faster than `parse_address`, which decides about all others.
    """
    return _PLAIN.fullmatch(typed) is not None


def parse_address(raw: str) -> Address:
    """Check and normalise one address, without network access. Raises AddressError.

    Stricter than RFC 5321: refuses forms that mail servers interpret differently or that are not used in practice,
    namely quoted and non-ASCII local parts, IP literals, encoded words, `%` and `!` routes.
    """
    typed = raw.strip() if len(raw) <= 4 * MAX_ADDRESS_LENGTH else raw
    if is_plain_address(typed):
        return Address(as_typed=typed, canonical=typed.lower())
    return _parse_unusual(typed)


def _parse_unusual(typed: str) -> Address:
    local, domain = _split(typed)
    # Before normalising, which turns the Kelvin sign into a K and would so produce another subscriber's address.
    if not local.isascii():
        raise AddressError(
            gettext_noop(
                "The part before the @ contains letters that many mail servers do not accept. "
                "Use an address with unaccented letters, digits and symbols there."
            )
        )
    if any(map(_is_ascii_lookalike, domain)):
        raise AddressError(
            gettext_noop(
                "The part after the @ contains look-alike characters. Type the domain with ordinary characters."
            )
        )
    domain = unicodedata.normalize("NFC", domain)
    ascii_domain = _checked_domain(local, domain)
    domain_as_typed = domain if domain.isascii() else ascii_domain
    return Address(as_typed=f"{local}@{domain_as_typed}", canonical=f"{local.lower()}@{ascii_domain}")


def _is_ascii_lookalike(character: str) -> bool:
    """Whether normalisation turns it into ASCII, as with full-width digits: ①②⑦.⓪.⓪.① would become 127.0.0.1."""
    return not character.isascii() and unicodedata.normalize("NFKC", character).isascii()


def _split(typed: str) -> tuple[str, str]:
    """Local part and domain, without the trailing dot of a fully qualified name. Raises AddressError."""
    if not typed:
        raise AddressError(gettext_noop("Enter an email address."))
    if len(typed) > MAX_ADDRESS_LENGTH + 1:
        raise AddressError(
            gettext_noop("The email address is longer than {limit} characters. Check it for a typo."),
            limit=MAX_ADDRESS_LENGTH,
        )
    if not typed.isprintable() or " " in typed:
        raise AddressError(
            gettext_noop("An email address cannot contain spaces or invisible characters. Type it again.")
        )
    local, at, domain = typed.rpartition("@")
    if not at or not local or not domain or "@" in local:
        raise AddressError(gettext_noop("Enter an email address such as name@example.org."))
    if len(local) > MAX_LOCAL_PART_LENGTH:
        raise AddressError(
            gettext_noop("The part before the @ is longer than {limit} characters. Check it for a typo."),
            limit=MAX_LOCAL_PART_LENGTH,
        )
    if re.search(r'[%!"\\]|=\?', local):
        raise AddressError(
            gettext_noop(
                "Addresses with one of the characters {characters} before the @ are not accepted. Use another address."
            ),
            characters='" \\ % ! =?',
        )
    return local, domain.removesuffix(".")


def _checked_domain(local: str, domain: str) -> str:
    """The domain in lower-case ASCII. Raises AddressError."""
    if domain.startswith("[") or re.fullmatch(r"[0-9.]+", domain):
        raise AddressError(gettext_noop("Use an address with a domain name after the @, not an IP address."))
    try:
        checked = validate_email(f"{local}@{domain}", check_deliverability=False, allow_smtputf8=False)
    except EmailUndeliverableError as error:
        raise AddressError(gettext_noop("The domain after the @ cannot receive mail. Check it for a typo.")) from error
    except EmailNotValidError as error:
        if "." in domain:
            raise AddressError(gettext_noop("Enter an email address such as name@example.org.")) from error
        raise AddressError(
            gettext_noop("Enter an email address such as name@example.org. The part after the @ must contain a dot.")
        ) from error
    *labels, top_level = checked.ascii_domain.split(".")
    if top_level.isdigit():
        raise AddressError(gettext_noop("Use an address with a domain name after the @, not an IP address."))
    # No top-level domain has a single letter.
    if len(top_level) == 1 or len(labels) >= MAX_LABELS:
        raise AddressError(gettext_noop("The domain after the @ cannot receive mail. Check it for a typo."))
    return checked.ascii_domain


def domain_of(address: str) -> str:
    """The domain of an address in lower-case ASCII, as in the envelope, so that domains can be compared.

    Of an address that is not accepted, the part after the @ in lower case; empty if there is none.
    """
    try:
        address = parse_address(address).canonical
    except AddressError:
        address = address.strip().lower()
    _local, at, domain = address.rpartition("@")
    return domain if at else ""


def masked(address: str) -> str:
    """The first letter and the domain, for pages that are opened by a link: mails are forwarded."""
    local, _at, domain = address.rpartition("@")
    return f"{local[:1]}•••@{domain}"


def sender_line(name: str, address: str) -> str:
    """`Name <address>` for a From header, quoted if needed. Raises AddressError."""
    if UNFIT_FOR_HEADERS.search(name) or "@" in name:
        raise AddressError(gettext_noop("A sender name cannot contain an @, line breaks or invisible characters."))
    address = parse_address(address).as_typed
    try:
        return str(HeaderAddress(display_name=name, addr_spec=address))
    except (MessageError, ValueError, IndexError) as error:
        raise AddressError(gettext_noop("“{address}” cannot be used as a sender."), address=address) from error
