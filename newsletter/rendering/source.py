"""MJML source: parsed strictly, checked, and rewritten in the form that mrml renders correctly.

mrml 6.0.1 has no validator and corrupts some input without an error (the tests of this module show each case). So a
strict XML parser reads the source once; each element is checked by the rules and rewritten with attributes as ASCII,
words kept apart, and zeros with a unit.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from enum import Enum, auto
from html.entities import html5
from xml.parsers import expat

from newsletter.config.translatable import translatable
from newsletter.rendering.errors import MjmlFault, RenderingError
from newsletter.rendering.mjml_rules import FRAGMENT, attribute_faults, is_component, place_fault
from newsletter.rendering.mjml_tables import ENDING_TAGS

MAX_DEPTH = 100
"""mrml recurses for each level and crashes the process at about 8,000 (mrml pull request 694)."""

_HOLDS_TEXT = frozenset({"mj-title", "mj-preview", "mj-style"})
_EMPTY = frozenset(
    {"mj-image", "mj-carousel-image", "mj-divider", "mj-spacer", "mj-breakpoint", "mj-all", "mj-class", "mj-font"}
)
_ONCE = frozenset({"mj-head", "mj-body", "mj-accordion-title", "mj-accordion-text"})
"""Elements that are allowed once only: of several, mrml renders the last one or breaks the document."""
_HAS_ALT = frozenset({"mj-image", "mj-carousel-image", "mj-social-element"})
_VOID_HTML = frozenset({"br", "hr", "img", "wbr", "meta", "link", "col", "area", "input", "param", "source", "track"})
_NOT_IN_MAIL = frozenset({"script", "iframe", "frame", "frameset", "object", "embed", "applet", "base"})
"""Mail programs remove these elements, or treat the whole mail as dangerous."""
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
    """Where a source stops being XML: expat's error code, the byte offset, and the open elements with their lines."""

    code: int
    line: int
    offset: int
    open_tags: tuple[tuple[str, int], ...]

    @property
    def reason(self) -> str:
        """expat's message, in English."""
        return expat.ErrorString(self.code) or "syntax error"


@dataclass(frozen=True, slots=True)
class ParsedMjml:
    """The result of one pass over a source. `rewritten` is complete if there are no faults of either kind."""

    rewritten: str
    faults: tuple[MjmlFault, ...]
    syntax: SyntaxFault | None


def rewrite_mjml(source: str) -> str:
    """The same MJML, checked and rewritten for mrml. Raises RenderingError with every fault."""
    parsed = parse_mjml(encode_mjml(source))
    faults = parsed.faults
    if parsed.syntax:
        sentence = translatable("The MJML is not well-formed: {reason}.", reason=parsed.syntax.reason)
        faults = (*faults, MjmlFault(parsed.syntax.line, sentence))
    if faults:
        raise RenderingError.from_faults(faults)
    return parsed.rewritten


def encode_mjml(source: str) -> bytes:
    """The source as UTF-8, with HTML's named entities as characters; line numbers do not change."""
    try:
        return _NAMED_ENTITY.sub(_without_name, source).encode()
    except UnicodeEncodeError as error:
        sentence = translatable("The MJML contains text that is not valid Unicode: {reason}.", reason=error.reason)
        raise RenderingError(sentence) from error


def parse_mjml(encoded: bytes, *, root: str = "mjml") -> ParsedMjml:
    """Parse, check and rewrite in one pass. Stops early only where the source is not XML."""
    parser = expat.ParserCreate("utf-8")
    handlers = _Handlers(parser, root)
    syntax = None
    try:
        parser.Parse(encoded, True)
    except expat.ExpatError as error:
        open_tags = tuple((element.tag, element.line) for element in handlers.open[1:])
        syntax = SyntaxFault(error.code, error.lineno, parser.ErrorByteIndex, open_tags)
    return ParsedMjml("".join(handlers.written), tuple(handlers.faults), syntax)


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
    """What an element may contain."""

    COMPONENTS = auto()
    HTML = auto()
    TEXT = auto()
    NOTHING = auto()
    ANYTHING = auto()
    """The element itself is refused, so its content is not checked."""


