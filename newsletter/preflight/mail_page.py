"""The HTML part as mail clients read it: its elements and their computed styles. Pure.

Most styles of an MJML mail are inline. The rules of its head are applied to them in the order of the CSS cascade, and
for dark mode those of `@media (prefers-color-scheme: dark)` after them. One walk through the tree computes all
inherited styles.
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

Element: TypeAlias = Any
"""An element of lxml, which comes without types."""

Styles = Mapping[Element, Mapping[str, str]]

_AT_RULE = re.compile(r"@([^{};]*)\{((?:[^{}]*\{[^{}]*\})*)[^{}]*\}")
_DARK = re.compile(r"prefers-color-scheme:\s*dark", re.IGNORECASE)
_RULE = re.compile(r"([^{}]+)\{([^{}]*)\}")
_COMMENT = re.compile(r"/\*.*?\*/", re.DOTALL)
_HIDING = (("display", "none"), ("visibility", "hidden"), ("mso-hide", "all"), ("opacity", "0"))
_VISIBILITY_PROPERTIES = frozenset(dict(_HIDING))
_TEXT_PROPERTIES = frozenset({"color", "background", "background-color", "font-size", "font-weight"})
_NO_LENGTH = re.compile(r"0+(\.0*)?(px|em|rem|pt|%)?")
_SIZE = re.compile(r"(\d*\.?\d+)(px|em|rem|pt|%)?")
_PIXELS_IN = {"px": 1.0, "rem": 16.0, "pt": 4 / 3}
_NEVER_VISIBLE = frozenset({"head", "style", "script", "title", "template"})
_HEX_COLOUR = re.compile(r"#(?:[0-9a-f]{3}|[0-9a-f]{6})")
_RGB_COLOUR = re.compile(r"rgba?\(\s*(\d{1,3})[\s,]+(\d{1,3})[\s,]+(\d{1,3})\s*(?:[,/]\s*(?P<alpha>[\d.]+%?)\s*)?\)")
_COLOUR_NAMES = {
    "black": "#000000",
    "white": "#ffffff",
    "red": "#ff0000",
    "green": "#008000",
    "blue": "#0000ff",
    "gray": "#808080",
    "grey": "#808080",
    "silver": "#c0c0c0",
    "navy": "#000080",
}
_BOLD_TAGS = frozenset({"b", "strong", "h1", "h2", "h3", "h4", "th"})


class Colours(NamedTuple):
    """The colours of text and of its background, as `#rrggbb`."""

    text: str
    background: str


class ComputedStyle(NamedTuple):
    """The style of an element, inherited values included."""

    light: Colours
    dark: Colours
    font_size: float
    """In pixels."""
    is_bold: bool
    is_hidden: bool
    """By its own style or that of an ancestor, as preheaders are."""
    is_hidden_on_some_screens: bool
    """For example on phones, or in dark mode."""


INITIAL_STYLE = ComputedStyle(
    Colours("#000000", "#ffffff"),
    Colours("#000000", "#ffffff"),
    16.0,
    is_bold=False,
    is_hidden=False,
    is_hidden_on_some_screens=False,
)


@dataclass(frozen=True, slots=True)
class MailPage:
    """A parsed HTML part. Do not change it: all checks of a run share it."""

    root: Element
    styles: Mapping[Element, ComputedStyle]
    """The style of each element, in reading order."""

    def elements(self, *tags: str) -> Iterator[Element]:
        """All visible elements with one of these tags (without tags: all), in reading order."""
        return (
            element
            for element, style in self.styles.items()
            if not style.is_hidden and (not tags or element.tag in tags)
        )


@lru_cache(maxsize=4)
def mail_page(html: str) -> MailPage:
    """Parse an HTML part. The result is cached, since several families use it."""
    root = lxml_html.document_fromstring(html if html.strip() else "<html></html>")
    styled = (element for element in root.iter(etree.Element) if element.get("style"))
    inline = {element: declarations(element.get("style")) for element in styled}
    sheet = _read_style_sheet(root)
    light = _cascade(root, inline, sheet.everywhere)
    dark = _cascade(root, inline, [*sheet.everywhere, *sheet.dark])
    hidden = {
        element
        for _, xpath, declared, _ in (*sheet.dark, *sheet.other_media)
        if _hides(declared)
        for element in xpath(root)
    }
    styles: dict[Element, ComputedStyle] = {}
    _compute(root, INITIAL_STYLE, _Declared(light, dark, hidden), styles)
    return MailPage(root, styles)


def text_of(element: Element) -> str:
    """The text of an element and the alternative texts of its images, in one line, as a screen reader reads them."""
    parts = [element.text or ""]
    for child in element:
        if child.tag == "img":
            parts.append(child.get("alt") or "")
        elif isinstance(child.tag, str):
            parts.append(text_of(child))
        parts.append(child.tail or "")
    return " ".join(" ".join(parts).split())


def stylesheets(root: Element) -> str:
    """The CSS of all style elements of the page, without comments."""
    return _COMMENT.sub("", "\n".join(style.text or "" for style in root.iter("style")))


def declarations(style: str) -> dict[str, str]:
    """The declarations of a style attribute, in lower case and without `!important`."""
    pairs = (declaration.partition(":") for declaration in style.split(";") if ":" in declaration)
    return {name.strip().lower(): value.replace("!important", "").strip().lower() for name, _, value in pairs}


def parse_colour(value: str) -> str | None:
    """An opaque CSS colour as `#rrggbb`; None for anything else."""
    text = value.strip().lower()
    text = _COLOUR_NAMES.get(text, text)
    if _HEX_COLOUR.fullmatch(text):
        return text if len(text) == 7 else "#" + "".join(digit * 2 for digit in text[1:])
    if (found := _RGB_COLOUR.fullmatch(text)) and found["alpha"] in (None, "1", "1.0", "100%"):
        return "#" + "".join(f"{min(int(part), 255):02x}" for part in found.group(1, 2, 3))
    return None


class _Rule(NamedTuple):
    """One selector of a CSS rule in the head, and its declarations."""

    specificity: tuple[int, int, int]
    xpath: etree.XPath
    declared: dict[str, str]
    important: frozenset[str]


class _StyleSheet(NamedTuple):
    """The CSS rules of the head, by the media that they apply to."""

    everywhere: list[_Rule]
    dark: list[_Rule]
    other_media: list[_Rule]


class _Declared(NamedTuple):
    """The declarations that apply to each element after the cascade."""

    light: Styles
    dark: Styles
    hidden_on_some_screens: Set[Element]


def _compute(
    element: Element, parent: ComputedStyle, declared: _Declared, styles: dict[Element, ComputedStyle]
) -> None:
    """Put the computed styles of an element and its descendants into `styles`."""
    light, dark = declared.light.get(element, {}), declared.dark.get(element, {})
    style = ComputedStyle(
        light=_colours(element, light, parent.light),
        dark=_colours(element, dark, parent.dark),
        font_size=_font_size(light, parent.font_size),
        is_bold=_is_bold(element, light, parent.is_bold),
        is_hidden=parent.is_hidden or element.tag in _NEVER_VISIBLE or _hides(light),
        is_hidden_on_some_screens=parent.is_hidden_on_some_screens or element in declared.hidden_on_some_screens,
    )
    styles[element] = style
    for child in element:
        if isinstance(child.tag, str):  # the tag of a comment is a function
            _compute(child, style, declared, styles)


def _colours(element: Element, style: Mapping[str, str], parent: Colours) -> Colours:
    if not style and not element.get("bgcolor"):
        return parent
    text = parse_colour(style.get("color", "")) or parent.text
    return Colours(text, _background(element, style) or parent.background)


def _font_size(style: Mapping[str, str], parent: float) -> float:
    found = _SIZE.fullmatch(style.get("font-size", ""))
    if found is None:
        return parent
    number, unit = float(found[1]), found[2] or "px"
    return number * _PIXELS_IN[unit] if unit in _PIXELS_IN else parent * number / (100 if unit == "%" else 1)


def _is_bold(element: Element, style: Mapping[str, str], parent: bool) -> bool:
    weight = style.get("font-weight", "")
    if weight:
        return weight in {"bold", "bolder"} or (weight.isdigit() and int(weight) >= 700)
    return parent or element.tag in _BOLD_TAGS


def _hides(style: Mapping[str, str]) -> bool:
    if any(style.get(name) == value for name, value in _HIDING):
        return True
    heights = (style.get("max-height", ""), style.get("height", ""))
    return style.get("overflow") == "hidden" and any(_NO_LENGTH.fullmatch(height) for height in heights)


def _background(element: Element, style: Mapping[str, str]) -> str | None:
    for name in ("background-color", "background"):
        for word in re.split(r"\s+(?![^(]*\))", style.get(name, "")):
            if colour := parse_colour(word):
                return colour
    return parse_colour(element.get("bgcolor", ""))


def _cascade(root: Element, inline: Styles, rules: list[_Rule]) -> dict[Element, dict[str, str]]:
    """The inline styles with the rules applied: by specificity, `!important` last."""
    styles = {element: dict(style) for element, style in inline.items()}
    found = [(rule, rule.xpath(root)) for rule in sorted(rules, key=lambda rule: rule.specificity)]
    for is_important in (False, True):
        for rule, elements in found:
            names = [name for name in rule.declared if (name in rule.important) is is_important]
            for element in elements if names else ():
                style, inline_style = styles.setdefault(element, {}), inline.get(element, {})
                for name in names:
                    if is_important or name not in inline_style:
                        _declare(style, name, rule.declared[name])
    return styles


def _declare(style: dict[str, str], name: str, value: str) -> None:
    style[name] = value
    if name.startswith("background"):
        style.pop("background" if name == "background-color" else "background-color", None)


def _read_style_sheet(root: Element) -> _StyleSheet:
    css = stylesheets(root)
    sheet = _StyleSheet(list(_rules(_AT_RULE.sub("", css))), [], [])
    for block in _AT_RULE.finditer(css):
        (sheet.dark if _DARK.search(block[1]) else sheet.other_media).extend(_rules(block[2]))
    return sheet


def _rules(css: str) -> Iterator[_Rule]:
    """The rules that change the appearance or the visibility of text."""
    for selectors, body in _RULE.findall(css):
        declared = declarations(body)
        important = frozenset(
            part.partition(":")[0].strip().lower() for part in body.split(";") if "!important" in part
        )
        if not (declared.keys() & _TEXT_PROPERTIES or important & _VISIBILITY_PROPERTIES or _hides(declared)):
            continue
        for specificity, xpath in _compiled(selectors.strip()):
            yield _Rule(specificity, xpath, declared, important)


@lru_cache(maxsize=256)
def _compiled(selectors: str) -> tuple[tuple[tuple[int, int, int], etree.XPath], ...]:
    """Each selector as an XPath; selectors that only some mail clients know are left out."""
    try:
        parsed = parse_selectors(selectors)
        translator = HTMLTranslator()
        return tuple((one.specificity(), etree.XPath(translator.selector_to_xpath(one))) for one in parsed)
    except (SelectorError, etree.XPathError):
        return ()
