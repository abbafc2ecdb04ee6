"""Markdown rendered as safe HTML and as plain text. Pure.

Supported are paragraphs, emphasis, links, lists, quotes, code, rules and headings. HTML is shown as typed, and an image
as its alternative text. The HTML is made for mails first and for the archive page second:

* Headings stay below the issue's own (issue h1, section h2, story h3). In a section's text they become h3; in a
  story, where h4 would be correct but mail programs style it badly, a bold paragraph.
* Links have neither `target` nor `rel`: the mail program or browser decides where they open, and without
  `target=_blank` there is no opener to protect.
* Only addresses with a scheme become links automatically. Guessing from a name with a dot would turn "ASP.NET" or
  "main.py" into links to other sites.
* A link to anything but http, https or mailto keeps its text and loses its target. `link_targets` returns it, so that
  imports and pre-flight checks can report it.
* Merge fields are replaced in running text only: in code, in an address, after a backslash or with marks inside, they
  stay as typed.
* A line break inside a paragraph becomes a space: mrml drops white space with a newline between two inline tags, which
  would join the words.
"""

from __future__ import annotations

import functools
import html
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal
from urllib.parse import unquote

import nh3
from markdown_it import MarkdownIt
from markdown_it.rules_core import StateCore
from markdown_it.token import Token
from markdown_it.tree import SyntaxTreeNode

from newsletter.content.links import is_allowed_in_text
from newsletter.content.merge_fields import MergeFunction, replace_merge_fields

ALLOWED_TAGS = {"p", "a", "em", "strong", "code", "pre", "ul", "ol", "li", "blockquote", "br", "h3", "hr"}
ALLOWED_ATTRIBUTES: dict[str, set[str]] = {"*": set(), "a": {"href"}, "ol": {"start"}}
MAX_NESTING = 30
"""Levels of nested lists and quotes. Deeper text is shown as typed, because HTML parsers crash on deep nesting (mrml at
about 8,000 levels, RUSTSEC-2026-0213 for ammonia)."""

_NOT_IN_XML = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\ud800-\udfff\ufffe\uffff]")
_VOID = re.compile(r"<(br|hr)>")
_PLAIN = re.compile(r"[^\W\d_][\w .,:;?'\"()%/+’‘“”–—…-]*")
"""One paragraph without characters that are special in Markdown or HTML. Most stories match, and are not parsed."""

Place = Literal["story", "section"]

MARK = "\ufffc"
"""Stands in RunningText for code, marks and escaped characters."""


@dataclass(frozen=True, slots=True)
class RunningText:
    """The text of one paragraph, heading or list item as typed, and the addresses it links to."""

    line: int
    """The line it starts on, from 1."""
    words: str
    addresses: tuple[str, ...]


def markdown_to_html(text: str, *, under: Place = "story", merge: MergeFunction | None = None) -> str:
    """Render `text` as sanitised HTML that is also well-formed XML.

    `under` decides what headings become (see the module's docstring). `merge` returns the replacements of merge
    fields; without it they stay as typed. Blank text gives an empty string. Never raises.
    """
    if _is_plain(text):
        return f"<p>{text.rstrip()}</p>"
    tokens = _parse(text, under, merge)
    if tokens is None:
        return _as_typed(text if merge is None else replace_merge_fields(text, merge))
    rendered = _parser().renderer.render(tokens, _parser().options, {})
    safe = nh3.clean(
        _printable(rendered),
        tags=ALLOWED_TAGS,
        attributes=ALLOWED_ATTRIBUTES,
        url_schemes={"http", "https", "mailto"},
        link_rel=None,
    )
    return _VOID.sub(r"<\1 />", safe).replace("&nbsp;", "&#160;").strip()