@dataclass(slots=True)
class _Element:
    tag: str
    kind: _Kind
    line: int
    once: frozenset[str] = frozenset()
    """The children read so far that are allowed once only."""
    comments: tuple[tuple[int, str], ...] = ()
    """Conditional comments inside, with their lines."""


class _Handlers:
    """The handlers of one pass; they add to `written` and `faults`."""

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
        # mrml recognises HTML's void elements in lower case only
        self.written.append(f"<{tag.lower()}{written} />" if kind is _Kind.NOTHING else f"<{tag}{written}>")

    def _open_html(self, tag: str, attributes: list[str]) -> None:
        """The fast path for most of a mail: an HTML element within HTML."""
        self.open.append(_Element(tag, _Kind.HTML, self._parser.CurrentLineNumber))
        self._pre_depth += tag == "pre"
        self._check_handlers(tag, attributes)
        pairs = zip(attributes[::2], attributes[1::2], strict=True)
        self.written.append(f"<{tag}{_written(pairs)}>")

    def _check_handlers(self, tag: str, attributes: list[str]) -> None:
        for name in attributes[::2]:
            if name[:2].lower() == "on":
                self._refuse(
                    translatable(
                        "Mail programs do not run scripts. Remove {attribute} from <{tag}>.", attribute=name, tag=tag
                    )
                )

    def _end(self, tag: str) -> None:
        element = self.open.pop()
        self._pre_depth -= tag == "pre"
        if tag == "mjml" and "mj-body" not in element.once:
            self._refuse(translatable("<mjml> has no <mj-body>, so the mail would be empty."))
        if element.comments:
            self._check_comments(element)
        if element.kind is not _Kind.NOTHING:
            self.written.append(f"</{tag}>")

    def _text(self, text: str) -> None:
        parent = self.open[-1]
        if parent.kind in (_Kind.COMPONENTS, _Kind.NOTHING):
            # mrml refuses a space between elements of the head, and emits text between components as it is.
            words = text.strip()
            if words and parent.tag != FRAGMENT:
                line = self._parser.CurrentLineNumber - text.lstrip().count("\n")
                sentence = translatable(
                    "<{parent}> cannot contain text: “{text}”. Put the text into <mj-text>.",
                    parent=parent.tag,
                    text=words[:40],
                )
                self._refuse(sentence, line)
        elif parent.tag == "mj-style":
            if "<" in text or "&" in text:
                self._refuse(translatable("The CSS in <mj-style> contains < or &, which are not allowed there."))
            self.written.append(text)
        elif parent.tag == "mj-title":
            self.written.append(ascii_attribute(text))  # mrml copies the title into an aria-label attribute
        else:
            self.written.append(self._html_text(text))

    def _html_text(self, text: str) -> str:
        escaped = text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
        if "\n" not in text:
            return escaped
        if self._pre_depth:
            return escaped.replace("\n", "&#10;")
        return _WHITESPACE.sub(" ", escaped)  # mrml drops a newline between two inline tags, which joins the words

    def _comment(self, comment: str) -> None:
        if not comment.startswith(("[if ", "<![endif]")):
            return
        if self.open[-1].kind is not _Kind.HTML:
            self._refuse(translatable("A conditional comment between components is dropped. Put it into <mj-raw>."))
            return
        holder = next((element for element in reversed(self.open) if is_component(element.tag)), self.open[1])
        holder.comments += ((self._parser.CurrentLineNumber, comment),)
        self.written.append(f"<!--{comment}-->")

    def _doctype(self, *_: object) -> None:
        # Raised immediately, before entities can be expanded.
        sentence = translatable("MJML has no document type declaration. Remove it.")
        raise RenderingError.from_faults((MjmlFault(self._parser.CurrentLineNumber, sentence),))

    def _instruction(self, target: str, _data: str) -> None:
        self._refuse(
            translatable(
                "<?{target} …?> is a processing instruction, which MJML does not have. Remove it.", target=target
            )
        )

    def _place_fault(self, tag: str, parent: _Element) -> str | None:
        if len(self.open) > MAX_DEPTH:
            is_first, self._is_too_deep = not self._is_too_deep, True
            sentence = translatable("Elements are nested more than {limit} levels deep.", limit=MAX_DEPTH)
            return sentence if is_first else None
        match parent.kind:
            case _Kind.COMPONENTS if not parent.tag and tag == self._root:
                return None
            case _Kind.COMPONENTS if parent.tag == FRAGMENT and not tag.lower().startswith("mj"):
                return None
            case _Kind.COMPONENTS:
                return place_fault(tag, parent.tag) or _repeated(tag, parent)
            case _Kind.NOTHING if parent.tag == "mj-class":
                return place_fault(tag, parent.tag)
            case _Kind.TEXT | _Kind.NOTHING:
                return translatable(
                    "<{parent}> cannot contain other elements, such as <{tag}>.", parent=parent.tag, tag=tag
                )
            case _Kind.HTML if tag.lower().startswith("mj"):
                return translatable("<{tag}> is not allowed within HTML.", tag=tag)
            case _Kind.HTML if tag.lower() in _NOT_IN_MAIL:
                return translatable("Mail programs treat <{tag}> as dangerous. Remove it.", tag=tag)
        return None

    def _adapt(self, tag: str, parent: _Element, pairs: dict[str, str]) -> None:
        """Change attributes in place so that mrml renders what MJML defines."""
        for name, value in pairs.items():
            if name.startswith("padding") or name.endswith("padding"):
                # with padding="0 24px", mrml ignores the whole padding in widths (mrml pull request 644)
                pairs[name] = _BARE_ZERO.sub("0px", value)
        if pairs.get("full-width") in ("false", ""):
            del pairs["full-width"]  # mrml treats any value as full width
        if tag == "mj-class" and "alt" in pairs:
            self._alt_classes.add(pairs.get("name", ""))
        has_alt = "alt" in pairs or not self._alt_classes.isdisjoint(pairs.get("mj-class", "").split())
        if tag in _HAS_ALT and parent.tag != "mj-attributes" and not has_alt:
            pairs["alt"] = ""  # MJML's default; without it, screen readers read the address of the image

    def _check_comments(self, element: _Element) -> None:
        """If the conditional comments of an element do not close what they open, mrml takes what follows for HTML."""
        stack: list[str] = []
        for line, comment in element.comments:
            for slash, tag, empty in _COMMENTED_TAG.findall(comment.removesuffix("<![endif]")):
                if tag.startswith("mj-"):
                    sentence = translatable(
                        "<{tag}> in a conditional comment is not rendered. Only HTML is allowed there.", tag=tag
                    )
                    self._refuse(sentence, line)
                elif slash and (not stack or stack.pop() != tag):
                    sentence = translatable(
                        "The conditional comments in <{parent}> close <{tag}>, which they did not open. Write the "
                        "opening tag, the closing tag and the content between them into one <mj-raw>.",
                        parent=element.tag,
                        tag=tag,
                    )
                    self._refuse(sentence, line)
                    return
                elif not slash and not empty and tag.lower() not in _VOID_HTML:
                    stack.append(tag)
        line = element.comments[-1][0]
        if stack:
            sentence = translatable(
                "The conditional comments in <{parent}> open <{tag}> and do not close it. Write the opening tag, the "
                "closing tag and the content between them into one <mj-raw>.",
                parent=element.tag,
                tag=stack[-1],
            )
            self._refuse(sentence, line)
        opened = sum(comment.startswith("[if ") for _, comment in element.comments)
        closed = sum(comment.endswith("<![endif]") for _, comment in element.comments)
        if opened != closed:
            sentence = translatable(
                "Not all conditional comments in <{parent}> end with <![endif]-->.", parent=element.tag
            )
            self._refuse(sentence, line)

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


def _repeated(tag: str, parent: _Element) -> str | None:
    if tag not in _ONCE:
        return None
    if tag in parent.once:
        return translatable("<{tag}> is allowed only once in <{parent}>.", tag=tag, parent=parent.tag)
    parent.once |= {tag}
    return None


def _without_name(match: re.Match[str]) -> str:
    """The character of a named HTML entity; XML's own five and unknown names are left to the parser."""
    name = match[1]
    return match[0] if name in _XML_ENTITIES else html5.get(f"{name};", match[0])
