"""Harmless HTML in running text, as the tokens of the Markdown that means the same. Pure.

Tags that only mark text are known. All others, and known ones without their other half, are shown as typed.
"""

from __future__ import annotations

import html
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from markdown_it.token import Token

MAX_OPEN = 20
"""Known tags that are open at once; further ones are shown as typed."""

SHOWN_AS = {
    **{"b": "strong", "strong": "strong", "i": "em", "em": "em", "cite": "em", "dfn": "em", "var": "em"},
    **{"s": "s", "del": "s", "strike": "s", "u": "u", "ins": "u", "sub": "sub", "sup": "sup", "a": "a"},
    **{"code": "code", "kbd": "code", "samp": "code", "tt": "code"},
}
"""The tags with a meaning, and the tag that mails get."""
WITHOUT_MARKS = frozenset(["abbr", "bdi", "bdo", "big", "font", "mark", "small", "span", "time"])
"""Tags whose text is shown without them."""
_QUOTES = {"q": ("“", "”")}
PAIRED = frozenset({*SHOWN_AS, *WITHOUT_MARKS, *_QUOTES})
VOID = frozenset({"br", "wbr", "img"})

_TAG = re.compile(r"<(?P<slash>/?)(?P<name>[a-zA-Z][a-zA-Z0-9-]*)(?P<rest>(?:[\s/][^>]*)?)>", re.DOTALL)
_ATTRIBUTE = re.compile(r"""([a-zA-Z_:][\w:.-]*)\s*=\s*(?:"([^"]*)"|'([^']*)'|([^\s"'=<>`]+))""")


@dataclass(frozen=True, slots=True)
class Tag:
    """A tag as typed. `name` is in lower case."""

    name: str
    is_closing: bool
    attributes: dict[str, str] = field(default_factory=dict)


def read_tag(typed: str) -> Tag | None:
    """The tag in `typed`; None for a comment, a declaration or an instruction."""
    found = _TAG.fullmatch(typed)
    if found is None:
        return None
    pairs = _ATTRIBUTE.findall(found["rest"])
    attributes = {name.lower(): html.unescape(double or single or bare) for name, double, single, bare in pairs}
    return Tag(found["name"].lower(), found["slash"] == "/", attributes)


def shown_html(children: Sequence[Token]) -> tuple[list[Token], list[int]]:
    """The tokens of one block without raw HTML, and the places of the tags in `children` that are shown as typed."""
    tags = {at: read_tag(child.content) for at, child in enumerate(children) if child.type == "html_inline"}
    pairs = _pairs(children, tags)
    shown: list[Token] = []
    as_typed: list[int] = []
    for at, child in enumerate(children):
        if at not in tags:
            shown.append(child)
            continue
        tag = tags[at]
        if tag is None or (tag.name not in VOID and at not in pairs):
            shown.append(_text(child.content))
            as_typed.append(at)
        elif tag.name in VOID:
            shown.extend(_void(tag))
        else:
            opening = tags[pairs[at]] if tag.is_closing else tag
            shown.extend(_half(tag, opening or tag))
    return shown, as_typed


def _pairs(children: Sequence[Token], tags: dict[int, Tag | None]) -> dict[int, int]:
    """The places of known tags that open and close each other, both ways. Pairs never cross other marks."""
    pairs: dict[int, int] = {}
    open_marks: list[tuple[int, str]] = []  # place and tag name; empty for Markdown's own marks
    links = 0
    for at, child in enumerate(children):
        tag = tags.get(at)
        if child.nesting == 1:
            open_marks.append((at, ""))
            links += child.type == "link_open"
        elif child.nesting == -1:
            while open_marks and open_marks.pop()[1]:
                pass
            links -= child.type == "link_close"
        elif tag and tag.name in PAIRED:
            if not tag.is_closing:
                if len(open_marks) < MAX_OPEN and not (tag.name == "a" and links):
                    open_marks.append((at, tag.name))
            elif (opening := _opening(open_marks, tag.name)) is not None:
                pairs[at], pairs[opening] = opening, at
    return _without_nested_links(children, tags, pairs)


def _opening(open_marks: list[tuple[int, str]], name: str) -> int | None:
    """The place of the tag that `name` closes; it and unclosed tags within it are no longer open."""
    for depth in range(len(open_marks) - 1, -1, -1):
        place, opened = open_marks[depth]
        if not opened:
            return None
        if opened == name:
            del open_marks[depth:]
            return place
    return None


def _without_nested_links(
    children: Sequence[Token], tags: dict[int, Tag | None], pairs: dict[int, int]
) -> dict[int, int]:
    """The pairs without `<a>` around another link: HTML does not nest links, and the inner ones are kept."""
    within: list[int] = []  # open <a> tags
    for at, child in enumerate(children):
        tag = tags.get(at)
        is_html_link = tag is not None and tag.name == "a" and at in pairs
        if (is_html_link and tag is not None and not tag.is_closing) or child.type == "link_open":
            for outer in within:
                pairs.pop(pairs.pop(outer), None)
            within = [at] if is_html_link else []
        elif is_html_link and within:
            within.pop()
    return pairs


def _void(tag: Tag) -> Iterator[Token]:
    if tag.name == "br":
        yield Token("hardbreak", "br", 0, markup="html")
    elif tag.name == "img" and tag.attributes.get("src"):
        alt = tag.attributes.get("alt", "")
        image = Token("image", "img", 0, content=alt, attrs={"src": tag.attributes["src"], "alt": ""})
        image.children = [_text(alt)] if alt else []
        yield image


def _half(tag: Tag, opening: Tag) -> Iterator[Token]:
    """One of the two tags of a pair."""
    if tag.name in _QUOTES:
        yield _text(_QUOTES[tag.name][tag.is_closing])
    elif tag.name in SHOWN_AS and (tag.name != "a" or "href" in opening.attributes):
        name = SHOWN_AS[tag.name]
        kind = "link" if name == "a" else name
        token = Token(f"{kind}_close", name, -1) if tag.is_closing else Token(f"{kind}_open", name, 1)
        token.markup = "html"
        if name == "a" and not tag.is_closing:
            token.attrs = {"href": tag.attributes["href"].strip()}
        yield token


def _text(words: str) -> Token:
    return Token("text", "", 0, content=words)
