"""Merge fields, `{first_name|there}`: the parts of a text that differ per recipient. Pure.

A field has a name and a fallback, and there are no expressions: text of editors is never run as a template. Which names
exist besides the built-in ones depends on the custom fields of the mailing list: pre-flight checks know them.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass

#: Every list has these.
MERGE_FIELDS = ("first_name", "email")

_FIELD = re.compile(r"\{(?P<name>[a-z][a-z0-9_]{0,39})\|(?P<fallback>[^{}|\n]{1,60})\}")


@dataclass(frozen=True, slots=True)
class MergeField:
    """One use of a field. `fallback` is shown on the web and to recipients without a value."""

    name: str
    fallback: str


MergeFunction = Callable[[MergeField], str]
"""Returns the replacement of a merge field: a placeholder token in a mail, the fallback on the web."""


def fallback_of(field: MergeField) -> str:
    """The replacement on pages that are the same for everybody."""
    return field.fallback


def replace_merge_fields(text: str, merge: MergeFunction) -> str:
    """`text` with each merge field replaced by what `merge` returns."""
    return _FIELD.sub(lambda found: merge(MergeField(found["name"], found["fallback"])), text)


def merge_fields_in(text: str) -> Iterator[MergeField]:
    """Every merge field in `text`."""
    return (MergeField(found["name"], found["fallback"]) for found in _FIELD.finditer(text))
