"""The one reader of mail addresses: form, import, admin and receipts all ask here.

`as_given` is where mail goes, `canonical` decides whether two addresses are the same person's (R-43).
"""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass
from email.errors import MessageError
from email.headerregistry import Address as HeaderAddress

from email_validator import EmailNotValidError, EmailUndeliverableError, validate_email

#: Octets of a local part and of a whole address (RFC 5321 §4.5.3.1).
LONGEST_LOCAL_PART, LONGEST_ADDRESS = 64, 254

#: What no part of a line in a mail's head may hold: controls, line breaks of any kind, signs that turn the reading
#: direction (R-19).
UNFIT_FOR_HEADERS = re.compile(
    "[\x00-\x1f\x7f-\x9f\u2028\u2029\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069\ud800-\udfff]"
)


class AddressError(ValueError):
    """Not an address that mail could go to; the message is a sentence for the person who typed it."""

    permanent = True


@dataclass(frozen=True, slots=True)
class Address:
    """A mail address that passed every check."""

    as_given: str
    """As typed, without outer spaces, its domain in ASCII (R-23)."""
    canonical: str
    """The same for everybody who means this mailbox: all lower case. Plus-tags and dots are kept."""


def parse_address(raw: str) -> Address:
    """Check and canonicalise one address. No network: whether the mailbox exists, only mail can tell.

    Raises AddressError. Refused beyond the standard's grammar are forms that mail servers read differently or that
    no person has (R-44): quoted and non-ASCII local parts, IP literals, encoded words, `%` and `!` routes.
    """
    local, domain = _split(raw.strip() if len(raw) <= 4 * LONGEST_ADDRESS else raw)
    # Before normalising: the Kelvin sign would become an ordinary K, and one person's address another's.
    if not local.isascii():
        raise AddressError(
            "The part before the @ has letters that mail servers cannot deliver to yet. "
            "Use an address with plain letters, digits and signs there."
        )
    if any(map(_poses_as_ascii, domain)):
        raise AddressError("The part after the @ has look-alike letters. Type the domain in plain letters.")
    domain = unicodedata.normalize("NFC", domain)
    ascii_domain = _checked_domain(local, domain)
    domain_as_given = domain if domain.isascii() else ascii_domain
    return Address(as_given=f"{local}@{domain_as_given}", canonical=f"{local.lower()}@{ascii_domain}")


def _poses_as_ascii(character: str) -> bool:
    """Full-width digits and the like turn into ASCII on the way: ①②⑦.⓪.⓪.① would become 127.0.0.1."""
    return not character.isascii() and unicodedata.normalize("NFKC", character).isascii()


def _split(typed: str) -> tuple[str, str]:
    """Local part and domain, without the dot that may end a full domain name. Raises AddressError."""
    if not typed:
        raise AddressError("Enter an email address.")
    if len(typed) > LONGEST_ADDRESS + 1:
        raise AddressError(f"That is longer than an email address can be ({LONGEST_ADDRESS} characters).")
    if not typed.isprintable() or " " in typed:
        raise AddressError("An email address has no spaces or invisible characters. Type it again.")
    local, at, domain = typed.rpartition("@")
    if not at or not local or not domain or "@" in local:
        raise AddressError("Enter an email address like name@example.org.")
    if len(local) > LONGEST_LOCAL_PART:
        raise AddressError(f"The part before the @ is longer than {LONGEST_LOCAL_PART} characters.")
    if re.search(r'[%!"\\]|=\?', local):
        raise AddressError("Addresses with quotes, %, ! or =? before the @ are not accepted. Use another address.")
    return local, domain.removesuffix(".")


def _checked_domain(local: str, domain: str) -> str:
    """The domain in lower-case ASCII. Raises AddressError."""
    if domain.startswith("[") or re.fullmatch(r"[0-9.]+", domain):
        raise AddressError("Use an address with a domain name after the @, not with a number.")
    try:
        checked = validate_email(f"{local}@{domain}", check_deliverability=False, allow_smtputf8=False)
    except EmailUndeliverableError as error:
        raise AddressError("The part after the @ is no domain that mail can reach. Check it for a typo.") from error
    except EmailNotValidError as error:
        dot = "" if "." in domain else " The part after the @ holds a dot."
        raise AddressError(f"Enter an email address like name@example.org.{dot}") from error
    if checked.ascii_domain.rpartition(".")[2].isdigit():
        raise AddressError("Use an address with a domain name after the @, not with a number.")
    return checked.ascii_domain


def masked(address: str) -> str:
    """The address for a page that somebody else may see: first letter and domain (R-52)."""
    local, _, domain = address.rpartition("@")
    return f"{local[:1]}•••@{domain}"


def sender_line(name: str, address: str) -> str:
    """`Name <address>` for a From header, quoted where the name needs it (R-21). Raises AddressError."""
    if UNFIT_FOR_HEADERS.search(name) or "@" in name:
        raise AddressError("A sender's name holds no @, line breaks or invisible characters.")
    address = parse_address(address).as_given
    try:
        return str(HeaderAddress(display_name=name, addr_spec=address))
    except (MessageError, ValueError, IndexError) as error:
        raise AddressError(f"“{address}” cannot stand in a From header.") from error
