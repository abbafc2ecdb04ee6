"""The HTML part as mail programs read it: its elements, and how each of them looks in the end. Pure; imports lxml.

Styles are those that the mail carries inline, as an MJML mail does; for dark screens the rules of its
`@media (prefers-color-scheme: dark)` are laid over them, in the order that CSS gives them. What is inherited is handed
down in one walk through the tree, so that a check of all elements costs no more than looking at each.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, NamedTuple, TypeAlias

from cssselect import HTMLTranslator, SelectorError
from cssselect import parse as parse_selectors
from lxml import etree  # type: ignore[import-untyped]
from lxml import html as lxml_html

from newsletter.preflight.colours import parse_colour

Element: TypeAlias = Any
"""An element of lxml, which comes without types."""

Styles = Mapping[Element, Mapping[str, str]]

_DARK = re.compile(r"@media[^{}]*prefers-color-scheme:\s*dark[^{}]*\{((?:[^{}]*\{[^{}]*\})*)[^{}]*\}", re.IGNORECASE)
_RULE = re.compile(r"([^{}]+)\{([^{}]*)\}")
_COMMENT = re.compile(r"/\*.*?\*/", re.DOTALL)
_HIDING = (("display", "none"), ("visibility", "hidden"), ("mso-hide", "all"), ("opacity", "0"))
_NO_LENGTH = re.compile(r"0+(\.0*)?(px|em|rem|pt|%)?")
_IN_PIXELS = re.compile(r"(\d+(?:\.\d+)?)(?:px)?")
_NEVER_SEEN = frozenset({"head", "style", "script", "title", "template"})
_BOLD_TAGS = frozenset({"b", "strong", "h1", "h2", "h3", "h4", "th"})


class Colours(NamedTuple):
    """The colour of words, and the one behind them."""

    ink: str
    ground: str


class Look(NamedTuple):
    """How an element looks, with what it inherits."""

    light: Colours
    dark: Colours
    pixels: float
    """The size of its words, as far as it is given in pixels."""
    is_bold: bool
    is_hidden: bool
    """Kept from view, by itself or with what it stands in: as preheaders are."""


UNSTYLED = Look(Colours("#000000", "#ffffff"), Colours("#000000", "#ffffff"), 16.0, is_bold=False, is_hidden=False)


@dataclass(frozen=True, slots=True)
class MailPage:
    """A parsed HTML part. Nothing in it may be changed: it is shared by all checks of a run."""

    root: Element
    looks: Mapping[Element, Look]
    """How each element looks, in reading order."""

    def elements(self, *tags: str) -> Iterator[Element]:
        """All elements of these tags that a reader may meet, in reading order; without tags, all."""
        return (
            element for element, look in self.looks.items() if not look.is_hidden and (not tags or element.tag in tags)
        )


@lru_cache(maxsize=4)
def mail_page(html: str) -> MailPage:
    """Parse an HTML part; the same one again for the same text, since several families look at it."""
    root = lxml_html.document_fromstring(html if html.strip() else "<html></html>")
    styled = (element for element in root.iter(etree.Element) if element.get("style"))
    inline = {element: declarations(element.get("style")) for element in styled}
    looks: dict[Element, Look] = {}
    _hand_down(root, UNSTYLED, inline, _darkened(root, inline), looks)
    return MailPage(root, looks)


def words_of(element: Element) -> str:
    """What a screen reader says: its text, and the alternatives of its pictures, in one line."""
    parts = [element.text or ""]
    for child in element:
        if child.tag == "img":
            parts.append(child.get("alt") or "")
        elif isinstance(child.tag, str):
            parts.append(words_of(child))
        parts.append(child.tail or "")
    return " ".join(" ".join(parts).split())


def stylesheets(root: Element) -> str:
    """Everything in the style elements of the page, without its comments."""
    return _COMMENT.sub("", "\n".join(style.text or "" for style in root.iter("style")))


def declarations(style: str) -> dict[str, str]:
    """The declarations of a style attribute, in lower case and without their importance."""
    pairs = (declaration.partition(":") for declaration in style.split(";") if ":" in declaration)
    return {name.strip().lower(): value.replace("!important", "").strip().lower() for name, _, value in pairs}


def _hand_down(element: Element, above: Look, inline: Styles, dark: Styles, looks: dict[Element, Look]) -> None:
    style, dark_style = inline.get(element, {}), dark.get(element, {})
    look = Look(
        light=_colours(element, style, above.light),
        dark=_colours(element, dark_style, above.dark),
        pixels=_pixels(style, above.pixels),
        is_bold=_is_bold(element, style, above.is_bold),
        is_hidden=above.is_hidden or element.tag in _NEVER_SEEN or _hides(style),
    )
    looks[element] = look
    for child in element:
        if isinstance(child.tag, str):  # comments have none
            _hand_down(child, look, inline, dark, looks)


def _colours(element: Element, style: Mapping[str, str], above: Colours) -> Colours:
    if not style and not element.get("bgcolor"):
        return above
    ink = parse_colour(style.get("color", "")) or above.ink
    return Colours(ink, _ground(element, style) or above.ground)


def _pixels(style: Mapping[str, str], above: float) -> float:
    found = _IN_PIXELS.fullmatch(style.get("font-size", ""))
    return float(found[1]) if found else above


def _is_bold(element: Element, style: Mapping[str, str], above: bool) -> bool:
    weight = style.get("font-weight", "")
    if weight:
        return weight in {"bold", "bolder"} or (weight.isdigit() and int(weight) >= 700)
    return above or element.tag in _BOLD_TAGS


def _hides(style: Mapping[str, str]) -> bool:
    if any(style.get(name) == value for name, value in _HIDING):
        return True
    heights = (style.get("max-height", ""), style.get("height", ""))
    return style.get("overflow") == "hidden" and any(_NO_LENGTH.fullmatch(height) for height in heights)


def _ground(element: Element, style: Mapping[str, str]) -> str | None:
    for name in ("background-color", "background"):
        for word in re.split(r"\s+(?![^(]*\))", style.get(name, "")):
            if colour := parse_colour(word):
                return colour
    return parse_colour(element.get("bgcolor", ""))


def _darkened(root: Element, inline: Mapping[Element, Mapping[str, str]]) -> dict[Element, dict[str, str]]:
    """The inline styles with the dark rules over them, weak ones first, so that the strong have the last word."""
    dark = {element: dict(style) for element, style in inline.items()}
    for _, xpath, declared, is_important in sorted(_dark_rules(root), key=lambda rule: rule[:1]):
        for element in xpath(root):
            style = dark.setdefault(element, {})
            for name, value in declared.items():
                if name in is_important or name not in inline.get(element, {}):
                    style[name] = value
                    if name.startswith("background"):
                        style.pop("background" if name == "background-color" else "background-color", None)
    return dark


def _dark_rules(root: Element) -> Iterator[tuple[tuple[int, int, int], etree.XPath, dict[str, str], frozenset[str]]]:
    for block in _DARK.finditer(stylesheets(root)):
        for selectors, body in _RULE.findall(block[1]):
            declared = declarations(body)
            important = frozenset(
                part.partition(":")[0].strip().lower() for part in body.split(";") if "!important" in part
            )
            for specificity, xpath in _compiled(selectors.strip()):
                yield specificity, xpath, declared, important


@lru_cache(maxsize=256)
def _compiled(selectors: str) -> tuple[tuple[tuple[int, int, int], etree.XPath], ...]:
    """Each of the selectors as a search; those that only some mail program understands are left out."""
    try:
        parsed = parse_selectors(selectors)
        translator = HTMLTranslator()
        return tuple((one.specificity(), etree.XPath(translator.selector_to_xpath(one))) for one in parsed)
    except (SelectorError, etree.XPathError):
        return ()
