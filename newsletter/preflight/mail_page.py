"""The HTML part as mail programs read it: its elements, and how each of them looks in the end. Pure.

Most styles are those that the mail carries inline, as an MJML mail does. The rules of its head are laid over them in
the order that CSS gives them, and for dark screens those of `@media (prefers-color-scheme: dark)` over both. What is
inherited is handed down in one walk through the tree, so that checking all elements costs no more than a look at each.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Set
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

_AT_RULE = re.compile(r"@([^{};]*)\{((?:[^{}]*\{[^{}]*\})*)[^{}]*\}")
_DARK = re.compile(r"prefers-color-scheme:\s*dark", re.IGNORECASE)
_RULE = re.compile(r"([^{}]+)\{([^{}]*)\}")
_COMMENT = re.compile(r"/\*.*?\*/", re.DOTALL)
_HIDING = (("display", "none"), ("visibility", "hidden"), ("mso-hide", "all"), ("opacity", "0"))
_OF_VIEW = frozenset(dict(_HIDING))
_OF_WORDS = frozenset({"color", "background", "background-color", "font-size", "font-weight"})
_NO_LENGTH = re.compile(r"0+(\.0*)?(px|em|rem|pt|%)?")
_SIZE = re.compile(r"(\d*\.?\d+)(px|em|rem|pt|%)?")
_PIXELS_IN = {"px": 1.0, "rem": 16.0, "pt": 4 / 3}
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
    is_hidden_somewhere: bool
    """Kept from view on some screens at least: phones, or dark ones."""


UNSTYLED = Look(
    Colours("#000000", "#ffffff"),
    Colours("#000000", "#ffffff"),
    16.0,
    is_bold=False,
    is_hidden=False,
    is_hidden_somewhere=False,
)


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
    sheet = _read_sheet(root)
    light = _laid_over(root, inline, sheet.everywhere)
    dark = _laid_over(root, inline, [*sheet.everywhere, *sheet.dark])
    hidden = {
        element
        for _, xpath, declared, _ in (*sheet.dark, *sheet.elsewhere)
        if _hides(declared)
        for element in xpath(root)
    }
    looks: dict[Element, Look] = {}
    _hand_down(root, UNSTYLED, _Styles(light, dark, hidden), looks)
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


class _Rule(NamedTuple):
    """One selector of a rule of the head, and what it declares."""

    specificity: tuple[int, int, int]
    xpath: etree.XPath
    declared: dict[str, str]
    is_important: frozenset[str]


class _Sheet(NamedTuple):
    """The rules of the head, by the screens that they are for."""

    everywhere: list[_Rule]
    dark: list[_Rule]
    elsewhere: list[_Rule]


class _Styles(NamedTuple):
    """What is declared for each element, all rules considered."""

    light: Styles
    dark: Styles
    hidden_somewhere: Set[Element]


def _hand_down(element: Element, above: Look, styles: _Styles, looks: dict[Element, Look]) -> None:
    style, dark_style = styles.light.get(element, {}), styles.dark.get(element, {})
    look = Look(
        light=_colours(element, style, above.light),
        dark=_colours(element, dark_style, above.dark),
        pixels=_pixels(style, above.pixels),
        is_bold=_is_bold(element, style, above.is_bold),
        is_hidden=above.is_hidden or element.tag in _NEVER_SEEN or _hides(style),
        is_hidden_somewhere=above.is_hidden_somewhere or element in styles.hidden_somewhere,
    )
    looks[element] = look
    for child in element:
        if isinstance(child.tag, str):  # comments have none
            _hand_down(child, look, styles, looks)


def _colours(element: Element, style: Mapping[str, str], above: Colours) -> Colours:
    if not style and not element.get("bgcolor"):
        return above
    ink = parse_colour(style.get("color", "")) or above.ink
    return Colours(ink, _ground(element, style) or above.ground)


def _pixels(style: Mapping[str, str], above: float) -> float:
    found = _SIZE.fullmatch(style.get("font-size", ""))
    if found is None:
        return above
    number, unit = float(found[1]), found[2] or "px"
    return number * _PIXELS_IN[unit] if unit in _PIXELS_IN else above * number / (100 if unit == "%" else 1)


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


def _laid_over(root: Element, inline: Styles, rules: list[_Rule]) -> dict[Element, dict[str, str]]:
    """The styles with the rules over them, weak ones first and important ones last."""
    styles = {element: dict(style) for element, style in inline.items()}
    found = [(rule, rule.xpath(root)) for rule in sorted(rules, key=lambda rule: rule.specificity)]
    for is_important in (False, True):
        for rule, elements in found:
            names = [name for name in rule.declared if (name in rule.is_important) is is_important]
            for element in elements if names else ():
                style, given = styles.setdefault(element, {}), inline.get(element, {})
                for name in names:
                    if is_important or name not in given:
                        _declare(style, name, rule.declared[name])
    return styles


def _declare(style: dict[str, str], name: str, value: str) -> None:
    style[name] = value
    if name.startswith("background"):
        style.pop("background" if name == "background-color" else "background-color", None)


def _read_sheet(root: Element) -> _Sheet:
    css = stylesheets(root)
    sheet = _Sheet(list(_rules(_AT_RULE.sub("", css))), [], [])
    for block in _AT_RULE.finditer(css):
        (sheet.dark if _DARK.search(block[1]) else sheet.elsewhere).extend(_rules(block[2]))
    return sheet


def _rules(css: str) -> Iterator[_Rule]:
    """Those rules that change how words look, or whether they show."""
    for selectors, body in _RULE.findall(css):
        declared = declarations(body)
        important = frozenset(
            part.partition(":")[0].strip().lower() for part in body.split(";") if "!important" in part
        )
        if not (declared.keys() & _OF_WORDS or important & _OF_VIEW or _hides(declared)):
            continue
        for specificity, xpath in _compiled(selectors.strip()):
            yield _Rule(specificity, xpath, declared, important)


@lru_cache(maxsize=256)
def _compiled(selectors: str) -> tuple[tuple[tuple[int, int, int], etree.XPath], ...]:
    """Each of the selectors as a search; those that only some mail program understands are left out."""
    try:
        parsed = parse_selectors(selectors)
        translator = HTMLTranslator()
        return tuple((one.specificity(), etree.XPath(translator.selector_to_xpath(one))) for one in parsed)
    except (SelectorError, etree.XPathError):
        return ()
