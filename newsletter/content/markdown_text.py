"""The text part of Markdown: one function for blocks, one for inline elements. Pure."""

from __future__ import annotations

from collections.abc import Sequence

from markdown_it.token import Token
from markdown_it.tree import SyntaxTreeNode

_RAISED = str.maketrans("0123456789+-=()ni", "⁰¹²³⁴⁵⁶⁷⁸⁹⁺⁻⁼⁽⁾ⁿⁱ")
_LOWERED = str.maketrans("0123456789+-=()", "₀₁₂₃₄₅₆₇₈₉₊₋₌₍₎")


def tokens_to_text(tokens: Sequence[Token]) -> str:
    """The text of parsed Markdown: links as `words (address)`, lists, quotes and tables with their marks."""
    return _blocks(SyntaxTreeNode(tokens)).strip("\n")


def inline_to_text(tokens: Sequence[Token]) -> str:
    """The words of running text without addresses."""
    return "".join(_inline(child, with_addresses=False) for child in SyntaxTreeNode(tokens).children)


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
        case "table" | "thead" | "tbody":
            return _blocks(node, between="\n")
        case "tr":
            return _blocks(node, between=" | ").rstrip()
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


def _inline(node: SyntaxTreeNode, *, with_addresses: bool = True) -> str:
    if node.type in {"text", "code_inline", "footnote_mark"}:
        return node.content
    if node.type == "hardbreak":
        return "\n"
    words = "".join(_inline(child, with_addresses=with_addresses) for child in node.children)
    match node.type:
        case "link" if with_addresses:
            return _link(words, str(node.attrs.get("href", "")))
        case "s":
            return f"~~{words}~~"
        case "sup":
            return _moved(words, _RAISED, "^")
        case "sub":
            return _moved(words, _LOWERED, "_")
        case _:
            return words


def _moved(words: str, letters: dict[int, int], mark: str) -> str:
    """Raised or lowered words: "10⁶", "1st", or "x^(2/3)" where there are no such letters."""
    if all(ord(letter) in letters for letter in words):
        return words.translate(letters)
    return words if words.isalpha() else f"{mark}({words})"


def _link(words: str, address: str) -> str:
    bare = address.removeprefix("mailto:")
    if not words.strip():
        return bare
    return words if words.strip() in {address, bare} else f"{words} ({bare})"
