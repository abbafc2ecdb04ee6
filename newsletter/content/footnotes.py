"""Footnotes and link definitions: the lines of a text that only define something. Pure.

The quay[^1] is [open][plan].

[^1]: Since June.
[plan]: https://quay.example/plan
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from markdown_it.common.utils import normalizeReference

MAX_LABEL = 100
REFERENCE = re.compile(rf"\[\^([^\]\[\s]{{1,{MAX_LABEL}}})\]")

_FOOTNOTE = re.compile(rf" {{0,3}}\[\^([^\]\[\s]{{1,{MAX_LABEL}}})\]:[ \t]*(.*)")
_LINK = re.compile(
    rf" {{0,3}}\[(?!\^)((?:\\.|[^\\\[\]]){{1,{MAX_LABEL}}})\]:[ \t]*(?:<([^<>]*)>|([^\s<]\S*))"
    r"""(?:[ \t]+(?:"[^"]*"|'[^']*'|\([^()]*\)))?[ \t]*"""
)
_HEADING = re.compile(r"#{1,6}(?:[ \t]|$)")
_INDENTED = re.compile(r"(?: {2,}|\t)\S")


@dataclass(frozen=True, slots=True)
class Definition:
    """A footnote or the target of links: its key, and its lines, from `first` up to, but without, `end`."""

    key: str
    first: int
    end: int
    text: str
    """Of a footnote, its Markdown; of links, their address."""

    @property
    def is_footnote(self) -> bool:
        """Whether it is a footnote."""
        return self.key.startswith("^")


def footnote_key(label: str) -> str:
    """The key of a footnote; it never equals that of a link."""
    return f"^{reference_key(label)}"


def reference_key(label: str) -> str:
    """The key of a link definition."""
    return str(normalizeReference(label))


def find_definitions(lines: Sequence[str], literal: Sequence[bool]) -> list[Definition]:
    """The definitions in `lines`, in order; none begins in a line that is literal, or within a paragraph."""
    found: list[Definition] = []
    index, is_free = 0, True
    while index < len(lines):
        line = lines[index]
        definition = _definition(lines, literal, index) if is_free and not literal[index] else None
        if definition:
            found.append(definition)
            index = definition.end
            continue
        is_free = not line.strip() or _HEADING.match(line) is not None
        index += 1
    return found


def _definition(lines: Sequence[str], literal: Sequence[bool], index: int) -> Definition | None:
    line = lines[index]
    if "]:" not in line:
        return None
    if footnote := _FOOTNOTE.fullmatch(line):
        end = _end_of_footnote(lines, literal, index)
        more = (
            other.strip() if not literal[at] else other for at, other in enumerate(lines[index + 1 : end], index + 1)
        )
        return Definition(footnote_key(footnote[1]), index, end, "\n".join([footnote[2], *more]).strip())
    if link := _LINK.fullmatch(line):
        address = link[3] if link[2] is None else link[2]
        return Definition(reference_key(link[1]), index, index + 1, address)
    return None


def _end_of_footnote(lines: Sequence[str], literal: Sequence[bool], start: int) -> int:
    """The line after a footnote: its paragraph, and indented ones below it."""
    index = start + 1
    while index < len(lines) and not literal[index]:
        line, before = lines[index], lines[index - 1]
        if line.strip():
            begins_another = _FOOTNOTE.match(line) or _LINK.fullmatch(line) or _HEADING.match(line)
            if begins_another or (not before.strip() and not _INDENTED.match(line)):
                break
        index += 1
    while index > start + 1 and not lines[index - 1].strip():
        index -= 1
    return index
