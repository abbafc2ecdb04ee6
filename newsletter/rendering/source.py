"""MJML source: read strictly, judged, and written back in the only form that mrml renders faithfully.

 mrml 6.0.1 has no validator and corrupts silently (see the tests of this module for
each case). So a strict XML parser reads the source once; each element is judged by the rules, and written again
with attributes as ASCII, words kept apart, and zeros with a unit.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from enum import Enum, auto
from html.entities import html5
from xml.parsers import expat

from newsletter.rendering.errors import MjmlFault, RenderingError
from newsletter.rendering.mjml_rules import FRAGMENT, attribute_faults, is_component, place_fault
from newsletter.rendering.mjml_tables import ENDING_TAGS

MAX_DEPTH = 100
"""mrml recurses per level and ends the process at about 8,000 (its pull request 694)."""

_HOLDS_TEXT = frozenset({"mj-title", "mj-preview", "mj-style"})
_EMPTY = frozenset(
    {"mj-image", "mj-carousel-image", "mj-divider", "mj-spacer", "mj-breakpoint", "mj-all", "mj-class", "mj-font"}
)
_ONCE = frozenset({"mj-head", "mj-body", "mj-accordion-title", "mj-accordion-text"})
"""mrml renders the last of several, or tears the document apart."""
_HAS_ALT = frozenset({"mj-image", "mj-carousel-image", "mj-social-element"})
_VOID_HTML = frozenset({"br", "hr", "img", "wbr", "meta", "link", "col", "area", "input", "param", "source", "track"})
_NOT_IN_MAIL = frozenset({"script", "iframe", "frame", "frameset", "object", "embed", "applet", "base"})
"""Programs take them out, or hold the whole mail for dangerous."""
_PLAIN_HTML = frozenset(
    {"a", "p", "b", "i", "em", "strong", "code", "pre", "span", "div", "ul", "ol", "li", "blockquote"}
)
_PLAIN_HTML |= {"h1", "h2", "h3", "h4", "table", "tbody", "thead", "tr", "td", "th", "sup", "sub", "small", "del", "u"}
_XML_ENTITIES = frozenset({"amp", "lt", "gt", "quot", "apos"})

_NAMED_ENTITY = re.compile(r"&([A-Za-z][A-Za-z0-9]*);")
_WHITESPACE = re.compile(r"[ \t\r\n\f]+")
_NEEDS_CARE = re.compile(r"[^ !#-%'-;=?-\[\]-~]|  ")
_NOT_PLAIN_ASCII = re.compile(r"[^ !#-%'-;=?-\[\]-~]")
_BARE_ZERO = re.compile(r"(?<!\S)0(?!\S)")
_COMMENTED_TAG = re.compile(r"<(/?)([A-Za-z][\w:-]*)[^<>]*?(/?)>")


@dataclass(frozen=True, slots=True)
class SyntaxFault:
    """Where a source stops being XML: expat's code, the byte it stopped at, and the tags open there with lines."""

    code: int
    line: int
    offset: int
    open_tags: tuple[tuple[str, int], ...]

    @property
    def reason(self) -> str:
        """expat's own words."""
        return expat.ErrorString(self.code) or "syntax error"


@dataclass(frozen=True, slots=True)
class Reading:
    """What one pass over a source found: it is whole when there is no fault of either kind."""

    written: str
    faults: tuple[MjmlFault, ...]
    syntax: SyntaxFault | None


def rewrite_mjml(source: str) -> str:
    """The same MJML, checked and made safe for mrml; RenderingError with every fault found, each with its line."""
    reading = read_mjml(encode_mjml(source))
    faults = reading.faults
    if reading.syntax:
        sentence = f"it is not well-formed from here on: {reading.syntax.reason}"
        faults = (*faults, MjmlFault(reading.syntax.line, sentence))
    if faults:
        raise RenderingError.of_faults(faults)
    return reading.written


def encode_mjml(source: str) -> bytes:
    """UTF-8, with HTML's named entities as characters; lines stay where they are."""
    try:
        return _NAMED_ENTITY.sub(_without_name, source).encode()
    except UnicodeEncodeError as error:
        raise RenderingError(f"The MJML holds text that is not valid Unicode: {error.reason}.") from error


def read_mjml(encoded: bytes, *, root: str = "mjml") -> Reading:
    """Read, judge and rewrite in one pass. Stops early only where the source is not XML."""
    parser = expat.ParserCreate("utf-8")
    reader = _Reader(parser, root)
    syntax = None
    try:
        parser.Parse(encoded, True)
    except expat.ExpatError as error:
        open_tags = tuple((element.tag, element.line) for element in reader.open[1:])
        syntax = SyntaxFault(error.code, error.lineno, parser.ErrorByteIndex, open_tags)
    return Reading("".join(reader.written), tuple(reader.faults), syntax)


def ascii_attribute(value: str) -> str:
    """An attribute value that mrml cannot corrupt.

    mrml writes attributes with Rust's `{:?}`, which puts backslashes before quotes and turns newlines, no-break
    spaces, joiners and the like into visible escapes. Numeric entities pass through it unchanged.
    """
    if not _NEEDS_CARE.search(value):
        return value
    collapsed = _WHITESPACE.sub(" ", value)
    return _NOT_PLAIN_ASCII.sub(lambda match: f"&#{ord(match[0])};", collapsed)


