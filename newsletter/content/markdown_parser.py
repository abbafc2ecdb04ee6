"""Markdown parsed into the tokens that can be sent, with what had to be left out. Pure.

CommonMark with tables, strikethrough, footnotes, task marks and harmless HTML. HTML comments are removed first. A
block of HTML becomes the Markdown that means the same, so that every form of a text is made from the same tokens.
"""

from __future__ import annotations

import functools
import itertools
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import unquote

from markdown_it import MarkdownIt
from markdown_it.renderer import RendererHTML
from markdown_it.rules_block import StateBlock
from markdown_it.rules_block.html_block import html_block
from markdown_it.rules_core import StateCore
from markdown_it.rules_inline import StateInline
from markdown_it.token import Token

from newsletter.content.footnotes import REFERENCE, Definition, find_definitions, footnote_key
from newsletter.content.html_markdown import KNOWN_BLOCKS, html_as_markdown, unknown_tag
from newsletter.content.inline_html import shown_html
from newsletter.content.lines import LineScan, ShownText, scan_lines, without_comments
from newsletter.content.links import is_allowed_in_text
from newsletter.content.merge_fields import MergeFunction, replace_merge_fields

MAX_NESTING = 30
"""Levels of nested lists and quotes. Deeper text is shown as typed, because HTML parsers crash on deep nesting (mrml at
about 8,000 levels, RUSTSEC-2026-0213 for ammonia)."""
MAX_BRACKETS = 2_000
"""Opening brackets of one text. A text with more is shown as typed: parsing takes quadratic time for some of them."""
DATA_TABLE = "data"
"""The class of tables in texts: mails consist of tables, which look different."""
MARK = "\ufffc"
"""Stands in RunningText for code, marks and escaped characters."""

_NOT_IN_XML = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\ud800-\udfff\ufffe\uffff]")
_TASK = re.compile(r"\[([ xX])\][ \t]")
_BOXES = {" ": "☐ ", "x": "☑ ", "X": "☑ "}
_FIRST_TAG = re.compile(r"\s*</?([a-zA-Z][a-zA-Z0-9-]*)")
_ALIGNED = re.compile(r"text-align:(left|center|right)")


@dataclass(frozen=True, slots=True)
class RunningText:
    """The text of one paragraph, heading or list item as typed, and the addresses it links to."""

    line: int
    """The line it starts on, from 1."""
    words: str
    addresses: tuple[str, ...]


@dataclass(slots=True)
class ParsedMarkdown:
    """The tokens of a text, and what was noticed on the way. Lines count from 1."""

    tokens: list[Token] = field(default_factory=list)
    is_too_complex: bool = False
    """Whether the text is nested too deeply, or has too many brackets. It is shown as typed then."""
    shown: str = ""
    """The text without its comments."""
    lines: tuple[int, ...] = ()
    """The line, from 0, that each line of `shown` had."""
    scan: LineScan = field(default_factory=lambda: LineScan([], []))
    running: list[RunningText] = field(default_factory=list)
    definitions: list[Definition] = field(default_factory=list)
    used: set[str] = field(default_factory=set)
    """The keys of the footnotes and link definitions that the text uses."""
    missing: set[str] = field(default_factory=set)
    """The keys that it would use if there were such definitions."""
    typed_tags: list[tuple[int, str]] = field(default_factory=list)
    """The HTML that is shown as typed."""
    images: list[tuple[int, str, str]] = field(default_factory=list)
    """Address and description of each image in running text."""
    refused: list[tuple[int, str]] = field(default_factory=list)
    """The addresses of links that are no links of the web."""


class _References(dict[str, Any]):
    """Link definitions that remember what they were asked for."""

    def __init__(self, parsed: ParsedMarkdown, others: Mapping[str, str]) -> None:
        super().__init__()
        self._parsed = parsed
        self._others = others

    def get(self, label: str, default: Any = None) -> Any:
        """The definition of the text, else that of `others`."""
        if label in self:
            self._parsed.used.add(label)
            return self[label]
        self._parsed.missing.add(label)
        return {"href": self._others[label], "title": ""} if label in self._others else default


