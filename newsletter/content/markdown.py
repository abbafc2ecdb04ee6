"""Markdown rendered as safe HTML and as plain text. Pure.

Supported is CommonMark with tables, strikethrough, footnotes, task marks and harmless HTML. HTML comments are never
shown, other HTML is shown as typed, and an image in a text as a link with its description. The HTML is made for mails
first and for the archive page second:

* Headings stay below the issue's own (issue h1, section h2, story h3). In a section's text they become h3; in a
  story, where h4 would be correct but mail programs style it badly, a bold paragraph.
* Links have neither `target` nor `rel`: the mail program or browser decides where they open, and without
  `target=_blank` there is no opener to protect.
* Only addresses with a scheme become links automatically. Guessing from a name with a dot would turn "ASP.NET" or
  "main.py" into links to other sites.
* A link to anything but http, https or mailto keeps its text and loses its target. `link_targets` returns it, so that
  imports and pre-flight checks can report it.
* Footnotes stand below the text, with numbers instead of links: mail programs do not jump within a mail.
* Merge fields are replaced in running text only: in code, in an address, after a backslash or with marks inside, they
  stay as typed.
* A line break inside a paragraph becomes a space: mrml drops white space with a newline between two inline tags, which
  would join the words.
"""

from __future__ import annotations

import html
import re
from collections.abc import Mapping
from typing import Literal

import nh3
from markdown_it.token import Token

from newsletter.content.markdown_parser import (
    DATA_TABLE,
    MARK,
    MAX_NESTING,
    RunningText,
    markdown_parser,
    parse_line,
    parse_markdown,
    printable,
)
from newsletter.content.markdown_text import inline_to_text, tokens_to_text
from newsletter.content.merge_fields import MergeFunction, replace_merge_fields

__all__ = [
    "ALLOWED_TAGS",
    "MARK",
    "MAX_NESTING",
    "Place",
    "RunningText",
    "link_targets",
    "links_with_words",
    "markdown_to_html",
    "markdown_to_text",
    "plain_words",
    "running_text",
]

ALLOWED_TAGS = {
    *("p", "a", "em", "strong", "code", "pre", "ul", "ol", "li", "blockquote", "br", "h3", "hr"),
    *("s", "u", "sub", "sup", "table", "thead", "tbody", "tr", "th", "td"),
}
ALLOWED_ATTRIBUTES: dict[str, set[str]] = {"*": set(), "a": {"href"}, "ol": {"start"}, "th": {"align"}, "td": {"align"}}

_VOID = re.compile(r"<(br|hr)>")
_PLAIN = re.compile(r"[^\W\d_][\w .,:;?'\"()%/+’‘“”–—…-]*")
"""One paragraph without characters that are special in Markdown or HTML. Most stories match, and are not parsed."""

Place = Literal["story", "section"]


def markdown_to_html(text: str, *, under: Place = "story", merge: MergeFunction | None = None) -> str:
    """Render `text` as sanitised HTML that is also well-formed XML.

    `under` decides what headings become (see the module's docstring). `merge` returns the replacements of merge
    fields; without it they stay as typed. Blank text gives an empty string. Never raises.
    """
    if _is_plain(text):
        return f"<p>{text.rstrip()}</p>"
    parsed = parse_markdown(text, merge=merge)
    if parsed.is_too_complex:
        return _as_typed(parsed.shown if merge is None else replace_merge_fields(parsed.shown, merge))
    for index, token in enumerate(parsed.tokens):
        if token.type == "heading_open":
            _demote_heading(parsed.tokens[index : index + 3], under)
    rendered = markdown_parser().renderer.render(parsed.tokens, markdown_parser().options, {})
    safe = nh3.clean(
        printable(rendered),
        tags=ALLOWED_TAGS,
        attributes=ALLOWED_ATTRIBUTES,
        allowed_classes={"table": {DATA_TABLE}},
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
    parsed = parse_markdown(text, merge=merge)
    if parsed.is_too_complex:
        return printable(parsed.shown if merge is None else replace_merge_fields(parsed.shown, merge)).strip()
    return printable(tokens_to_text(parsed.tokens))


def link_targets(text: str) -> tuple[str, ...]:
    """Every address that `text` links to, in order, including those that are not allowed."""
    tokens = parse_markdown(text, as_written=True).tokens
    found: list[str] = []
    for token in tokens:
        in_link = False
        for child in token.children or ():
            if child.type == "link_open":
                found.append(str(child.attrs.get("href", "")))
            elif child.type == "image" and not in_link:
                found.append(str(child.attrs.get("src", "")))
            in_link = child.type == "link_open" or (in_link and child.type != "link_close")
    return tuple(found)


def links_with_words(text: str) -> tuple[tuple[str, str], ...]:
    """Every link of `text` as the words that are shown and its address, in order; links to mail addresses, too."""
    if "](" not in text and "]:" not in text and "<a" not in text.lower():
        return ()  # an address that is typed as it is has no other words
    found: list[tuple[str, str]] = []
    for token in parse_markdown(text, as_written=True).tokens:
        words: list[str] = []
        address = ""
        for child in token.children or ():
            if child.type == "link_open":
                address, words = str(child.attrs.get("href", "")), []
            elif child.type == "link_close":
                found.append(("".join(words), address))
            elif child.type in ("text", "code_inline"):
                words.append(child.content)
    return tuple(found)


def running_text(text: str) -> tuple[RunningText, ...]:
    """The text in which merge fields are replaced, block by block."""
    return tuple(parse_markdown(text, as_written=True).running)


def plain_words(line: str, others: Mapping[str, str]) -> tuple[str, tuple[str, ...]]:
    """The words of one line of Markdown without marks, and the addresses it links to.

    `others` are link definitions, by key.
    """
    tokens = parse_line(line, others)
    addresses = (str(child.attrs.get("href", "")) for child in tokens if child.type == "link_open")
    return inline_to_text(tokens), tuple(addresses)


def _is_plain(text: str) -> bool:
    """Whether parsing would find one plain paragraph only."""
    return _PLAIN.fullmatch(text) is not None and "_" not in text and ":/" not in text


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


def _as_typed(text: str) -> str:
    paragraphs = [part for part in re.split(r"\n\s*\n", printable(text)) if part.strip()]
    return "\n".join(f"<p>{html.escape(part.strip(), quote=False)}</p>" for part in paragraphs)
