"""MJML source: read strictly, written back in the only form that mrml renders faithfully. Imports errors only.

mrml 6.0.1 has no validator and corrupts silently (see the tests of this module for each case). So the source is
read by a strict XML parser, its structure is checked against a small table, and it is written again with
attributes as ASCII, words kept apart, and zeros with a unit.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import Enum, auto
from html.entities import html5
from xml.parsers import expat

from newsletter.rendering.errors import RenderingError

MAX_DEPTH = 100
"""mrml recurses per level and ends the process at about 8,000 (its pull request 694)."""

_IN_COLUMN = frozenset({"mj-text", "mj-image", "mj-button", "mj-divider", "mj-spacer", "mj-table", "mj-raw"})
_LAYOUT = frozenset({"mj-body", "mj-wrapper", "mj-section", "mj-group", "mj-column"})
_HEAD = frozenset({"mj-attributes", "mj-breakpoint", "mj-preview", "mj-raw", "mj-style", "mj-title"})
_CHILDREN: dict[str, frozenset[str]] = {
    "": frozenset({"mjml"}),
    "mjml": frozenset({"mj-head", "mj-body"}),
    "mj-head": _HEAD,
    "mj-attributes": _IN_COLUMN
    | {"mj-all", "mj-class", "mj-body", "mj-wrapper", "mj-section", "mj-group", "mj-column"},
    "mj-body": frozenset({"mj-wrapper", "mj-section", "mj-raw"}),
    "mj-wrapper": frozenset({"mj-section", "mj-raw"}),
    "mj-section": frozenset({"mj-column", "mj-group", "mj-raw"}),
    "mj-group": frozenset({"mj-column", "mj-raw"}),
    "mj-column": _IN_COLUMN,
}
_HOLDS_TEXT = frozenset({"mj-title", "mj-preview", "mj-style"})
_EMPTY = frozenset({"mj-image", "mj-divider", "mj-spacer", "mj-breakpoint", "mj-all", "mj-class"})
_VOID_HTML = frozenset({"br", "hr", "img", "wbr", "meta", "link", "col"})
_XML_ENTITIES = frozenset({"amp", "lt", "gt", "quot", "apos"})

_NAMED_ENTITY = re.compile(r"&([A-Za-z][A-Za-z0-9]*);")
_WHITESPACE = re.compile(r"[ \t\r\n\f]+")
_NOT_PLAIN_ASCII = re.compile(r"[^ !#-%'-;=?-\[\]-~]")
_BARE_ZERO = re.compile(r"(?<!\S)0(?!\S)")


def rewrite_mjml(source: str) -> str:
    """The same MJML, checked and made safe for mrml; RenderingError with the line where it is not well-formed."""
    try:
        encoded = _NAMED_ENTITY.sub(_without_name, source).encode()
    except UnicodeEncodeError as error:
        raise RenderingError(f"The MJML holds text that is not valid Unicode: {error.reason}.") from error
    parser = expat.ParserCreate("utf-8")
    rewriter = _Rewriter(parser)
    try:
        parser.Parse(encoded, True)
    except expat.ExpatError as error:
        reason = expat.ErrorString(error.code)
        raise RenderingError(f"The MJML is not well-formed: {reason}.", line=error.lineno) from error
    return "".join(rewriter.written)


def ascii_attribute(value: str) -> str:
    """An attribute value that mrml cannot corrupt.

    mrml writes attributes with Rust's `{:?}`, which puts backslashes before quotes and turns newlines, no-break
    spaces, joiners and the like into visible escapes. Numeric entities pass through it unchanged.
    """
    collapsed = _WHITESPACE.sub(" ", value)
    return _NOT_PLAIN_ASCII.sub(lambda match: f"&#{ord(match[0])};", collapsed)


class _Kind(Enum):
    """What an element may hold."""

    COMPONENTS = auto()
    HTML = auto()
    TEXT = auto()
    NOTHING = auto()


@dataclass(frozen=True, slots=True)
class _Element:
    tag: str
    kind: _Kind


class _Rewriter:
    """Handlers of one parse: `written` grows as elements are read."""

    def __init__(self, parser: expat.XMLParserType) -> None:
        self.written: list[str] = []
        self._parser = parser
        self._open = [_Element("", _Kind.COMPONENTS)]
        self._pre_depth = 0
        parser.buffer_text = True
        parser.ordered_attributes = True
        parser.StartElementHandler = self._start
        parser.EndElementHandler = self._end
        parser.CharacterDataHandler = self._text
        parser.CommentHandler = self._comment
        parser.StartDoctypeDeclHandler = self._doctype

    def _start(self, tag: str, attributes: list[str]) -> None:
        parent = self._open[-1]
        self._check_place(tag, parent)
        element = _Element(tag, _kind_of(tag, parent.tag))
        self._open.append(element)
        self._pre_depth += tag == "pre"
        pairs = zip(attributes[::2], attributes[1::2], strict=True)
        written = "".join(f' {name}="{ascii_attribute(_with_unit(tag, name, value))}"' for name, value in pairs)
        self.written.append(f"<{tag}{written}{' /' if element.kind is _Kind.NOTHING else ''}>")

    def _end(self, tag: str) -> None:
        element = self._open.pop()
        self._pre_depth -= tag == "pre"
        if element.kind is not _Kind.NOTHING:
            self.written.append(f"</{tag}>")

    def _text(self, text: str) -> None:
        parent = self._open[-1]
        if parent.kind in (_Kind.COMPONENTS, _Kind.NOTHING):
            # One space between tags of the head is an error to mrml; between components text leaks out raw.
            if text.strip():
                self._refuse(f"text stands directly inside <{parent.tag}>: “{text.strip()[:40]}”")
        elif parent.tag == "mj-style":
            if "<" in text or "&" in text:
                self._refuse("the CSS of <mj-style> holds < or &, which cannot be written in MJML")
            self.written.append(text)
        elif parent.tag == "mj-title":
            self.written.append(ascii_attribute(text))  # mrml repeats the title in an aria-label attribute
        else:
            self.written.append(self._html_text(text))

    def _html_text(self, text: str) -> str:
        escaped = text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
        if self._pre_depth:
            return escaped.replace("\n", "&#10;")
        return _WHITESPACE.sub(" ", escaped)  # mrml drops a newline between two inline tags and glues the words

    def _comment(self, comment: str) -> None:
        is_conditional = comment.startswith(("[if ", "<![endif]"))
        if is_conditional and self._open[-1].kind is _Kind.HTML:
            self.written.append(f"<!--{comment}-->")

    def _doctype(self, *_: object) -> None:
        self._refuse("MJML has no document type declaration")

    def _check_place(self, tag: str, parent: _Element) -> None:
        if len(self._open) > MAX_DEPTH:
            self._refuse(f"elements are nested more than {MAX_DEPTH} deep")
        if parent.kind is _Kind.COMPONENTS:
            if tag not in _CHILDREN[parent.tag]:
                self._refuse(f"<{tag}> may not stand {f'in <{parent.tag}>' if parent.tag else 'in place of <mjml>'}")
        elif parent.kind is not _Kind.HTML:
            self._refuse(f"<{parent.tag}> may not hold other elements, but holds <{tag}>")
        elif tag.lower().startswith("mj"):
            self._refuse(f"<{tag}> may not stand among HTML")

    def _refuse(self, reason: str) -> None:
        raise RenderingError(f"The MJML cannot be rendered: {reason}.", line=self._parser.CurrentLineNumber)


def _kind_of(tag: str, parent: str) -> _Kind:
    if parent == "mj-attributes" or tag in _EMPTY or tag in _VOID_HTML:
        return _Kind.NOTHING
    if tag in _CHILDREN:
        return _Kind.COMPONENTS
    return _Kind.TEXT if tag in _HOLDS_TEXT else _Kind.HTML


def _without_name(match: re.Match[str]) -> str:
    """A named HTML entity as its character; XML's own five, and unknown names, stay for the parser to judge."""
    name = match[1]
    return match[0] if name in _XML_ENTITIES else html5.get(f"{name};", match[0])


def _with_unit(tag: str, name: str, value: str) -> str:
    """`padding="0 24px"` makes mrml ignore the whole padding in its widths; `0px` does not (its request 644)."""
    is_padding = tag.startswith("mj-") and (name.startswith("padding") or name.endswith("padding"))
    return _BARE_ZERO.sub("0px", value) if is_padding else value