def parse_markdown(
    text: str,
    *,
    merge: MergeFunction | None = None,
    as_written: bool = False,
) -> ParsedMarkdown:
    """Parse `text`. Never raises.

    `merge` returns the replacements of merge fields. `as_written` keeps images, and links that are refused.
    """
    shown = without_comments(printable(text))
    parsed = ParsedMarkdown(shown=shown.text, lines=shown.lines, scan=shown.scan)
    if shown.text.count("[") > MAX_BRACKETS:
        parsed.is_too_complex = True
        return parsed
    body, lines = _without_footnotes(shown, parsed)
    footnotes = {one.key: one for one in reversed(parsed.definitions) if one.is_footnote}
    order: list[str] = []
    env: dict[str, Any] = {
        **{"merge": merge, "as_written": as_written, "parsed": parsed, "footnotes": footnotes, "order": order},
        **{"references": _References(parsed, {}), "lines": lines},
    }
    parsed.tokens = markdown_parser().parse(body, env)
    for number, key in enumerate(order, start=1):  # grows while footnotes refer to others
        definition = footnotes[key]
        env |= {"lines": [definition.first] * (definition.text.count("\n") + 1), "html_end": 0}
        parsed.tokens += _numbered(markdown_parser().parse(definition.text, env), number)
    parsed.is_too_complex = any(token.level >= MAX_NESTING - 2 for token in parsed.tokens)
    return parsed


def parse_line(line: str, others: Mapping[str, str]) -> list[Token]:
    """The inline tokens of one line, with link definitions by key. Never raises."""
    parsed = ParsedMarkdown()
    if line.count("[") > MAX_BRACKETS:
        return [_text(line)]
    env: dict[str, Any] = {
        **{"merge": None, "as_written": True, "parsed": parsed, "footnotes": {}, "order": [], "lines": (0,)},
        "references": _References(parsed, others),
    }
    tokens = markdown_parser().parseInline(printable(line), env)
    return [child for token in tokens for child in token.children or ()]


def printable(text: str) -> str:
    """Replace characters that are invalid in XML and mail with U+FFFD, as CommonMark does for NUL."""
    return _NOT_IN_XML.sub("\ufffd", text)


@functools.cache
def markdown_parser() -> MarkdownIt:
    """The parser, with the rules of this module."""
    markdown = MarkdownIt("commonmark", {"html": True, "linkify": True, "maxNesting": MAX_NESTING})
    markdown.enable(["linkify", "table", "strikethrough"])
    markdown.validateLink = _any_address  # type: ignore[method-assign,assignment]
    assert markdown.linkify is not None  # noqa: S101  # narrows the type: linkify-it is installed
    markdown.linkify.set({"fuzzy_link": False, "fuzzy_email": False})
    markdown.linkify.add("//", None).add("ftp:", None)
    markdown.linkify.pretest = _may_hold_an_address
    markdown.block.ruler.at("html_block", _html_block, {"alt": ["paragraph", "reference", "blockquote"]})
    markdown.inline.ruler.before("link", "footnote", _footnote)
    # Before escaped characters join the text around them: `\\{first_name|there}` is not a merge field.
    markdown.core.ruler.before("text_join", "shown_blocks", _shown_blocks)
    markdown.core.ruler.before("text_join", "merge_fields", _merge_fields)
    markdown.core.ruler.push("sendable_tokens", _sendable_tokens)
    markdown.add_render_rule("footnote_mark", _render_footnote_mark)
    return markdown


def _any_address(_url: str) -> bool:
    """Accept every address while parsing, so that a refused link keeps its text and can be reported."""
    return True


def _may_hold_an_address(text: str) -> bool:
    """A cheap test before linkify's patterns, which would take four fifths of the parsing time."""
    return "://" in text or "mailto:" in text.lower()


# Footnotes


