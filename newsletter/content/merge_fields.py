"""Merge fields: the few places of a text that differ per reader, written `{first_name|there}`. Pure.

There is a fixed list of them, and no expressions: what editors write is never run as a template (R-152, R-154).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass

MERGE_FIELDS = {
    "first_name": "the reader's first name, where they gave one",
    "email": "the reader's own address",
}

_FIELD = re.compile(r"\{(?P<name>[a-z_]+)\|(?P<fallback>[^{}|\n]{1,60})\}")


@dataclass(frozen=True, slots=True)
class MergeField:
    """One use of a field. `fallback` stands where a reader has no such value, and on the web."""

    name: str
    fallback: str


Merge = Callable[[MergeField], str]
"""What to put in the place of a merge field: a slot's token in a mail, the fallback on the web."""


def fallback_of(field: MergeField) -> str:
    """The merge for pages that belong to no reader."""
    return field.fallback


def replace_merge_fields(text: str, merge: Merge) -> str:
    """`text` with what `merge` gives in the place of each field of the list."""
    return _FIELD.sub(
        lambda found: merge(MergeField(found["name"], found["fallback"])) if _known(found) else found[0], text
    )


def merge_fields_in(text: str) -> Iterator[MergeField]:
    """Every use of a field of the list."""
    return (MergeField(found["name"], found["fallback"]) for found in _FIELD.finditer(text) if _known(found))


def _known(found: re.Match[str]) -> bool:
    return found["name"] in MERGE_FIELDS
