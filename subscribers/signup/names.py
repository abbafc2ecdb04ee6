"""First names: what subscribers may enter for greetings."""

from __future__ import annotations

import re
import unicodedata

from django.utils.translation import gettext as _

from subscribers.addresses import UNFIT_FOR_HEADERS

LONGEST_FIRST_NAME = 60

_PUNCTUATION = frozenset(" -'’ʼ.·‐\u200c\u200d")
_LIKE_A_URL = re.compile(r"\w{2,}\.\w{2,}|www\.|https?", re.IGNORECASE)


class NameRefused(ValueError):
    """Not a first name; the message tells the subscriber what to change."""

    permanent = True


def parse_first_name(raw: str) -> str:
    """`raw` with single spaces. Empty for none. Raises NameRefused.

    Name fields are abused to send messages, so a name consists of letters, digits and the punctuation of names, and
    never looks like a URL.
    """
    if UNFIT_FOR_HEADERS.search(raw):
        raise NameRefused(_("The name contains an invisible character. Type it again."))
    name = unicodedata.normalize("NFC", " ".join(raw.split()))
    if len(name) > LONGEST_FIRST_NAME:
        raise NameRefused(
            _("The name is longer than %(limit)d characters. Shorten it.") % {"limit": LONGEST_FIRST_NAME}
        )
    if not all(map(_is_allowed, name)) or _LIKE_A_URL.search(name):
        raise NameRefused(
            _("A first name has letters, spaces, hyphens, apostrophes and dots. Remove all other characters.")
        )
    if name and not any(character.isalpha() for character in name):
        raise NameRefused(_("A first name has letters. Type yours, or leave the field empty."))
    return name


def _is_allowed(character: str) -> bool:
    return character in _PUNCTUATION or unicodedata.category(character)[0] in "LM" or character.isdecimal()