def _without_footnotes(shown: ShownText, parsed: ParsedMarkdown) -> tuple[str, Sequence[int]]:
    """The text without its footnotes, and the line of each of its lines; fills `parsed.definitions`."""
    if "]:" not in shown.text:
        return shown.text, shown.lines
    lines = shown.text.split("\n")
    found = find_definitions(lines, scan_lines(lines).fenced)
    places = {at for one in found if one.is_footnote for at in range(one.first, one.end)}
    parsed.definitions = [
        Definition(one.key, shown.lines[one.first], shown.lines[one.end - 1] + 1, one.text) for one in found
    ]
    kept = [(line, shown.lines[at]) for at, line in enumerate(lines) if at not in places]
    return "\n".join(line for line, _ in kept), [number for _, number in kept]


def _footnote(state: StateInline, silent: bool) -> bool:
    if not state.src.startswith("[^", state.pos):
        return False
    found = REFERENCE.match(state.src, state.pos, state.posMax)
    if found is None:
        return False
    key, parsed = footnote_key(found[1]), state.env["parsed"]
    if key not in state.env["footnotes"]:
        parsed.missing.add(key)
        return False
    if not silent:
        parsed.used.add(key)
        order = state.env["order"]
        if key not in order:
            order.append(key)
        state.push("footnote_mark", "sup", 0).content = f"[{order.index(key) + 1}]"
    state.pos = found.end()
    return True


def _numbered(tokens: list[Token], number: int) -> list[Token]:
    """The tokens of a footnote with its number before its first words."""
    mark = [Token("footnote_mark", "sup", 0, content=f"[{number}]"), _text(" ")]
    if tokens and tokens[0].type == "paragraph_open":
        tokens[1].children = [*mark, *(tokens[1].children or [])]
        return tokens
    inline = Token("inline", "", 0, children=mark)
    return [Token("paragraph_open", "p", 1), inline, Token("paragraph_close", "p", -1), *tokens]


def _render_footnote_mark(_renderer: RendererHTML, tokens: Sequence[Token], index: int, *_: Any) -> str:
    return f"<sup>{tokens[index].content}</sup>"


# Blocks


def _html_block(state: StateBlock, start: int, end: int, silent: bool) -> bool:
    """A block of HTML with known tags only, as the Markdown that means the same. Others are ordinary text."""
    line = state.src[state.bMarks[start] + state.tShift[start] : state.eMarks[start]]
    first = _FIRST_TAG.match(line)
    if first is None or first[1].lower() not in KNOWN_BLOCKS or start < state.env.get("html_end", 0):
        return False
    if silent:
        return html_block(state, start, end, silent)
    before = state.line
    if not html_block(state, start, end, silent):
        return False
    block = state.tokens.pop()
    if unknown_tag(block.content):
        # Remembered, so that the next lines of the same block are not read again and again.
        state.env["html_end"] = max(state.line, state.env.get("html_end", 0))
        state.line = before
        return False
    inner: list[Token] = []
    state.env["html_end"], outer = 1 << 30, state.env.get("html_end", 0)
    state.md.block.parse(html_as_markdown(block.content).markdown, state.md, state.env, inner)
    state.env["html_end"] = outer
    for token in inner:
        token.map = [start, state.line]
        token.level += state.level
    state.tokens.extend(inner)
    return True


def _shown_blocks(state: StateCore) -> None:
    """Raw HTML, task marks and tables as they are shown."""
    parsed: ParsedMarkdown = state.env["parsed"]
    for index, token in enumerate(state.tokens):
        children = token.children or []
        if any(child.type == "html_inline" for child in children):
            token.children, as_typed = shown_html(children)
            lines = list(itertools.accumulate(map(_is_break, children), initial=_line(state, token)))
            parsed.typed_tags += [(lines[at], children[at].content) for at in as_typed]
        if token.type == "inline" and index >= 2 and state.tokens[index - 2].type == "list_item_open":
            _draw_box(token.children or [])
        elif token.type == "table_open":
            token.attrs = {"class": DATA_TABLE}
        elif token.type in {"th_open", "td_open"}:
            aligned = _ALIGNED.search(str(token.attrs.get("style", "")))
            token.attrs = {"align": aligned[1]} if aligned else {}


