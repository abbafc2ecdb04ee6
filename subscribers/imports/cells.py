"""What single cells mean: addresses with names around them, names, tags, languages and time zones."""

from __future__ import annotations

import csv
import re
import zoneinfo
from functools import cache, lru_cache
from typing import NamedTuple

from django.conf import settings

from subscribers.addresses import UNFIT_FOR_HEADERS, AddressError, parse_address
from subscribers.imports.states import RowRefusal
from subscribers.models import tag_key
from subscribers.profile.tags import MAX_NAME, MAX_TAGS

#: The longest first name that is stored.
MAX_FIRST_NAME = 60

#: The longest detail of a refusal.
MAX_DETAIL = 200

#: The longest note that is kept.
MAX_NOTE = 10_000

#: Different cells that are remembered: names and tags repeat.
_CACHE = 50_000

_DISPLAY = re.compile(r"(?P<before>[^<>]*)<\s*(?P<address>[^<>]+?)\s*>\s*")
_COMMENT = re.compile(r"(?P<address>[^\s()]+@[^\s()]+)\s*\((?P<before>[^()]*)\)")
_ADDRESSES = re.compile(r"[^\s<>,;:|()\"@]+@[^\s<>,;:|()\"@]+\.[^\s<>,;:|()\"@]+")

#: Names in greetings are abused to send links.
_LIKE_A_LINK = re.compile(r"@|://|www\.|\w{2,}\.\w{2,}", re.IGNORECASE)

#: Addresses of subscribers whom Substack has erased.
ERASED_SUFFIX = "@deletion-request.substack.com"

#: What follows a name after a comma, and is no first name.
_AFTER_NAMES = frozenset(("jr", "sr", "ii", "iii", "iv", "phd", "ph.d", "md", "m.d", "esq", "mba"))


class AddressCell(NamedTuple):
    """An address in a cell, or why there is none."""

    address: str
    canonical: str = ""
    name: str = ""
    """The display name, if the cell has one."""
    refusal: RowRefusal | None = None
    detail: str = ""


def read_address(cell: str) -> AddressCell:
    """Reads `ada@example.org`, `Ada <ada@example.org>`, `ada@example.org (Ada)` and `mailto:` links."""
    text = cell.strip()
    if not text:
        return AddressCell("", refusal=RowRefusal.NO_ADDRESS)
    if len({found.lower() for found in _ADDRESSES.findall(text[:2000])}) > 1:
        return AddressCell(text, refusal=RowRefusal.TWO_ADDRESSES)
    found = _DISPLAY.fullmatch(text) or _COMMENT.fullmatch(text)
    inner, name = (found["address"], found["before"].strip(" \t\"'")) if found else (text, "")
    if inner[:7].lower() == "mailto:":
        inner = inner[7:].partition("?")[0]
    try:
        address = parse_address(inner)
    except AddressError as error:
        return AddressCell(text, refusal=RowRefusal.INVALID_ADDRESS, detail=str(error))
    if address.canonical.endswith(ERASED_SUFFIX):
        return AddressCell(text, address.canonical, refusal=RowRefusal.ERASED_THERE)
    return AddressCell(address.as_typed, address.canonical, name)


def one_line(text: str) -> str:
    """The text in one line, without invisible characters."""
    return " ".join(UNFIT_FOR_HEADERS.sub(" ", text).split())


@lru_cache(_CACHE)
def clean_name(cell: str) -> str:
    """A first name that a greeting can use; empty for addresses and links."""
    name = one_line(cell)
    return "" if _LIKE_A_LINK.search(name) else name[:MAX_FIRST_NAME].rstrip()


@lru_cache(_CACHE)
def split_name(cell: str) -> tuple[str, str]:
    """First name and last name of `Ada Lovelace`, `Lovelace, Ada` or `Ada Lovelace, PhD`."""
    name = one_line(cell)
    last, comma, first = name.partition(",")
    if not comma or first.strip(" .").lower() in _AFTER_NAMES:
        first, _space, last = name.partition(" ")
    first, last = clean_name(first), last.strip()
    return (first, "" if _LIKE_A_LINK.search(last) else last)


@lru_cache(_CACHE)
def split_tags(cell: str, separators: str = ";|,") -> tuple[str, ...]:
    """Tags that are separated by the first of `separators` that occurs, with or without quotes, each once."""
    text = cell.strip()
    if text.startswith('"'):
        # Mailchimp: each tag in quotes of its own.
        parts = next(csv.reader([one_line(text)], skipinitialspace=True), [])
    else:
        separator = next((character for character in separators if character in text), ",")
        parts = re.split(rf"(?<!\\){re.escape(separator)}", text)
    return unique_tags(tuple(part.replace("\\,", ",") for part in parts))


@lru_cache(_CACHE)
def plain_tags(cell: str) -> tuple[str, ...]:
    """The tags in an export of this system: only commas separate them."""
    return unique_tags(tuple(cell.split(",")))


def unique_tags(names: tuple[str, ...]) -> tuple[str, ...]:
    """Each once, in the capital letters of the first; too long ones are cut. A tag contains no comma."""
    found: dict[str, str] = {}
    for part in names:
        name = one_line(part.replace(",", " "))[:MAX_NAME].rstrip()
        if name:
            found.setdefault(tag_key(name), name)
    return tuple(found.values())[:MAX_TAGS]


@cache
def _time_zones() -> dict[str, str]:
    return {name.lower(): name for name in zoneinfo.available_timezones() if "/" in name or name == "UTC"}


def time_zone_of(cell: str) -> str:
    """The IANA name, in its own capital letters; empty for anything else."""
    return _time_zones().get(cell.strip().lower().replace(" ", "_"), "")


@lru_cache(1000)
def language_of(cell: str) -> str:
    """The code of a language of this installation: `de` for `de_AT` and `DE`; empty for others."""
    codes = {code.lower(): code for code, _name in settings.LANGUAGES}
    wanted = cell.strip().lower().replace("_", "-")
    return codes.get(wanted) or codes.get(wanted.partition("-")[0], "")
