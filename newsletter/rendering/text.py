"""The text part's lines: wrapping that keeps addresses, lists and quotes whole. Imports the standard library only."""

from __future__ import annotations

import re

WIDTH = 72
MAX_LINE_OCTETS = 998
"""RFC 5322 §2.1.1, without the line end."""

_LEAD = re.compile(r"(?P<quotes>(?:> ?)*)(?P<indent> *)(?P<mark>(?:- |\d+\. )?)")
_LONGEST_WORD = 200


def wrap_text(text: str, indent: int = 0) -> str:
    """Wrap each line to 72 columns, continuation lines hanging under their list mark or quote.

    Words, and so addresses, are never broken, except where words are so long that a line could pass 998 octets:
    scripts without spaces are cut there. Code (four spaces or more at the start of a line) stays as it is.
    """
    margin = " " * indent
    lines = (line for paragraph in text.split("\n") for line in _wrap_line(paragraph, WIDTH - indent))
    return "\n".join(f"{margin}{line}".rstrip() for line in lines)


def underline(title: str, mark: str = "-") -> str:
    """A heading for plain text: the title wrapped, over a rule as long as its longest line."""
    wrapped = wrap_text(title)
    return f"{wrapped}\n{mark * max(len(line) for line in wrapped.splitlines() or [''])}"


def _wrap_line(line: str, width: int) -> list[str]:
    if len(line) <= width or (line.startswith("    ") and len(line.encode()) <= MAX_LINE_OCTETS):
        return [line]
    lead = _LEAD.match(line)
    quotes, indent, mark = lead.group("quotes", "indent", "mark") if lead else ("", "", "")
    first = f"{quotes}{indent}{mark}"
    rest = quotes + " " * (len(indent) + len(mark))
    words = [piece for word in line[len(first) :].split(" ") for piece in _pieces(word)]
    return _fill_lines(words, first, rest, width) or [line]


def _fill_lines(words: list[str], first: str, rest: str, width: int) -> list[str]:
    """Greedy filling, as textwrap does it, but fast enough to be no matter in a freeze."""
    lines: list[str] = []
    current = first
    empty = True
    for word in words:
        if not empty and len(current) + 1 + len(word) > width:
            lines.append(current)
            current, empty = rest, True
        current = current + word if empty else f"{current} {word}"
        empty = False
    return lines if empty else [*lines, current]


def _pieces(word: str) -> list[str]:
    """A word, cut only when a line could not hold it: prose without spaces may be cut, addresses may not."""
    if len(word) <= _LONGEST_WORD or "://" in word:
        return [word]
    return [word[start : start + WIDTH // 2] for start in range(0, len(word), WIDTH // 2)]