def markdown_to_text(text: str, merge: MergeFunction | None = None) -> str:
    """Render `text` for the text part of a mail: links as `words (address)`, lists and quotes with their marks.

    `merge` returns the replacements of merge fields. Lines are not wrapped. Blank text gives an empty string. Never
    raises.
    """
    if _is_plain(text):
        return text.rstrip()
    tokens = _parse(text, "story", merge)
    if tokens is None:
        return _printable(text if merge is None else replace_merge_fields(text, merge)).strip()
    return _printable(_blocks(SyntaxTreeNode(tokens))).strip("\n")


def link_targets(text: str) -> tuple[str, ...]:
    """Every address that `text` links to, in order, including those that are not allowed."""
    tokens = _parser().parse(_printable(text), {"as_written": True})
    inline = (child for token in tokens for child in token.children or ())
    return tuple(str(child.attrs.get("href", "")) for child in inline if child.type == "link_open")


def running_text(text: str) -> tuple[RunningText, ...]:
    """The text in which merge fields are replaced, block by block."""
    found: list[RunningText] = []
    _parser().parse(_printable(text), {"as_written": True, "running": found})
    return tuple(found)


# Parsing: CommonMark tokens, with everything removed that must not be sent.


@functools.cache
def _parser() -> MarkdownIt:
    markdown = MarkdownIt("commonmark", {"html": False, "linkify": True, "maxNesting": MAX_NESTING})
    markdown.enable("linkify")
    markdown.validateLink = _any_address  # type: ignore[method-assign,assignment]
    assert markdown.linkify is not None  # noqa: S101  # narrows the type: linkify-it is installed
    markdown.linkify.set({"fuzzy_link": False, "fuzzy_email": False})
    markdown.linkify.add("//", None).add("ftp:", None)
    markdown.linkify.pretest = _may_hold_an_address
    # Before escaped characters join the text around them: `\\{first_name|there}` is not a merge field.
    markdown.core.ruler.before("text_join", "merge_fields", _merge_fields)
    markdown.core.ruler.push("sendable_tokens", _sendable_tokens)
    return markdown


def _any_address(_url: str) -> bool:
    """Accept every address while parsing, so that a refused link keeps its text and can be reported."""
    return True


def _may_hold_an_address(text: str) -> bool:
    """A cheap test before linkify's patterns, which would take four fifths of the parsing time."""
    return "://" in text or "mailto:" in text.lower()


def _merge_fields(state: StateCore) -> None:
    merge, running = state.env.get("merge"), state.env.get("running")
    if merge is None and running is None:
        return
    for token in state.tokens:
        children = token.children or []
        if running is not None and children:
            running.append(_as_running_text(token, children))
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


def _as_running_text(token: Token, children: Sequence[Token]) -> RunningText:
    texts = {id(child) for child in _texts(children)}
    words, addresses = [], []
    for child in children:
        if child.type in {"softbreak", "hardbreak"}:
            words.append("\n")
        elif child.type == "image":
            words.append(child.content)
            addresses.append(unquote(str(child.attrs.get("src", ""))))
        elif id(child) in texts:
            words.append(child.content)
        else:
            words.append(f"{MARK}{child.markup}" if child.tag in {"em", "strong"} else MARK)
            addresses += [unquote(str(child.attrs.get("href", "")))] if child.type == "link_open" else []
    return RunningText((token.map or [0])[0] + 1, "".join(words), tuple(addresses))


def _sendable_tokens(state: StateCore) -> None:
    if not state.env.get("as_written"):
        for token in state.tokens:
            if token.children:
                token.children = list(_sendable(token.children))


def _sendable(children: list[Token]) -> Iterator[Token]:
    """The inline tokens with refused links unwrapped, images as their text and soft breaks as spaces."""
    address, wordless = "", False  # links never nest, so these two are enough
    for child in children:
        match child.type:
            case "link_open":
                address, wordless = str(child.attrs.get("href", "")), True
                if is_allowed_in_text(address):
                    yield child
                continue
            case "link_close":
                if is_allowed_in_text(address):
                    yield from [_text(address), child] if wordless else [child]
            case "softbreak":
                yield _text(" ")
            case "image":
                words = list(_sendable(child.children or []))
                yield from words
                wordless = wordless and not words
                continue
            case _:
                yield child
        wordless = False


