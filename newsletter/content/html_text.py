"""Untrusted HTML converted to Markdown or plain text. Pure.

Text, web links, emphasis and lists are kept. Scripts, styles and forms are removed with their content; links to
anything but http and https keep their text only. The Markdown is sanitised again when it is rendered.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any
from urllib.parse import urljoin

from lxml import html as lxml_html  # type: ignore[import-untyped]
from lxml.etree import LxmlError, strip_elements  # type: ignore[import-untyped]

from newsletter.content.links import web_link_problem
from newsletter.content.plain_text import plain_to_markdown

#: Below this depth of nesting, only the text is kept.
MAX_DEPTH = 40
#: Characters of a document that are parsed; at most a few hundred words are kept.
MAX_CHARACTERS = 200_000
_DROPPED_LIST = (
    "script style noscript template iframe object embed svg math form input select textarea button head title"
)
_DROPPED = frozenset(_DROPPED_LIST.split())
_BLOCKS_LIST = (
    "address article aside blockquote body center dd div dl dt figcaption figure footer h1 h2 h3 h4 h5 h6 header hr "
    "html li main nav ol p pre section table tbody td tfoot th thead tr ul"
)
_BLOCKS = frozenset(_BLOCKS_LIST.split())
_HEADINGS = frozenset({"h1", "h2", "h3", "h4", "h5", "h6"})
_EMPHASIS = {"b": "**", "strong": "**", "i": "*", "em": "*"}
# The last one escapes merge fields: text of other sites is not filled with values of recipients.
_MARKS = re.compile(r"[\\`*]|(?<![^\W_])_|_(?![^\W_])|<(?=[a-zA-Z/!?])|\](?=\()|&(?=#?\w+;)|\{(?=[{%]|[ \t]*(?:\w|$))")
_BRACKETS = re.compile(r"(?<!\\)[\[\]]")
_STARTS_A_BLOCK = re.compile(r"^(?:(?:\d{1,9}[.)]|[-+]|#{1,6})(?=\s|$)|>|--+|==+|~~~)")
_STOPS = ".,:;!?"
# Controls, direction marks and invisible spaces. The joiners U+200C and U+200D stay: scripts and emoji need them.
_NOT_SHOWN = re.compile(
    "[\x00-\x08\x0e-\x1b\x7f-\x84\x86-\x9f\xad\u061c\u180e\u200b\u200e\u200f\u202a-\u202e\u2060-\u206f"
    "\ud800-\udfff\ufeff\ufff9-\ufffb\ufffe\uffff]"
)
_SENTENCE_END = re.compile(r"[.!?…][\"'”’)\]]*\s")


def html_to_markdown(html: str, *, base_url: str = "", longest: int = 1_000) -> str:
    """The text of `html` as Markdown of at most `longest` characters, cut between paragraphs or sentences.

    Relative links are resolved against `base_url`. Never raises.
    """
    kept: list[str] = []
    remaining = longest
    for block, words in _blocks_of(html, base_url):
        if len(block) > remaining:
            if not kept:
                kept.append(plain_to_markdown(shortened(words, longest)))
            break
        kept.append(block)
        remaining -= len(block) + 2
    return _spaced(kept)


def html_to_line(html: str) -> str:
    """The text of `html` on one line."""
    return " ".join(words for _, words in _blocks_of(html, ""))


def one_line(text: str) -> str:
    """`text` on one line, without characters that the fields of an issue must not contain."""
    return " ".join(_NOT_SHOWN.sub("", text).split())


def shortened(words: str, longest: int) -> str:
    """`words` cut to `longest` characters: after a sentence, else after a word with an ellipsis."""
    if len(words) <= longest:
        return words
    ends = [found.end() for found in _SENTENCE_END.finditer(words, 0, longest)]
    if ends and ends[-1] > longest // 2:
        return words[: ends[-1]].strip()
    whole_words = words[: longest - 1].rpartition(" ")[0].rstrip(" ,;:–—-")
    return f"{whole_words or words[: longest - 1]}…"


def _parsed(html: str) -> Any:
    """The tree of `html`; None if it is empty."""
    text = _NOT_SHOWN.sub("", html[:MAX_CHARACTERS])
    if not text.strip():
        return None
    parser = lxml_html.HTMLParser(encoding="utf-8", remove_comments=True, remove_pis=True)
    try:
        tree = lxml_html.fromstring(f"<div>{text}</div>".encode(), parser=parser)
    except (LxmlError, ValueError):
        return None
    strip_elements(tree, *_DROPPED, with_tail=False)
    return tree


def _blocks_of(html: str, base_url: str) -> Iterator[tuple[str, str]]:
    tree = _parsed(html)
    if tree is not None:
        yield from _blocks(tree, base_url, 0)


def _blocks(node: Any, base_url: str, depth: int) -> Iterator[tuple[str, str]]:
    """Each paragraph, heading or list item below `node`: as Markdown, and as plain text."""
    line: list[tuple[str, str]] = [(_escaped(node.text or ""), node.text or "")]
    for child in node:
        name = _name(child)
        if name in _BLOCKS and depth < MAX_DEPTH:
            yield from _block(line, node)
            line = []
            yield from _blocks(child, base_url, depth + 1)
        elif name == "br":
            yield from _block(line, node)
            line = []
        else:
            line.append((_inline(child, base_url, depth + 1), child.text_content()))
        line.append((_escaped(child.tail or ""), child.tail or ""))
    yield from _block(line, node)


def _block(line: list[tuple[str, str]], node: Any) -> Iterator[tuple[str, str]]:
    words = one_line("".join(bare for _, bare in line))
    if not words:
        return
    text = one_line("".join(markdown for markdown, _ in line))
    marked = _STARTS_A_BLOCK.sub(_backslash, text)
    if _name(node) in _HEADINGS:
        yield _emphasised(_escaped(words.replace("*", "")), "**"), words
    elif _name(node) == "li":
        yield f"- {marked}", words
    else:
        yield marked, words


def _inline(node: Any, base_url: str, depth: int) -> str:
    """The Markdown of an inline element."""
    if depth >= MAX_DEPTH:
        return _escaped(node.text_content())
    parts = [_escaped(node.text or "")]
    for child in node:
        parts.append(" " if _name(child) == "br" else _inline(child, base_url, depth + 1))
        parts.append(_escaped(child.tail or ""))
    text = "".join(parts)
    name = _name(node)
    if name in _EMPHASIS:
        return _emphasised(text, _EMPHASIS[name])
    if name == "a" and (url := _web_link(node.get("href") or "", base_url)):
        return _linked(text, url)
    return f" {text} " if name in _BLOCKS else text


def _emphasised(text: str, mark: str) -> str:
    """`text` between emphasis marks; trailing punctuation stays outside, so that Markdown recognises the end."""
    inner = text.strip()
    core = inner.rstrip(_STOPS)
    if not core or "*" in inner:
        return text
    return text.replace(inner, f"{mark}{core}{mark}{inner[len(core) :]}", 1)


def _linked(text: str, url: str) -> str:
    inner = text.strip()
    if not inner or "](" in inner:
        return text
    return text.replace(inner, f"[{_BRACKETS.sub(_backslash, inner)}]({url})", 1)


def _backslash(found: re.Match[str]) -> str:
    """The match with its last character escaped."""
    return f"{found[0][:-1]}\\{found[0][-1]}"


def _web_link(href: str, base_url: str) -> str:
    """The address of a link if it is one of the web and fits into Markdown as it is; else nothing."""
    try:
        url = urljoin(base_url, href.strip())
    except ValueError:
        return ""
    return "" if web_link_problem(url) or re.search(r"[<>()\[\]]", url) else url


def _name(node: Any) -> str:
    return str(node.tag).lower()


def _escaped(text: str) -> str:
    """`text` with those characters escaped that Markdown would take for marks."""
    return _MARKS.sub(_backslash, text)


def _spaced(blocks: list[str]) -> str:
    """The blocks joined with blank lines; list items without."""
    text = ""
    for block in blocks:
        is_item = block.startswith("- ") and text.rpartition("\n")[2].startswith("- ")
        text += ("\n" if is_item else "\n\n" if text else "") + block
    return text
