r"""The lines of a file, and the escaping of bodies so that parsing returns them unchanged. Pure.

A line of a body that the parser would take for structure is escaped with a backslash and a space, which parsing
removes. Escaped are: lines that start a title, section or story, lines that look escaped already, a code fence that is
never closed, and blank lines at the ends of the body. Lines within a closed code fence are written as they are.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence

_OPENING_FENCE = re.compile(r" {0,3}(`{3,}(?=[^`]*$)|~{3,})")
_CLOSING_FENCE = re.compile(r" {0,3}(`{3,}|~{3,})[ \t]*")
_ESCAPED = re.compile(r"^\\(?: |$)")


def text_lines(text: str) -> list[str]:
    """The lines of a file with LF, CRLF or CR line ends, without byte order mark."""
    return text.removeprefix("\ufeff").replace("\r\n", "\n").replace("\r", "\n").split("\n")


def fenced_lines(lines: Sequence[str]) -> list[bool]:
    """For each line, whether it is part of a fenced code block, fences included.

    A fence that is never closed is ignored: it would swallow the rest of the file.
    """
    fenced = [False] * len(lines)
    unclosed: dict[str, int] = {}  # shortest fence without an end, so that no file takes quadratic time
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
    """The body in `lines`, unescaped and without surrounding blank lines."""
    first, last = 0, len(lines)
    while first < last and not lines[first].strip():
        first += 1
    while last > first and not lines[last - 1].strip():
        last -= 1
    return "\n".join(
        line if fence else _ESCAPED.sub("", line, count=1)
        for line, fence in zip(lines[first:last], fenced[first:last], strict=True)
    )


def write_body(body: str, *, is_structure: Callable[[str], bool]) -> str:
    """`body` with lines escaped; `is_structure` tells which lines the parser would take for structure."""
    if not body:
        return ""
    lines = body.split("\n")
    ends = {0, len(lines) - 1}
    written = []
    for index, (line, fenced) in enumerate(zip(lines, fenced_lines(lines), strict=True)):
        blank_end = index in ends and not line.strip()
        needs_escape = is_structure(line) or _ESCAPED.match(line) or _OPENING_FENCE.match(line)
        written.append(_escape(line) if not fenced and (blank_end or needs_escape) else line)
    return "\n".join(written)


def _escape(line: str) -> str:
    return f"\\ {line}" if line else "\\"


def _end_of_fence(lines: Sequence[str], start: int, fence: str) -> int | None:
    for index in range(start + 1, len(lines)):
        closing = _CLOSING_FENCE.fullmatch(lines[index])
        if closing and closing[1][0] == fence[0] and len(closing[1]) >= len(fence):
            return index
    return None