def _is_plain(text: str) -> bool:
    """Whether parsing would find one plain paragraph only."""
    return _PLAIN.fullmatch(text) is not None and "_" not in text and ":/" not in text


def _text(words: str) -> Token:
    return Token("text", "", 0, content=words)


def _parse(text: str, under: Place, merge: MergeFunction | None) -> list[Token] | None:
    """The tokens of `text`; None if it is nested too deeply to be rendered as Markdown."""
    tokens = _parser().parse(_printable(text), {"merge": merge})
    if any(token.level >= MAX_NESTING - 2 for token in tokens):
        return None
    for index, token in enumerate(tokens):
        if token.type == "heading_open":
            _demote_heading(tokens[index : index + 3], under)
    return tokens


def _demote_heading(heading: list[Token], under: Place) -> None:
    opening, inline, closing = heading
    if under == "section":
        opening.tag = closing.tag = "h3"
        return
    opening.tag = closing.tag = "p"
    inline.children = [
        Token("strong_open", "strong", 1, markup="**"),
        *(inline.children or []),
        Token("strong_close", "strong", -1, markup="**"),
    ]


def _printable(text: str) -> str:
    """Replace characters that are invalid in XML and mail with U+FFFD, as CommonMark does for NUL."""
    return _NOT_IN_XML.sub("\ufffd", text)


def _as_typed(text: str) -> str:
    paragraphs = [part for part in re.split(r"\n\s*\n", _printable(text)) if part.strip()]
    return "\n".join(f"<p>{html.escape(part.strip(), quote=False)}</p>" for part in paragraphs)


# Plain text: one function for blocks, one for inline elements.


def _blocks(parent: SyntaxTreeNode, *, between: str = "\n\n") -> str:
    return between.join(_block(child, number) for number, child in enumerate(parent.children))


def _block(node: SyntaxTreeNode, number: int) -> str:
    match node.type:
        case "blockquote":
            return _prefixed(_blocks(node), first="> ", rest="> ")
        case "bullet_list" | "ordered_list":
            return _blocks(node, between="\n" if _is_tight(node) else "\n\n")
        case "list_item":
            mark = _list_mark(node, number)
            return _prefixed(_blocks(node, between="\n" if _is_tight(node) else "\n\n"), mark, " " * len(mark))
        case "fence" | "code_block":
            return _prefixed(node.content.rstrip("\n"), first="    ", rest="    ")
        case "hr":
            return "-----"
        case _:
            return "".join(_inline(child) for child in node.children)


def _is_tight(node: SyntaxTreeNode) -> bool:
    """Whether no blank lines separate the list's items (markdown-it hides their paragraphs then)."""
    items = [node] if node.type == "list_item" else node.children
    paragraphs = [child for item in items for child in item.children if child.type == "paragraph"]
    return all(paragraph.hidden for paragraph in paragraphs)


def _list_mark(item: SyntaxTreeNode, number: int) -> str:
    listing = item.parent
    if listing is None or listing.type == "bullet_list":
        return "- "
    return f"{int(listing.attrs.get('start', 1)) + number}. "


def _prefixed(text: str, first: str, rest: str) -> str:
    head, *tail = text.split("\n")
    return "\n".join([f"{first}{head}".rstrip(), *(f"{rest}{line}".rstrip() for line in tail)])


def _inline(node: SyntaxTreeNode) -> str:
    match node.type:
        case "text" | "code_inline":
            return node.content
        case "hardbreak":
            return "\n"
        case "link":
            return _link("".join(_inline(child) for child in node.children), str(node.attrs.get("href", "")))
        case _:
            return "".join(_inline(child) for child in node.children)


def _link(words: str, address: str) -> str:
    bare = address.removeprefix("mailto:")
    if not words.strip():
        return bare
    return words if words.strip() in {address, bare} else f"{words} ({bare})"
