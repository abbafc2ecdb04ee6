"""The HTML part as mail programs read it: its elements, and the colours that they end up with. Pure; imports lxml.

Styles are those that the mail carries inline, as an MJML mail does; for dark screens the rules of its
`@media (prefers-color-scheme: dark)` are laid over them, in the order that CSS gives them.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any, TypeAlias

from cssselect import HTMLTranslator, SelectorError
from cssselect import parse as parse_selectors
from lxml import etree  # type: ignore[import-untyped]
from lxml import html as lxml_html

from newsletter.preflight.colours import parse_colour

Element: TypeAlias = Any
"""An element of lxml, which comes without types."""

WHITE, BLACK = "#ffffff", "#000000"
_DARK = re.compile(r"@media[^{}]*prefers-color-scheme:\s*dark[^{}]*\{((?:[^{}]*\{[^{}]*\})*)[^{}]*\}", re.IGNORECASE)
_RULE = re.compile(r"([^{}]+)\{([^{}]*)\}")
_COMMENT = re.compile(r"/\*.*?\*/", re.DOTALL)
_HIDING = (("display", "none"), ("visibility", "hidden"), ("mso-hide", "all"), ("opacity", "0"))
_NO_LENGTH = re.compile(r"0+(\.0*)?(px|em|rem|pt|%)?")


@dataclass(frozen=True, slots=True)
class MailPage:
    """A parsed HTML part. Nothing in it may be changed: it is shared by all checks of a run."""

    root: Element
    inline: dict[Element, dict[str, str]] = field(repr=False)
    """The inline styles of each element that has some."""
    dark: dict[Element, dict[str, str]] = field(repr=False)
    """The same with the dark rules over them."""

    def elements(self, *tags: str) -> Iterator[Element]:
        """All elements of these tags that a reader may meet, in reading order."""
        return (element for element in self.root.iter(*tags) if not self.is_hidden(element))

    def is_hidden(self, element: Element) -> bool:
        """Whether it, or what it stands in, is kept from view: as preheaders are."""
        chain = (element, *element.iterancestors())
        return any(_hides(self.inline.get(one, {})) for one in chain)

    def ground_of(self, element: Element, *, is_dark: bool = False) -> str:
        """The colour behind it: that of the nearest element that has one, and white behind all."""
        styles = self.dark if is_dark else self.inline
        for one in (element, *element.iterancestors()):
            if ground := _ground(one, styles.get(one, {})):
                return ground
        return WHITE

    def ink_of(self, element: Element, *, is_dark: bool = False) -> str:
        """The colour of its words."""
        styles = self.dark if is_dark else self.inline
        for one in (element, *element.iterancestors()):
            if colour := parse_colour(styles.get(one, {}).get("color", "")):
                return colour
        return BLACK


@lru_cache(maxsize=4)
def mail_page(html: str) -> MailPage:
    """Parse an HTML part; the same one again for the same text, since several families look at it."""
    root = lxml_html.document_fromstring(html or "<html></html>")
    inline = {
        element: _declared(element.get("style", "")) for element in root.iter(etree.Element) if element.get("style")
    }
    return MailPage(root, inline, _darkened(root, inline))


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


def size_in_pixels(page: MailPage, element: Element) -> float:
    """The size of its words as far as it is given in pixels; else 16."""
    for one in (element, *element.iterancestors()):
        size = page.inline.get(one, {}).get("font-size", "")
        if found := re.fullmatch(r"([\d.]+)px", size):
            return float(found[1])
    return 16.0


def is_bold(page: MailPage, element: Element) -> bool:
    """Whether its words are set in bold."""
    for one in (element, *element.iterancestors()):
        if weight := page.inline.get(one, {}).get("font-weight"):
            return weight in {"bold", "bolder"} or (weight.isdigit() and int(weight) >= 700)
        if one.tag in {"b", "strong", "h1", "h2", "h3", "h4"}:
            return True
    return False


def stylesheets(root: Element) -> str:
    """Everything in the style elements of the page, without its comments."""
    return _COMMENT.sub("", "\n".join(style.text or "" for style in root.iter("style")))


def _declared(style: str) -> dict[str, str]:
    pairs = (declaration.partition(":") for declaration in style.split(";") if ":" in declaration)
    return {name.strip().lower(): value.replace("!important", "").strip().lower() for name, _, value in pairs}


def _hides(style: Mapping[str, str]) -> bool:
    if any(style.get(name) == value for name, value in _HIDING):
        return True
    if _NO_LENGTH.fullmatch(style.get("font-size", "x")) and style.get("line-height", "0") != "normal":
        # MJML sets cells of pictures to 0 px, to keep out the gap below; a picture is not hidden by that.
        return "max-height" in style or "color" in style
    return style.get("overflow") == "hidden" and bool(_NO_LENGTH.fullmatch(style.get("max-height", "x")))


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
            declared = _declared(body)
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