class _Kind(Enum):
    """What an element may hold."""

    COMPONENTS = auto()
    HTML = auto()
    TEXT = auto()
    NOTHING = auto()
    ANYTHING = auto()
    """Refused itself, so that nothing is said about what it holds."""


@dataclass(slots=True)
class _Element:
    tag: str
    kind: _Kind
    line: int
    once: frozenset[str] = frozenset()
    """Children read so far of which there may be one only."""
    comments: tuple[tuple[int, str], ...] = ()
    """Conditional comments inside, with their lines."""


class _Reader:
    """Handlers of one parse: `written` and `faults` grow as elements are read."""

    def __init__(self, parser: expat.XMLParserType, root: str) -> None:
        self.written: list[str] = []
        self.faults: list[MjmlFault] = []
        self.open = [_Element("", _Kind.COMPONENTS, 0)]
        self._parser = parser
        self._root = root
        self._pre_depth = 0
        self._is_too_deep = False
        self._alt_classes: set[str] = set()
        parser.buffer_text = True
        parser.ordered_attributes = True
        parser.StartElementHandler = self._start
        parser.EndElementHandler = self._end
        parser.CharacterDataHandler = self._text
        parser.CommentHandler = self._comment
        parser.StartDoctypeDeclHandler = self._doctype
        parser.ProcessingInstructionHandler = self._instruction

    def _start(self, tag: str, attributes: list[str]) -> None:
        parent = self.open[-1]
        if parent.kind is _Kind.HTML and tag in _PLAIN_HTML and len(self.open) <= MAX_DEPTH:
            self._open_html(tag, attributes)
            return
        fault = self._place_fault(tag, parent)
        if fault:
            self._refuse(fault)
        kind = _kind_of(tag, parent, is_refused=fault is not None)
        self.open.append(_Element(tag, kind, self._parser.CurrentLineNumber))
        self._pre_depth += tag == "pre"
        pairs = dict(zip(attributes[::2], attributes[1::2], strict=True))
        if is_component(tag):
            for sentence in attribute_faults(tag, pairs):
                self._refuse(sentence)
            self._adapt(tag, parent, pairs)
        else:
            self._check_handlers(tag, attributes)
        written = _written(pairs.items())
        # mrml knows HTML's void tags in small letters only
        self.written.append(f"<{tag.lower()}{written} />" if kind is _Kind.NOTHING else f"<{tag}{written}>")

    def _open_html(self, tag: str, attributes: list[str]) -> None:
        """The short way for most of a mail: an HTML element among HTML."""
        self.open.append(_Element(tag, _Kind.HTML, self._parser.CurrentLineNumber))
        self._pre_depth += tag == "pre"
        self._check_handlers(tag, attributes)
        pairs = zip(attributes[::2], attributes[1::2], strict=True)
        self.written.append(f"<{tag}{_written(pairs)}>")

    def _check_handlers(self, tag: str, attributes: list[str]) -> None:
        for name in attributes[::2]:
            if name[:2].lower() == "on":
                self._refuse(f"{name} of <{tag}> would run a script, which no mail does; leave it out")

    def _end(self, tag: str) -> None:
        element = self.open.pop()
        self._pre_depth -= tag == "pre"
        if tag == "mjml" and "mj-body" not in element.once:
            self._refuse("<mjml> has no <mj-body>, so the mail would be empty")
        if element.comments:
            self._check_comments(element)
        if element.kind is not _Kind.NOTHING:
            self.written.append(f"</{tag}>")

    def _text(self, text: str) -> None:
        parent = self.open[-1]
        if parent.kind in (_Kind.COMPONENTS, _Kind.NOTHING):
            # One space between tags of the head is an error to mrml; between components text leaks out raw.
            words = text.strip()
            if words and parent.tag != FRAGMENT:
                line = self._parser.CurrentLineNumber - text.lstrip().count("\n")
                self._refuse(f"text stands directly inside <{parent.tag}>: “{words[:40]}”", line)
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
        if "\n" not in text:
            return escaped
        if self._pre_depth:
            return escaped.replace("\n", "&#10;")
        return _WHITESPACE.sub(" ", escaped)  # mrml drops a newline between two inline tags and glues the words

    def _comment(self, comment: str) -> None:
        if not comment.startswith(("[if ", "<![endif]")):
            return
        if self.open[-1].kind is not _Kind.HTML:
            self._refuse("a conditional comment stands between components, where it is dropped; put it into <mj-raw>")
            return
        holder = next((element for element in reversed(self.open) if is_component(element.tag)), self.open[1])
        holder.comments += ((self._parser.CurrentLineNumber, comment),)
        self.written.append(f"<!--{comment}-->")

    def _doctype(self, *_: object) -> None:
        # Raised at once, before its entities can grow.
        line = self._parser.CurrentLineNumber
        raise RenderingError.of_faults((MjmlFault(line, "MJML has no document type declaration; leave it out"),))

    def _instruction(self, target: str, _data: str) -> None:
        self._refuse(f"<?{target} …?> is a processing instruction, which MJML has not; leave it out")

    def _place_fault(self, tag: str, parent: _Element) -> str | None:
        if len(self.open) > MAX_DEPTH:
            is_first, self._is_too_deep = not self._is_too_deep, True
            return f"elements are nested more than {MAX_DEPTH} deep" if is_first else None
        match parent.kind:
            case _Kind.COMPONENTS if not parent.tag and tag == self._root:
                return None
            case _Kind.COMPONENTS if parent.tag == FRAGMENT and not tag.lower().startswith("mj"):
                return None
            case _Kind.COMPONENTS:
                return place_fault(tag, parent.tag) or _second(tag, parent)
            case _Kind.NOTHING if parent.tag == "mj-class":
                return place_fault(tag, parent.tag)
            case _Kind.TEXT | _Kind.NOTHING:
                return f"<{parent.tag}> may not hold other elements, but holds <{tag}>"
            case _Kind.HTML if tag.lower().startswith("mj"):
                return f"<{tag}> may not stand among HTML"
            case _Kind.HTML if tag.lower() in _NOT_IN_MAIL:
                return f"<{tag}> has no place in a mail, and mail programs hold it for dangerous; leave it out"
        return None

    def _adapt(self, tag: str, parent: _Element, pairs: dict[str, str]) -> None:
        """Change attributes, in place, to what gives with mrml what MJML means by them."""
        for name, value in pairs.items():
            if name.startswith("padding") or name.endswith("padding"):
                # padding="0 24px" makes mrml ignore the whole padding in its widths (its pull request 644)
                pairs[name] = _BARE_ZERO.sub("0px", value)
        if pairs.get("full-width") in ("false", ""):
            del pairs["full-width"]  # mrml reads any value as full width
        if tag == "mj-class" and "alt" in pairs:
            self._alt_classes.add(pairs.get("name", ""))
        has_alt = "alt" in pairs or not self._alt_classes.isdisjoint(pairs.get("mj-class", "").split())
        if tag in _HAS_ALT and parent.tag != "mj-attributes" and not has_alt:
            pairs["alt"] = ""  # MJML's default; without it screen readers read the address of the picture

    def _check_comments(self, element: _Element) -> None:
        """mrml takes what follows for HTML when conditional comments of one element do not close what they open."""
        stack: list[str] = []
        for line, comment in element.comments:
            for slash, tag, empty in _COMMENTED_TAG.findall(comment.removesuffix("<![endif]")):
                if tag.startswith("mj-"):
                    self._refuse(f"<{tag}> in a conditional comment is not rendered; only HTML may stand there", line)
                elif slash and (not stack or stack.pop() != tag):
                    self._refuse(_unbalanced(f"close <{tag}>, which they did not open", element), line)
                    return
                elif not slash and not empty and tag.lower() not in _VOID_HTML:
                    stack.append(tag)
        line = element.comments[-1][0]
        if stack:
            self._refuse(_unbalanced(f"open <{stack[-1]}> and do not close it", element), line)
        opened = sum(comment.startswith("[if ") for _, comment in element.comments)
        closed = sum(comment.endswith("<![endif]") for _, comment in element.comments)
        if opened != closed:
            self._refuse(f"the conditional comments in <{element.tag}> are not all ended with <![endif]-->", line)

    def _refuse(self, sentence: str, line: int | None = None) -> None:
        self.faults.append(MjmlFault(line or self._parser.CurrentLineNumber, sentence))


