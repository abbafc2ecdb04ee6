r"""The lines of a file, and how a body is written among them so that it comes back as it was. Pure.

A body's line that would mean something to the reader is *held*: written behind a backslash and a space, which
reading takes off. Held are lines that begin a title, section or story, lines that are held already, a code
fence that the body never closes, and blank lines at the body's ends. Lines within a closed code fence mean
nothing to the reader, so they are written as they are.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence

_OPENING_FENCE = re.compile(r" {0,3}(`{3,}(?=[^`]*$)|~{3,})")
_CLOSING_FENCE = re.compile(r" {0,3}(`{3,}|~{3,})[ \t]*")
_HELD = re.compile(r"^\\(?: |$)")


def text_lines(text: str) -> list[str]:
    """The lines of a file, without byte order mark, whatever its line ends are."""
    return text.removeprefix("\ufeff").replace("\r\n", "\n").replace("\r", "\n").split("\n")


def fenced_lines(lines: Sequence[str]) -> list[bool]:
    """For each line whether it belongs to a code block between two fences, the fences included.

    A fence that is never closed opens nothing here: it would hide the rest of the file.
    """
    fenced = [False] * len(lines)
    unclosed: dict[str, int] = {}  # shortest fence known to have no end below, so that no file takes quadratic time
    index = 0
    while index < len(lines):
        opening = _OPENING_FENCE.match(lines[index])
        if opening and len(opening[1]) < unclosed.get(opening[1][0], len(opening[1]) + 1):
            end = _end_of_fence(lines, index, opening[1])
            if end:
                fenced[index : end + 1] = [True] * (end + 1 - index)
                index = end
            else:
                unclosed[opening[1][0]] = len(opening[1])
        index += 1
    return fenced


def read_body(lines: Sequence[str], fenced: Sequence[bool]) -> str:
    """The body that stands in `lines`: without blank lines around it, held lines as they were."""
    first, last = 0, len(lines)
    while first < last and not lines[first].strip():
        first += 1
    while last > first and not lines[last - 1].strip():
        last -= 1
    return "\n".join(
        line if fence else _HELD.sub("", line, count=1)
        for line, fence in zip(lines[first:last], fenced[first:last], strict=True)
    )


def write_body(body: str, *, means_something: Callable[[str], bool]) -> str:
    """The lines for `body`, joined; `means_something` tells the lines that a reader would take for its own."""
    if not body:
        return ""
    lines = body.split("\n")
    ends = {0, len(lines) - 1}
    written = []
    for index, (line, fenced) in enumerate(zip(lines, fenced_lines(lines), strict=True)):
        blank_end = index in ends and not line.strip()
        has_meaning = means_something(line) or _HELD.match(line) or _OPENING_FENCE.match(line)
        written.append(_held(line) if not fenced and (blank_end or has_meaning) else line)
    return "\n".join(written)


def _held(line: str) -> str:
    return f"\\ {line}" if line else "\\"


def _end_of_fence(lines: Sequence[str], start: int, fence: str) -> int | None:
    for index in range(start + 1, len(lines)):
        closing = _CLOSING_FENCE.fullmatch(lines[index])
        if closing and closing[1][0] == fence[0] and len(closing[1]) >= len(fence):
            return index
    return None
