"""The texts of Ghost's editors as HTML: Lexical, Mobiledoc, and Markdown of early versions. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import orjson

from newsletter.config.translatable import translatable
from newsletter.content.archives.ghost_cards import (
    MAIL_CARDS,
    SIGNUP_CARDS,
    card_html,
    escaped,
    words_in,
)
from newsletter.content.archives.item import ArchiveNote
from newsletter.content.html_text import html_to_line

#: Below this depth, only the words of a text are read.
MAX_DEPTH = 60

_FORMATS = ((1, "strong"), (2, "em"), (4, "s"), (8, "u"), (16, "code"), (32, "sub"), (64, "sup"))
_BLOCKS = {
    "paragraph": "p",
    "quote": "blockquote",
    "extended-quote": "blockquote",
    "aside": "blockquote",
    "listitem": "li",
}
_LINKS = {"link", "autolink", "at-link"}
_MARKUPS = frozenset({"a", "strong", "b", "em", "i", "code", "s", "u", "sub", "sup"})


@dataclass(slots=True)
class GhostText:
    """HTML, in which the paywall is a comment, and notes about cards."""

    html: str = ""
    notes: list[ArchiveNote] = field(default_factory=list)

    def card(self, kind: str, card: Mapping[str, Any]) -> str:
        """The HTML of a card. Cards of mails are left out; of unknown ones, the words are kept."""
        if kind in MAIL_CARDS or kind in SIGNUP_CARDS:
            words = html_to_line(words_in(card))
            sentence = translatable("A card that is only in the mail was left out: “{words}”", words=words)
            if kind in SIGNUP_CARDS:
                sentence = translatable("A form to sign up was left out: “{words}”", words=words)
            self.notes.append(ArchiveNote(sentence))
            return ""
        found = card_html(kind, card)
        if found is not None:
            return found
        self.notes.append(ArchiveNote(translatable("The card “{kind}” is not known. Its words were kept.", kind=kind)))
        return f"<p>{escaped(html_to_line(words_in({k: v for k, v in card.items() if k not in _TECHNICAL})))}</p>"


_TECHNICAL = frozenset({"type", "version", "format", "direction", "indent", "detail", "mode", "style", "visibility"})


def from_lexical(text: str) -> GhostText | None:
    """The HTML of a Lexical document; None if it is not valid."""
    made, document = GhostText(), _json(text)
    root = document.get("root") if isinstance(document, dict) else None
    if not isinstance(root, dict):
        return None
    made.html = "".join(_lexical(child, made, 0) for child in _children(root))
    return made


def from_mobiledoc(text: str) -> GhostText | None:
    """The HTML of a Mobiledoc document (versions 0.3); None if it is not valid."""
    made, document = GhostText(), _json(text)
    if not isinstance(document, dict) or not isinstance(document.get("sections"), list):
        return None
    try:
        made.html = "".join(_mobiledoc_section(section, document, made) for section in document["sections"])
    except (IndexError, KeyError, TypeError, ValueError):
        return None
    return made


def _json(text: str) -> Any:
    try:
        value = orjson.loads(text)
        return orjson.loads(value) if isinstance(value, str) else value
    except orjson.JSONDecodeError:
        return None


# Lexical: a tree of nodes with a type


def _children(node: Mapping[str, Any]) -> list[dict[str, Any]]:
    children = node.get("children")
    return [child for child in children if isinstance(child, dict)] if isinstance(children, list) else []


def _lexical(node: dict[str, Any], made: GhostText, depth: int) -> str:
    kind = str(node.get("type") or "")
    if depth > MAX_DEPTH:
        return escaped(words_in(node.get("children")))
    if kind in {"text", "extended-text", "code-highlight", "tk"}:
        return _formatted(escaped(str(node.get("text") or "")), node.get("format"))
    if kind in {"linebreak", "tab"}:
        return "<br>" if kind == "linebreak" else " "
    inner = "".join(_lexical(child, made, depth + 1) for child in _children(node))
    if kind in _BLOCKS:
        return f"<{_BLOCKS[kind]}>{inner}</{_BLOCKS[kind]}>"
    if kind in _LINKS:
        return f'<a href="{escaped(str(node.get("url") or ""))}">{inner}</a>'
    if kind in {"heading", "extended-heading", "list"}:
        tag = str(node.get("tag") or ("h2" if "heading" in kind else "ul"))
        tag = tag if tag in {"h1", "h2", "h3", "h4", "h5", "h6", "ul", "ol"} else "p"
        start = node.get("start")
        return (
            f'<{tag} start="{start}">{inner}</{tag}>'
            if tag == "ol" and isinstance(start, int)
            else f"<{tag}>{inner}</{tag}>"
        )
    if inner:
        return inner
    return made.card(kind, node) if kind else ""


def _formatted(text: str, format_bits: Any) -> str:
    bits = format_bits if isinstance(format_bits, int) else 0
    for bit, tag in _FORMATS:
        if bits & bit:
            text = f"<{tag}>{text}</{tag}>"
    return text


# Mobiledoc: lists of numbers and texts


def _mobiledoc_section(section: Sequence[Any], document: Mapping[str, Any], made: GhostText) -> str:
    kind = section[0]
    if kind == 1:
        tag = str(section[1]).lower()
        tag = (
            tag
            if tag in {"p", "h1", "h2", "h3", "h4", "h5", "h6", "blockquote"}
            else "blockquote"
            if tag == "aside"
            else "p"
        )
        return f"<{tag}>{_markers(section[2], document, made)}</{tag}>"
    if kind == 2:
        return f'<img src="{escaped(str(section[1]))}">'
    if kind == 3:
        items = "".join(f"<li>{_markers(item, document, made)}</li>" for item in section[2])
        tag = "ol" if str(section[1]).lower() == "ol" else "ul"
        return f"<{tag}>{items}</{tag}>"
    if kind == 10:
        name, payload = document["cards"][section[1]][:2]
        return made.card(str(name), payload if isinstance(payload, dict) else {})
    raise ValueError(kind)


def _markers(markers: Sequence[Any], document: Mapping[str, Any], made: GhostText) -> str:
    written: list[str] = []
    opened: list[str] = []
    for kind, opens, closes, value in markers:
        for at in opens:
            markup = document["markups"][at]
            written.append(_opening(markup))
            opened.append(str(markup[0]).lower())
        written.append(_atom(document["atoms"][value], made) if kind == 1 else escaped(str(value)))
        for _ in range(closes):
            tag = opened.pop()
            written.append(f"</{tag}>" if tag in _MARKUPS else "")
    return "".join(written)


def _opening(markup: Sequence[Any]) -> str:
    tag = str(markup[0]).lower()
    attributes = dict(_pairs(markup[1] if len(markup) > 1 else []))
    if tag not in _MARKUPS:
        return ""
    return f'<a href="{escaped(attributes.get("href", ""))}">' if tag == "a" else f"<{tag}>"


def _pairs(flat: Sequence[Any]) -> Iterator[tuple[str, str]]:
    yield from zip(map(str, flat[::2]), map(str, flat[1::2]), strict=False)


def _atom(atom: Sequence[Any], made: GhostText) -> str:
    name, text = str(atom[0]), str(atom[1] or "")
    return "<br>" if name == "soft-return" else escaped(text)
