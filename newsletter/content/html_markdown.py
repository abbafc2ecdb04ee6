"""Untrusted HTML converted to Markdown, and what was dropped on the way. Pure.

    HTML ─► a tame tree (html_tree) ─► markdownify, with these conversions ─► emphasis that Markdown recognises

Text, links, emphasis, lists, code, quotes, tables and pictures are kept. Scripts, styles and forms are removed with
their content; a link that is not allowed keeps its text. Paste, fetched pages, feeds and HTML in Markdown use this one
converter. The Markdown is sanitised again when it is rendered.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qs, urljoin, urlsplit

from bs4 import BeautifulSoup, Tag
from bs4.element import NavigableString
from lxml import html as lxml_html  # type: ignore[import-untyped]
from markdownify import MarkdownConverter

from newsletter.content.emphasis import MARKS, STAND_INS, with_marks
from newsletter.content.html_tree import BLOCKS, parsed_html, tame
from newsletter.content.inline_html import PAIRED, VOID
from newsletter.content.links import is_allowed_in_text, web_link_problem

KNOWN_BLOCKS = frozenset({*BLOCKS, *PAIRED, *VOID, "caption", "col", "colgroup"}) - {"body", "html"}
"""The tags that a block of HTML in Markdown may have."""

_NOT_PAIRED = frozenset({*VOID, "hr", "col", "li", "p", "dt", "dd", "tr", "td", "th", "tbody", "thead", "tfoot", "div"})
_TAG = re.compile(r"<(?:(/?)([a-zA-Z][a-zA-Z0-9-]*)[^<>]*>|[!?])")
# The last one escapes merge fields: text of other sites is not filled with values of recipients.
_SPECIAL = re.compile(
    r"[\\`*]|(?<![^\W_])_|_(?![^\W_])|<(?=[a-zA-Z/!?])|\](?=[(\[])|\[(?=\^)|~(?=~)|&(?=#?\w+;)"
    r"|\{(?=[{%]|[ \t]*(?:\w|$))"
)
_ADDRESS = re.compile(r"https?://[^\s<>*`\\\[\]{}]+")
_STARTS_A_BLOCK = re.compile(r"^(\s*)(?:(\d{1,9})([.)])(?=\s|$)|([-+](?=\s|$)|#{1,6}(?=\s|$)|>|--+|==+|~~~|\[))")
_IN_ADDRESS = re.compile(r"[\\<>]|&(?=#?\w+;)")
_NEEDS_BRACKETS = re.compile(r"[()<>\[\]\\]")
_BRACKETS = re.compile(r"(?<!\\)((?:\\\\)*)([\[\]])")
_BREAKS = re.compile(r"(?:[ \t]*\\\n){2,}[ \t]*")
_BREAK_AT_END = re.compile(r"(?:\\\n[ \t]*)+(?=\n|\Z)")
_BLANK_LINES = re.compile(r"\n(?:[ \t]*\n){2,}")
_TINY = re.compile(r"[0-3](?:px)?")
# Characters for private use mark the parts of a table until the whole table is known.
_CELL_END, _ROW_END, _CAPTION = "\ue010", "\ue011", "\ue012"
_PRIVATE = re.compile("[\ue000-\ue012]")
_TABLE_PARTS = re.compile("[\ue010-\ue012]")
MAX_COLUMNS = 20


@dataclass(frozen=True, slots=True)
class ConvertedHtml:
    """Markdown, and how many links, pictures, forms and media were dropped, by these words in the singular."""

    markdown: str
    dropped: Counter[str]


def html_as_markdown(html: str, *, base_url: str = "", is_summary: bool = False) -> ConvertedHtml:
    """Convert `html`; relative addresses are resolved against `base_url`. Never raises.

    A summary has no pictures and no links but those of the web, and its headings are bold paragraphs.
    """
    tree = parsed_html(_PRIVATE.sub("", html))
    return ConvertedHtml("", Counter()) if tree is None else _converted(tree, base_url, is_summary, False)


def tree_as_markdown(tree: Any, *, base_url: str = "") -> ConvertedHtml:
    """As `html_as_markdown`, of a tree of `parsed_html`, which is changed; headings keep their levels."""
    return _converted(tree, base_url, False, True)


def _converted(tree: Any, base_url: str, is_summary: bool, keeps_levels: bool) -> ConvertedHtml:
    dropped = tame(tree)
    soup = BeautifulSoup(lxml_html.tostring(tree, encoding="unicode"), "lxml")
    _number_items(soup)
    converter = _Converter(base_url, is_summary, dropped, keeps_levels)
    text = _TABLE_PARTS.sub("", converter.convert_soup(soup))
    text = _BREAK_AT_END.sub("", _BREAKS.sub("\n\n", text))
    return ConvertedHtml(_BLANK_LINES.sub("\n\n", with_marks(text)).strip(), +dropped)


def unknown_tag(html: str) -> str:
    """The first tag of `html` that is unknown or lacks its other half; empty if there is none."""
    counts: Counter[str] = Counter()
    for found in _TAG.finditer(html):
        name = (found[2] or "").lower()
        if name not in KNOWN_BLOCKS:
            return name or found[0]
        if name not in _NOT_PAIRED:
            counts[name] += -1 if found[1] else 1
    wrapping = {"details", "section", "article", "center", "aside", "main", "header", "footer", "nav", "figure"}
    return next((name for name, count in counts.items() if count and name not in wrapping), "")


def _number_items(soup: BeautifulSoup) -> None:
    """Write the number of each item into it: counting the items before each takes quadratic time."""
    for listing in soup.find_all("ol"):
        start = str(listing.get("start") or "")
        number = int(start) if start.isdecimal() and len(start) < 9 else 1
        for item in listing.find_all("li", recursive=False):
            item["value"] = str(number)
            number += 1


def _wrapping(kind: str) -> Callable[[Any, Any, str, set[str]], str]:
    opening, closing = MARKS[kind]

    def convert(_self: Any, el: Any, text: str, parent_tags: set[str]) -> str:
        inner = text.strip()
        if "_noformat" in parent_tags or not inner or opening in inner:
            return text
        before, after = text[: len(text) - len(text.lstrip())], text[len(text.rstrip()) :]
        return f"{before}{opening}{inner}{closing}{after}"

    return convert


class _Converter(MarkdownConverter):
    """markdownify with the rules of this module. Its methods get an element, its Markdown, and the tags around it."""

    def __init__(self, base_url: str, is_summary: bool, dropped: Counter[str], keeps_levels: bool) -> None:
        super().__init__(
            autolinks=False,
            bullets="-",
            heading_style="atx",
            newline_style="backslash",
            sub_symbol="<sub>",
            sup_symbol="<sup>",
            wrap=True,  # white space becomes one space; without a width, no lines are broken
            wrap_width=None,
        )
        self.base_url, self.is_summary, self.dropped = base_url, is_summary, dropped
        self.keeps_levels = keeps_levels

    # Text

    def process_text(self, el: Any, parent_tags: set[str] | None = None) -> str:
        """Escape what would begin a block."""
        text = str(super().process_text(el, parent_tags=parent_tags))  # type: ignore[misc]
        if "_noformat" in (parent_tags or ()) or not _begins_a_block(el):
            return text
        return _STARTS_A_BLOCK.sub(_escaped_start, text, count=1)

    def escape(self, text: str, parent_tags: set[str]) -> str:
        """Escape the characters that Markdown would take for marks at their place, but not in addresses."""
        written, end = [], 0
        for address in _ADDRESS.finditer(text):
            written += [_SPECIAL.sub(r"\\\g<0>", text[end : address.start()]), address[0]]
            end = address.end()
        return "".join([*written, _SPECIAL.sub(r"\\\g<0>", text[end:])])

    convert_b = convert_strong = _wrapping("strong")
    convert_i = convert_em = convert_cite = _wrapping("em")
    convert_s = convert_del = convert_strike = _wrapping("s")

    def convert_q(self, el: Any, text: str, parent_tags: set[str]) -> str:
        """Quotation marks."""
        return f"“{text}”"

    def convert_br(self, el: Any, text: str, parent_tags: set[str]) -> str:
        """A line break; in code a new line, in a cell or heading a space."""
        if "pre" in parent_tags:
            return "\n"
        return " " if "_inline" in parent_tags or "a" in parent_tags or "_noformat" in parent_tags else "\\\n"

    # Links and pictures

    def convert_a(self, el: Any, text: str, parent_tags: set[str]) -> str:
        """A link with its text; the text alone if the address is not allowed."""
        href = str(el.get("href") or "").strip()
        if not href:
            return text
        words, url = " ".join(text.split()), self._address(href)
        if not url or not words or "_noformat" in parent_tags:
            self.dropped["link"] += 1
            return text
        if "](" in words.replace("![", "").replace("\\](", "") and "![" not in words:
            return text
        label = words if "![" in words else _BRACKETS.sub(r"\1\\\2", words)
        before, after = text[: len(text) - len(text.lstrip())], text[len(text.rstrip()) :]
        return f"{before and ' '}[{label}]({_written_address(url)}){after and ' '}"

    def convert_img(self, el: Any, text: str, parent_tags: set[str]) -> str:
        """A picture with its description; nothing for one that only counts who opens the page."""
        is_tiny = any(_TINY.fullmatch(str(el.get(side) or "")) for side in ("width", "height"))
        url = self._address(str(el.get("src") or ""))
        if self.is_summary or is_tiny or not url or not url.startswith("http") or "_noformat" in parent_tags:
            self.dropped["picture"] += not is_tiny and not self.is_summary
            return ""
        alt = self.escape(" ".join(str(el.get("alt") or "").split()), parent_tags)
        words = _BRACKETS.sub(r"\1\\\2", alt)
        return f"![{words}]({_written_address(url)})"

    def _address(self, href: str) -> str:
        """The absolute address, without Google's redirect around it; empty if it is not allowed."""
        try:
            url = urljoin(self.base_url, href)
            parts = urlsplit(url)
            if re.search(r"(?:^|\.)google\.[a-z.]+$", parts.hostname or "") and parts.path == "/url":
                url = parse_qs(parts.query).get("q", [url])[0]
        except ValueError:
            return ""
        is_allowed = web_link_problem(url) is None if self.is_summary else is_allowed_in_text(url)
        return url if is_allowed else ""

    # Blocks

    def convert_hN(self, n: int, el: Any, text: str, parent_tags: set[str]) -> str:
        """A small heading, or one of its own level; in a summary, a bold paragraph."""
        words = STAND_INS.sub("", " ".join(text.split()))
        if "_inline" in parent_tags or not words:
            return text
        opening, closing = MARKS["strong"]
        level = "#" * (n if self.keeps_levels else 3)
        return f"\n\n{opening}{words}{closing}\n\n" if self.is_summary else f"\n\n{level} {words}\n\n"

    def convert_li(self, el: Any, text: str, parent_tags: set[str]) -> str:
        """An item with its bullet or number."""
        text = text.strip()
        if not text:
            return "\n"
        number = str(el.get("value") or "")
        mark = f"{number}. " if el.parent is not None and el.parent.name == "ol" and number.isdecimal() else "- "
        lines = text.split("\n")
        return mark + "\n".join([lines[0], *(" " * len(mark) + line if line else "" for line in lines[1:])]) + "\n"

    def convert_pre(self, el: Any, text: str, parent_tags: set[str]) -> str:
        """A code block, with a fence that its text does not contain."""
        words = str(el.get_text()) if not el.find("br") else text
        words = words.strip("\n")
        if not words.strip():
            return ""
        fence = "`" * max(3, 1 + max(map(len, re.findall("`+", words)), default=0))
        return f"\n\n{fence}\n{words}\n{fence}\n\n"

    def convert_table(self, el: Any, text: str, parent_tags: set[str]) -> str:
        """A table with as many columns as its longest row; Markdown makes the first row the head."""
        parts = text.split(_CAPTION)
        caption = parts[1].strip() if len(parts) == 3 else ""
        cells = (row.split(_CELL_END)[:-1] for row in parts[-1].split(_ROW_END))
        rows = [[" ".join(cell.split()).replace("|", "\\|") for cell in row] for row in cells if row]
        if not rows:
            return f"\n\n{caption}\n\n"
        width = max(map(len, rows))
        lines = [_row(row, width) for row in (rows[0], ["---"] * width, *rows[1:])]
        return "\n\n" + (f"{caption}\n\n" if caption else "") + "\n".join(lines) + "\n\n"

    def convert_caption(self, el: Any, text: str, parent_tags: set[str]) -> str:
        """The words above a table."""
        return f"{_CAPTION}{' '.join(text.split())}{_CAPTION}"

    def convert_td(self, el: Any, text: str, parent_tags: set[str]) -> str:
        """A cell; one that spans columns is followed by empty ones."""
        span = str(el.get("colspan") or "")
        more = min(int(span), MAX_COLUMNS) - 1 if span.isdecimal() and len(span) < 4 else 0
        return f"{text}{_CELL_END}" + _CELL_END * more

    convert_th = convert_td

    def convert_tr(self, el: Any, text: str, parent_tags: set[str]) -> str:
        """A row."""
        return f"{text.replace(_ROW_END, '')}{_ROW_END}"

    def convert_dl(self, el: Any, text: str, parent_tags: set[str]) -> str:
        """The terms and descriptions as paragraphs, which `tame` made of them."""
        return f"\n\n{text.strip()}\n\n"


def _row(cells: list[str], width: int) -> str:
    return f"| {' | '.join([*cells, *([''] * (width - len(cells)))])} |"


def _written_address(url: str) -> str:
    if _NEEDS_BRACKETS.search(url):
        return f"<{_IN_ADDRESS.sub(_backslashed, url)}>"
    return _IN_ADDRESS.sub(_backslashed, url)


def _backslashed(found: re.Match[str]) -> str:
    return f"\\{found[0]}"


def _escaped_start(found: re.Match[str]) -> str:
    return f"{found[1]}{found[2]}\\{found[3]}" if found[2] else f"{found[1]}\\{found[4]}"


def _begins_a_block(text: Any) -> bool:
    """Whether nothing stands before a text in its line."""
    node = text
    while True:
        before = next(_siblings_with_words(node), None)
        if before is not None:
            return isinstance(before, Tag) and (before.name in BLOCKS or before.name == "br")
        node = node.parent
        if node is None or node.name in BLOCKS or node.name == "[document]":
            return True


def _siblings_with_words(node: Any) -> Iterator[Any]:
    for sibling in node.previous_siblings:
        if not (isinstance(sibling, NavigableString) and not sibling.strip()):
            yield sibling
            return
