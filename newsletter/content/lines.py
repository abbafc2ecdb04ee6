r"""The lines of a file, and the escaping of bodies so that parsing returns them unchanged. Pure.

Lines within a closed code fence or a closed HTML comment are literal: never structure, and written as they are. A line
of a body that the parser would take for structure is escaped with a backslash and a space, which parsing removes.
Escaped are: lines that start a title, section or story, lines that look escaped already, a code fence or a comment that
is never closed, and blank lines at the ends of the body.
"""

from __future__ import annotations

import bisect
import re
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

_OPENING_FENCE = re.compile(r" {0,3}(`{3,}(?=[^`]*$)|~{3,})")
_CLOSING_FENCE = re.compile(r" {0,3}(`{3,}|~{3,})[ \t]*")
_ESCAPED = re.compile(r"^\\(?: |$)")
_TICKS = re.compile(r"`+")
_ESCAPE_OR_COMMENT = re.compile(r"\\.|<!--")
_END_OF_COMMENT = "-->"


@dataclass(frozen=True, slots=True)
class Comment:
    """An HTML comment: the lines and columns of its first character and of the one after its last, from 0."""

    line: int
    column: int
    end_line: int
    end_column: int


@dataclass(slots=True)
class LineScan:
    """Where the code fences and HTML comments of some lines are."""

    fenced: list[bool]
    """For each line, whether it is part of a fenced code block, fences included."""
    commented: list[bool]
    """For each line, whether a comment of several lines begins, goes on or ends in it."""
    comments: list[Comment] = field(default_factory=list)
    unclosed: list[tuple[int, int]] = field(default_factory=list)
    """Line and column of each `<!--` without an end."""
    has_no_more_ends: bool = False

    def literal(self) -> list[bool]:
        """For each line, whether it is never structure."""
        return [fenced or commented for fenced, commented in zip(self.fenced, self.commented, strict=True)]


def text_lines(text: str) -> list[str]:
    """The lines of a file with LF, CRLF or CR line ends, without byte order mark."""
    return text.removeprefix("\ufeff").replace("\r\n", "\n").replace("\r", "\n").split("\n")


def scan_lines(lines: Sequence[str], *, may_span: Callable[[str], bool] = lambda _: True) -> LineScan:
    """Find code fences and comments, each outside the other.

    A fence that is never closed is ignored: it would swallow the rest of the file. `may_span` tells whether a comment
    of several lines may begin in a line. Takes linear time for any lines.
    """
    scan = LineScan([False] * len(lines), [False] * len(lines))
    unclosed: dict[str, int] = {}  # shortest fence without an end, so that no file takes quadratic time
    index = column = 0
    while index < len(lines):
        opening = _OPENING_FENCE.match(lines[index]) if not column else None
        if opening and len(opening[1]) < unclosed.get(opening[1][0], len(opening[1]) + 1):
            end = _end_of_fence(lines, index, opening[1])
            if end:
                scan.fenced[index : end + 1] = [True] * (end + 1 - index)
                index = end + 1
                continue
            unclosed[opening[1][0]] = len(opening[1])
        index, column = _after_comments(lines, index, column, scan, may_span)
    return scan


def is_escaped(line: str) -> bool:
    """Whether the parser removes a backslash and a space from the line."""
    return _ESCAPED.match(line) is not None


def read_body(lines: Sequence[str], literal: Sequence[bool]) -> str:
    """The body in `lines`, unescaped and without surrounding blank lines."""
    first, last = 0, len(lines)
    while first < last and not lines[first].strip():
        first += 1
    while last > first and not lines[last - 1].strip():
        last -= 1
    return "\n".join(
        line if is_literal else _ESCAPED.sub("", line, count=1)
        for line, is_literal in zip(lines[first:last], literal[first:last], strict=True)
    )


def write_body(body: str, *, is_structure: Callable[[str], bool]) -> str:
    """`body` with lines escaped; `is_structure` tells which lines the parser would take for structure."""
    if not body:
        return ""
    lines = body.split("\n")
    ends = {0, len(lines) - 1}

    def needs_escape(line: str) -> bool:
        return is_structure(line) or is_escaped(line)

    scan = scan_lines(lines, may_span=lambda line: not needs_escape(line))
    unclosed = {line for line, _ in scan.unclosed}
    written = []
    for index, (line, literal) in enumerate(zip(lines, scan.literal(), strict=True)):
        blank_end = index in ends and not line.strip()
        escapes = blank_end or index in unclosed or needs_escape(line) or _OPENING_FENCE.match(line)
        written.append(_escape(line) if not literal and escapes else line)
    return "\n".join(written)