def _draw_box(children: Sequence[Token]) -> None:
    task = _TASK.match(children[0].content) if children and children[0].type == "text" else None
    if task:
        children[0].content = _BOXES[task[1]] + children[0].content[task.end() :]


def _line(state: StateCore, token: Token) -> int:
    """The line of a block in the text, from 1."""
    lines = state.env["lines"]
    return int(lines[min((token.map or [0])[0], len(lines) - 1)]) + 1


def _is_break(child: Token) -> bool:
    return child.type in {"softbreak", "hardbreak"}


# Merge fields


def _merge_fields(state: StateCore) -> None:
    merge, parsed = state.env["merge"], state.env["parsed"]
    for token in state.tokens:
        children = token.children or []
        if children and state.env["as_written"]:
            parsed.running.append(_as_running_text(_line(state, token), children))
            _note_links(_line(state, token), children, parsed)
        if merge is not None:
            for child in _texts(children):
                child.content = replace_merge_fields(child.content, merge)


def _texts(children: Sequence[Token]) -> Iterator[Token]:
    """The tokens of running text, including an image's alternative text, without the text of bare addresses."""
    is_address = False
    for child in children:
        if child.type in {"link_open", "link_close"}:
            is_address = child.type == "link_open" and child.markup in {"linkify", "autolink"}
        elif child.type == "image":
            yield from _texts(child.children or [])
        elif child.type == "text" and not is_address:
            yield child


def _as_running_text(line: int, children: Sequence[Token]) -> RunningText:
    texts = {id(child) for child in _texts(children)}
    words, addresses = [], []
    for child in children:
        if child.type in {"softbreak", "hardbreak"}:
            words.append(" " if child.markup == "html" else "\n")
        elif child.type == "image":
            words.append(child.content)
            addresses.append(unquote(str(child.attrs.get("src", ""))))
        elif id(child) in texts:
            words.append(child.content)
        else:
            words.append(f"{MARK}{child.markup}" if child.tag in {"em", "strong"} else MARK)
            addresses += [unquote(str(child.attrs.get("href", "")))] if child.type == "link_open" else []
    return RunningText(line, "".join(words), tuple(addresses))


def _note_links(line: int, children: Sequence[Token], parsed: ParsedMarkdown) -> None:
    for child in children:
        if child.type in {"softbreak", "hardbreak"} and child.markup != "html":
            line += 1
        elif child.type == "image":
            parsed.images.append((line, str(child.attrs.get("src", "")), child.content))
        elif child.type == "link_open" and not is_allowed_in_text(address := str(child.attrs.get("href", ""))):
            parsed.refused.append((line, address))


# What cannot be sent


def _sendable_tokens(state: StateCore) -> None:
    if not state.env["as_written"]:
        for token in state.tokens:
            if token.children:
                token.children = list(_sendable(token.children))


def _sendable(children: Sequence[Token], *, in_link: bool = False) -> Iterator[Token]:
    """The inline tokens with refused links unwrapped, images as links with their text, and soft breaks as spaces."""
    address, wordless = "", False  # links never nest, so these two are enough
    for child in children:
        match child.type:
            case "link_open":
                address, wordless = str(child.attrs.get("href", "")), True
                in_link = is_allowed_in_text(address)
                if in_link:
                    yield child
                continue
            case "link_close":
                in_link = False
                if is_allowed_in_text(address):
                    yield from [_text(address), child] if wordless else [child]
            case "softbreak":
                yield _text(" ")
            case "image":
                words = list(_sendable(child.children or [], in_link=True))
                yield from words if in_link else _linked_image(str(child.attrs.get("src", "")), words)
                wordless = wordless and not words
                continue
            case _:
                yield child
        wordless = False


def _linked_image(address: str, words: list[Token]) -> Iterator[Token]:
    if not is_allowed_in_text(address):
        yield from words
        return
    yield Token("link_open", "a", 1, attrs={"href": address})
    yield from words or [_text(address)]
    yield Token("link_close", "a", -1)


def _text(words: str) -> Token:
    return Token("text", "", 0, content=words)
