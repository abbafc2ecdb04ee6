"""Line wrapping for the text part."""

from __future__ import annotations

import re
from collections.abc import Iterator

WIDTH = 72
MAX_LINE_OCTETS = 998
"""RFC 5322 §2.1.1, without the line end."""

_LEAD = re.compile(r"(?P<quotes>(?:> ?)*)(?P<indent> *)(?P<mark>(?:- |\d+\. )?)")
_LONGEST_WORD = 200
_LONG_WORD = re.compile(rf"[^ ]{{{_LONGEST_WORD + 1}}}")


def wrap_text(text: str, indent: int = 0) -> str:
    """Wrap each line to 72 columns, with hanging indents for list marks and quotes.

    Words and addresses are not broken, except words so long that a line could exceed 998 octets, as in scripts without
    spaces. Code (lines that start with four spaces or more) is not wrapped.
    """
    margin = " " * indent
    lines = (line for paragraph in text.split("\n") for line in _wrap_line(paragraph, WIDTH - indent))
    return "\n".join(f"{margin}{line}".rstrip() for line in lines)


def underline(title: str, mark: str = "-") -> str:
    """A plain-text heading: the wrapped title over a rule as long as its longest line."""
    wrapped = wrap_text(title)
    return f"{wrapped}\n{mark * max(len(line) for line in wrapped.splitlines() or [''])}"


def _wrap_line(line: str, width: int) -> list[str]:
    if len(line) <= width or (line.startswith("    ") and len(line.encode()) <= MAX_LINE_OCTETS):
        return [line]
    lead = _LEAD.match(line)
    quotes, indent, mark = lead.group("quotes", "indent", "mark") if lead else ("", "", "")
    first = f"{quotes}{indent}{mark}"
    rest = quotes + " " * (len(indent) + len(mark))
    words = line[len(first) :]
    if _LONG_WORD.search(words):
        words = " ".join(piece for word in words.split(" ") for piece in _pieces(word))
    return list(_fill_lines(words, first, rest, width))


def _fill_lines(words: str, first: str, rest: str, width: int) -> Iterator[str]:
    """Greedy wrapping as in textwrap, but line by line instead of word by word, which is much faster."""
    lead, start = first, 0
    while len(words) - start > width - len(lead):
        limit = start + max(0, width - len(lead))
        end = words.rfind(" ", start, limit + 1)
        if end < 0:
            end = words.find(" ", limit)  # a word longer than a line gets a line of its own
        if end < 0:
            break
        yield lead + words[start:end]
        lead, start = rest, end + 1
    yield lead + words[start:]


def _pieces(word: str) -> list[str]:
    """The word, cut into pieces if it is too long for a line of mail; addresses are never cut."""
    if len(word) <= _LONGEST_WORD or "://" in word:
        return [word]
    return [word[start : start + WIDTH // 2] for start in range(0, len(word), WIDTH // 2)]