@dataclass(frozen=True, slots=True)
class ShownText:
    """A text without its comments. `lines` is the line, from 0, that each of its lines had."""

    text: str
    lines: tuple[int, ...]
    scan: LineScan


def without_comments(text: str) -> ShownText:
    """`text` as it is published: without HTML comments. One that is never closed is shown as typed."""
    lines = text.split("\n")
    if "<!--" not in text:
        return ShownText(text, tuple(range(len(lines))), LineScan([False] * len(lines), [False] * len(lines)))
    scan = scan_lines(lines)
    for line, column in reversed(scan.unclosed):
        lines[line] = f"{lines[line][:column]}\\{lines[line][column:]}"
    numbers = list(range(len(lines)))
    for comment in reversed(scan.comments):
        shown = lines[comment.line][: comment.column] + lines[comment.end_line][comment.end_column :]
        kept = [shown] if shown.strip() else []
        lines[comment.line : comment.end_line + 1] = kept
        numbers[comment.line : comment.end_line + 1] = [comment.line] * len(kept)
    return ShownText("\n".join(lines), tuple(numbers), scan)


def count_words(text: str) -> int:
    """The words of a text, without those of comments."""
    return len(without_comments(text).text.split())


def is_blank(text: str) -> bool:
    """Whether a text has nothing but white space and comments."""
    return not text.strip() or not without_comments(text).text.strip()


def _escape(line: str) -> str:
    return f"\\ {line}" if line else "\\"


def _end_of_fence(lines: Sequence[str], start: int, fence: str) -> int | None:
    for index in range(start + 1, len(lines)):
        closing = _CLOSING_FENCE.fullmatch(lines[index])
        if closing and closing[1][0] == fence[0] and len(closing[1]) >= len(fence):
            return index
    return None


def _after_comments(
    lines: Sequence[str], index: int, column: int, scan: LineScan, may_span: Callable[[str], bool]
) -> tuple[int, int]:
    """Add the comments that begin in a line; returns the line and column to go on at."""
    line, is_last = lines[index], False
    for start in _comment_starts(line, column):
        if start < column:
            continue  # within the comment before
        end = -1 if is_last else line.find(_END_OF_COMMENT, start + 2)
        if end >= 0:
            column = end + len(_END_OF_COMMENT)
            scan.comments.append(Comment(index, start, index, column))
            continue
        is_last = True
        last = _line_with_end(lines, index + 1, scan) if may_span(line) else None
        if last is None:
            scan.unclosed.append((index, start))
            continue
        scan.commented[index : last + 1] = [True] * (last + 1 - index)
        column = lines[last].index(_END_OF_COMMENT) + len(_END_OF_COMMENT)
        scan.comments.append(Comment(index, start, last, column))
        return last, column
    return index + 1, 0


def _line_with_end(lines: Sequence[str], start: int, scan: LineScan) -> int | None:
    """The first line from `start` that closes a comment; a search in vain is not repeated."""
    if scan.has_no_more_ends:
        return None
    found = next((index for index in range(start, len(lines)) if _END_OF_COMMENT in lines[index]), None)
    scan.has_no_more_ends = found is None
    return found


def _comment_starts(line: str, column: int) -> list[int]:
    """The columns of `<!--` outside code spans and without a backslash before."""
    if "<!--" not in line[column:]:
        return []
    spans = _code_spans(line, column)
    ends = [end for _, end in spans]
    starts = [found.start() for found in _ESCAPE_OR_COMMENT.finditer(line, column) if found[0] == "<!--"]
    return [start for start in starts if not _is_within(start, spans, ends)]


def _is_within(place: int, spans: Sequence[tuple[int, int]], ends: Sequence[int]) -> bool:
    number = bisect.bisect_right(ends, place)
    return number < len(spans) and spans[number][0] < place


def _code_spans(line: str, column: int) -> list[tuple[int, int]]:
    """First and last column of each code span: two runs of equally many backticks."""
    runs = [(found.start(), found.end()) for found in _TICKS.finditer(line, column)]
    ends_by_length: dict[int, deque[int]] = {}
    for start, end in runs:
        ends_by_length.setdefault(end - start, deque()).append(end)
    spans: list[tuple[int, int]] = []
    for start, end in runs:
        later = ends_by_length[end - start]
        later.popleft()
        if later and start >= (spans[-1][1] if spans else 0):
            spans.append((start, later[0]))
    return spans
