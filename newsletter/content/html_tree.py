"""Untrusted HTML as a small, tame tree: nothing active, no deep nesting, and programs' own ways of marking text undone.

Pure. Google Docs and Word write bold text as styles, lists in lists, and list items as paragraphs.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from typing import Any

from lxml import html as lxml_html  # type: ignore[import-untyped]
from lxml.etree import LxmlError  # type: ignore[import-untyped]

#: Below this depth of nesting, only the text is kept.
MAX_DEPTH = 40
#: Characters of a document that are parsed.
MAX_CHARACTERS = 500_000

BLOCKS = frozenset(
    "address article aside blockquote body center dd details div dl dt figcaption figure footer h1 h2 h3 h4 h5 h6 "  # noqa: SIM905
    "header hr html li main nav ol p pre section summary table tbody td tfoot th thead tr ul".split()
)
HEADINGS = frozenset({"h1", "h2", "h3", "h4", "h5", "h6"})
_WITHOUT_WORDS = frozenset("script style noscript template head title meta link base".split())  # noqa: SIM905
_DROPPED = {
    **dict.fromkeys(("form", "input", "select", "textarea", "button"), "form"),
    **dict.fromkeys(("iframe", "object", "embed", "video", "audio", "canvas", "svg", "math", "applet"), "media"),
}
_CELLS = frozenset({"td", "th"})
_NOT_IN_A_CELL = frozenset({"table", "ul", "ol", "pre", "blockquote", "hr", *HEADINGS})
_LISTS = frozenset({"ul", "ol"})
# Controls, direction marks and invisible spaces. The joiners U+200C and U+200D stay: scripts and emoji need them.
NOT_SHOWN = re.compile(
    "[\x00-\x08\x0e-\x1b\x7f-\x84\x86-\x9f\xad\u061c\u180e\u200b\u200e\u200f\u202a-\u202e\u2060-\u206f"
    "\ud800-\udfff\ufeff\ufff9-\ufffb\ufffe\uffff]"
)
_SPACES = re.compile("[\x0b\x0c\x1c-\x1f\x85\u2028\u2029]")
_WEIGHT = re.compile(r"(?<![\w-])font-weight:\s*(\w+)")
_SLANT = re.compile(r"(?<![\w-])font-style:\s*(\w+)")
_WORD_ITEM = re.compile(r"mso-list:\s*l\d+\s+level(\d+)")
_WORD_MARK = re.compile(r"mso-list:\s*ignore")
_NUMBER = re.compile(r"\s*(\d+)[.)]")


def parsed_html(html: str) -> Any:
    """The tree of `html`, below a `div`; None if it is empty."""
    text = NOT_SHOWN.sub("", _SPACES.sub(" ", html[:MAX_CHARACTERS]))
    if not text.strip():
        return None
    parser = lxml_html.HTMLParser(encoding="utf-8", remove_comments=True, remove_pis=True)
    try:
        return lxml_html.fromstring(f"<div>{text}</div>".encode(), parser=parser)
    except (LxmlError, ValueError):
        return None


def tame(tree: Any) -> Counter[str]:
    """Change `tree` in place into the elements that Markdown knows; what was dropped, and how often."""
    dropped: Counter[str] = Counter()
    _drop(tree, dropped)
    _flatten(tree)
    _undo_styles(tree)
    _undo_word_lists(tree)
    for node in list(tree.iter()):
        name = name_of(node)
        if name in _LISTS:
            _move_into_items(node)
        elif name == "table" and not is_data_table(node):
            _rename(node, ("table", "tbody", "thead", "tfoot", "tr", *_CELLS), "div")
        elif name == "li":
            _unwrap_paragraph(node)
        elif name in {"dt", "summary"}:
            _make_bold(node)
        elif name in {"dd", "figcaption", "details", "center", "address"}:
            node.tag = "div"
    for node in list(tree.iter("a", "b", "strong", "i", "em", "s", "span", "font", "u", "small", "td", "th")):
        _keep_inline(node)
    return dropped


def name_of(node: Any) -> str:
    """The tag of an element, in lower case."""
    return str(node.tag).lower()


def is_data_table(table: Any) -> bool:
    """Whether a table has columns, and cells that fit on one line. Others only place things on a page."""
    rows = [[cell for cell in row if name_of(cell) in _CELLS] for row in table.iter("tr")]
    cells = [cell for row in rows for cell in row]
    is_simple = all(name_of(node) not in _NOT_IN_A_CELL for cell in cells for node in cell.iter())
    return is_simple and len(rows) > 1 and max(map(len, rows)) > 1


def _drop(tree: Any, dropped: Counter[str]) -> None:
    gone: set[Any] = set()
    for node in list(tree.iter()):
        name = name_of(node)
        is_unknown = node is not tree and (name in _WITHOUT_WORDS or name in _DROPPED)
        if is_unknown and gone.isdisjoint(node.iterancestors()):
            dropped[_DROPPED.get(name, "")] += 1
            node.drop_tree()
            gone.add(node)
    del dropped[""]


def _flatten(tree: Any) -> None:
    """Keep only the text of elements that are nested too deeply."""
    level = [tree]
    for _ in range(MAX_DEPTH):
        level = [child for node in level for child in node]
    for node in level:
        text = node.text_content()
        tail = node.tail
        node.clear()
        node.text, node.tail, node.tag = text, tail, "span"


def _undo_styles(tree: Any) -> None:
    for node in list(tree.iter()):
        style = (node.get("style") or "").lower()
        name = name_of(node)
        if not style or name in BLOCKS or name == "a":
            continue
        weight, slant = _WEIGHT.search(style), _SLANT.search(style)
        is_bold = _is_heavy(weight[1]) if weight else name in {"b", "strong"}
        is_italic = slant[1] == "italic" if slant else name in {"i", "em"}
        if name in {"b", "strong", "i", "em", "span", "font"}:
            node.tag = "strong" if is_bold else "em" if is_italic else "span"
            if is_bold and is_italic:
                _wrap_content(node, "em")


def _is_heavy(weight: str) -> bool:
    return weight in {"bold", "bolder"} or (weight.isdigit() and int(weight) >= 600)


def _undo_word_lists(tree: Any) -> None:
    """Word's list items, paragraphs with the bullet or number in a span, as lists."""
    open_lists: list[Any] = []
    for node in list(tree.iter("p")):
        found = _WORD_ITEM.search((node.get("style") or "").lower())
        if found is None:
            continue
        previous = node.getprevious()
        if not open_lists or previous is not open_lists[0] or (node.getprevious().tail or "").strip():
            open_lists = []
        level, mark = min(int(found[1]), MAX_DEPTH // 4), _word_mark(node)
        number = _NUMBER.match(mark)
        del open_lists[level:]
        if len(open_lists) == level and name_of(open_lists[-1]) != ("ol" if number else "ul"):
            open_lists.pop()
        while len(open_lists) < level:
            made = lxml_html.Element("ol" if number else "ul")
            if number:
                made.set("start", number[1])
            if open_lists:
                _last_item(open_lists[-1]).append(made)
            else:
                node.addprevious(made)
            open_lists.append(made)
        tail, node.tail = node.tail, None
        open_lists[-1].append(node)
        open_lists[0].tail = tail
        node.tag = "li"


def _word_mark(node: Any) -> str:
    for span in node.iter("span"):
        if _WORD_MARK.search((span.get("style") or "").lower()):
            text = str(span.text_content())
            span.drop_tree()
            return text
    return ""


def _last_item(listing: Any) -> Any:
    if not len(listing):
        listing.append(lxml_html.Element("li"))
    return listing[-1]


def _move_into_items(listing: Any) -> None:
    """Move lists that are directly in a list, as Google Docs writes them, into the item before."""
    for child in list(listing):
        if name_of(child) in _LISTS:
            before = child.getprevious()
            item = before if before is not None and name_of(before) == "li" else None
            if item is None:
                item = lxml_html.Element("li")
                child.addprevious(item)
            tail, child.tail = child.tail, None
            item.append(child)
            item.tail = (item.tail or "") + (tail or "")


def _unwrap_paragraph(item: Any) -> None:
    """An item of one paragraph, with or without a list below it, is written without blank lines."""
    others = [child for child in item if name_of(child) not in _LISTS]
    if len(others) == 1 and name_of(others[0]) == "p" and not (item.text or "").strip():
        others[0].drop_tag()


def _keep_inline(node: Any) -> None:
    """Blocks within a link or a cell become text with spaces; marks around blocks are dropped, as Markdown has none."""
    inner = [child for child in node.iterdescendants() if name_of(child) in BLOCKS]
    if not inner:
        return
    if name_of(node) not in {"a", *_CELLS}:
        node.drop_tag()
        return
    for child in inner:
        child.text = f" {child.text or ''}"
        child.tail = f" {child.tail or ''}"
        child.tag = "span"
        for attribute in list(child.attrib):
            del child.attrib[attribute]


def _make_bold(node: Any) -> None:
    node.tag = "p"
    _wrap_content(node, "strong")


def _wrap_content(node: Any, name: str) -> None:
    wrapper = lxml_html.Element(name)
    wrapper.text, node.text = node.text, None
    for child in list(node):
        wrapper.append(child)
    node.append(wrapper)


def _rename(tree: Any, names: tuple[str, ...], new: str) -> None:
    for node in _own(tree, names):
        node.tag = new


def _own(table: Any, names: tuple[str, ...]) -> Iterator[Any]:
    """The table and its parts, without tables within it."""
    yield table
    waiting = list(table)
    while waiting:
        node = waiting.pop()
        if name_of(node) in names and name_of(node) != "table":
            yield node
            waiting += list(node)
        elif name_of(node) == "caption":
            node.tag = "p"
