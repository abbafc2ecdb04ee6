"""First names as readers give them: what may greet somebody, and what only poses as a name."""

from __future__ import annotations

import re
import unicodedata

from subscribers.addresses import UNFIT_FOR_HEADERS

LONGEST_FIRST_NAME = 60

_MARKS_OF_NAMES = frozenset(" -'’ʼ.·‐\u200c\u200d")
_LIKE_AN_ADDRESS = re.compile(r"\w{2,}\.\w{2,}|www\.|https?", re.IGNORECASE)


class NameRefused(ValueError):
    """Nothing that a mail should greet somebody by; the message is a sentence for the person who typed it."""

    permanent = True


def read_first_name(raw: str) -> str:
    """`raw` as it is kept: its blanks made single. Empty for none. Raises NameRefused.

    Name fields are where strangers put words of their own for mails to carry (R-58), so a name is made of letters,
    digits and the few marks that names have, and never looks like an address on the web.
    """
    if UNFIT_FOR_HEADERS.search(raw):
        raise NameRefused("Your name holds an invisible character. Please type it anew.")
    name = unicodedata.normalize("NFC", " ".join(raw.split()))
    if len(name) > LONGEST_FIRST_NAME:
        raise NameRefused(f"Your name is longer than {LONGEST_FIRST_NAME} characters. Please shorten it.")
    if not all(map(_may_stand_in_a_name, name)) or _LIKE_AN_ADDRESS.search(name):
        raise NameRefused("A first name has letters, spaces, hyphens, apostrophes and dots. Please leave out the rest.")
    if name and not any(character.isalpha() for character in name):
        raise NameRefused("A first name has letters. Please type yours, or leave the field empty.")
    return name


def _may_stand_in_a_name(character: str) -> bool:
    return character in _MARKS_OF_NAMES or unicodedata.category(character)[0] in "LM" or character.isdecimal()
