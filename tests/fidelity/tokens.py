"""HTML of two MJML compilers made comparable: differences that no mail program shows are normalised."""

from __future__ import annotations

import re
from html.parser import HTMLParser

Token = tuple[object, ...]

_COMMENT_STYLE = re.compile(r"^\[if [^\]]*\]>(?:<!)?|<!\[endif\]$")
_NEIGHBOURS = re.compile(r"<!\[endif\]-->\s*<!--\[if mso \| IE\]>")
_RANDOM_NAMES = re.compile(r"\b[0-9a-f]{16}\b|\b0{7}\d\b")
_SHORT_COLOUR = re.compile(r"#([0-9a-fA-F])([0-9a-fA-F])([0-9a-fA-F])\b")
_BARE_ZERO = re.compile(r"(?<=[: ])0(?=[ ;\"])")
_DECIMALS = re.compile(r"(?<=\d)\.\d{3,}(?=px)")
"""mrml computes with half the precision: 99.00001px."""
_INVALID = "vertical-align"
"""Both write it as an attribute of cells, but of different ones; browsers support it in styles only."""


def tokens(html: str) -> list[Token]:
    """Tags with sorted attributes and declarations, words, and the same inside conditional comments."""
    reader = _Tokens()
    text = _NEIGHBOURS.sub("", html.partition("<body")[2])
    text = _RANDOM_NAMES.sub("random", text)
    text = _DECIMALS.sub(lambda match: f"{float(match[0]):.2f}"[1:].rstrip("0").rstrip("."), text)
    reader.feed(_BARE_ZERO.sub("0px", _SHORT_COLOUR.sub(r"#\1\1\2\2\3\3", text)))
    return reader.found


class _Tokens(HTMLParser):
    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.found: list[Token] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        pairs = [(name, _folded(name, value or "")) for name, value in attrs if name != _INVALID]
        self.found.append((tag, tuple(sorted(pair for pair in pairs if pair[1] or pair[0] == "alt"))))

    def handle_endtag(self, tag: str) -> None:
        self.found.append((f"/{tag}",))

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_starttag(tag, attrs)

    def handle_data(self, data: str) -> None:
        words = " ".join(data.split())
        if words:
            self.found.append((words,))

    def handle_comment(self, data: str) -> None:
        if data.startswith("[if "):
            inside = _Tokens()
            inside.feed(_COMMENT_STYLE.sub("", data))
            self.found.append((data.partition("]")[0], tuple(inside.found)))


def _folded(name: str, value: str) -> tuple[str, ...]:
    if name == "style":
        return tuple(
            sorted(re.sub(r"\s*:\s*", ":", part.strip(), count=1) for part in value.split(";") if part.strip())
        )
    return tuple(sorted(value.split())) if name == "class" else tuple(filter(None, (value,)))