def _written(attributes: Iterable[tuple[str, str]]) -> str:
    return "".join([f' {name}="{ascii_attribute(value)}"' for name, value in attributes])


def _kind_of(tag: str, parent: _Element, *, is_refused: bool) -> _Kind:
    if is_refused and not is_component(tag):
        return _Kind.ANYTHING
    if parent.tag == "mj-attributes" or tag in _EMPTY or tag.lower() in _VOID_HTML:
        return _Kind.NOTHING
    if tag in _HOLDS_TEXT:
        return _Kind.TEXT
    if tag == FRAGMENT or (is_component(tag) and tag not in ENDING_TAGS):
        return _Kind.COMPONENTS
    return _Kind.ANYTHING if parent.kind is _Kind.ANYTHING and not is_component(tag) else _Kind.HTML


def _second(tag: str, parent: _Element) -> str | None:
    if tag not in _ONCE:
        return None
    if tag in parent.once:
        return f"<{tag}> may stand only once in <{parent.tag}>"
    parent.once |= {tag}
    return None


def _unbalanced(what: str, element: _Element) -> str:
    return (
        f"the conditional comments in <{element.tag}> {what}; what stands between two elements would not be "
        "rendered, so write opening and closing tags, and what is between them, into one <mj-raw>"
    )


def _without_name(match: re.Match[str]) -> str:
    """A named HTML entity as its character; XML's own five, and unknown names, stay for the parser to judge."""
    name = match[1]
    return match[0] if name in _XML_ENTITIES else html5.get(f"{name};", match[0])
