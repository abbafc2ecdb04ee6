"""First names: what subscribers may enter for greetings."""

from __future__ import annotations

import re
import unicodedata

from django.utils.translation import gettext as _

from subscribers.addresses import UNFIT_FOR_HEADERS

MAX_FIRST_NAME_LENGTH = 60

_PUNCTUATION = frozenset(" -'’ʼ.·‐\u200c\u200d")
_URL = re.compile(r"www\.|https?", re.IGNORECASE)
_LIKE_A_DOMAIN = re.compile(r"\w{2,}\.\w{2,}")


class FirstNameError(ValueError):
    """Not a first name; the message tells the subscriber what to change."""

    permanent = True


def parse_first_name(raw: str) -> str:
    """`raw` with single spaces. Empty for none. Raises FirstNameError.

    Name fields are abused to send messages, so a name consists of letters, digits and the punctuation of names, and
    never looks like a URL.
    """
    if UNFIT_FOR_HEADERS.search(raw):
        raise FirstNameError(_("The name contains an invisible character. Type it again."))
    name = unicodedata.normalize("NFC", " ".join(raw.split()))
    if len(name) > MAX_FIRST_NAME_LENGTH:
        raise FirstNameError(
            _("The name is longer than %(limit)d characters. Shorten it.") % {"limit": MAX_FIRST_NAME_LENGTH}
        )
    if not all(map(_is_allowed, name)):
        raise FirstNameError(
            _("A first name has letters, digits, spaces, hyphens, apostrophes and dots. Remove all other characters.")
        )
    if _URL.search(name):
        raise FirstNameError(_("A first name cannot contain a web address. Remove it."))
    if _LIKE_A_DOMAIN.search(name):
        raise FirstNameError(_("A first name cannot look like a web address. Type a space after the dot."))
    if name and not any(character.isalpha() for character in name):
        raise FirstNameError(_("A first name has letters. Type yours, or leave the field empty."))
    return name


def _is_allowed(character: str) -> bool:
    return character in _PUNCTUATION or unicodedata.category(character)[0] in "LM" or character.isdecimal()
