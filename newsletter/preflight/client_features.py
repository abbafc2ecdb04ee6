"""The HTML and CSS features that a mail uses, by their names at Can I email. Pure.

Conditional comments are ignored: they are written for the one client that reads them.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from lxml import etree  # type: ignore[import-untyped]

from newsletter.preflight.mail_page import Element, MailPage, stylesheets

_LISTS = dict.fromkeys(("ul", "ol", "dl"), "html-lists")
_HEADINGS = dict.fromkeys(("h1", "h2", "h3", "h4", "h5", "h6"), "html-h1-h6")
_SEMANTICS = dict.fromkeys(
    "article aside details figcaption figure footer header main mark nav section summary time".split(),  # noqa: SIM905 - words
    "html-semantics",
)
TAGS = _LISTS | _HEADINGS | _SEMANTICS | {"b": "html-strong", "map": "html-image-maps", "area": "html-image-maps"}
ATTRIBUTES = {"loading": "html-loading-attribute"}
IMAGES = {"jpeg": "jpg", "heic": "heif", "tif": "tiff"}

_DISPLAYS = {"flex": "css-display-flex", "inline-flex": "css-display-flex", "grid": "css-display-grid"}
_DISPLAYS |= {"inline-grid": "css-display-grid", "none": "css-display-none"}
#: Groups of CSS properties that have one name at Can I email.
_PROPERTIES = (
    (re.compile(r"(left|right|top|bottom)"), "css-left-right-top-bottom"),
    (re.compile(r"border-(start|end)-(start|end)-radius"), "css-border-radius-logical"),
    (re.compile(r"border(-(top|bottom)-(left|right))?-radius"), "css-border-radius"),
    (re.compile(r"border-(inline|block)"), "css-border-inline-block"),
    (re.compile(r"border-(inline|block)-.+"), "css-border-inline-block-individual"),
    (re.compile(r"border-image-.+"), "css-border-image"),
    (re.compile(r"border(-(top|right|bottom|left))?(-(width|style|color))?"), "css-border"),
    (re.compile(r"(margin|padding)-(inline|block)"), r"css-\1-inline-block"),
    (re.compile(r"(margin|padding)-(inline|block)-(start|end)"), r"css-\1-\2-start-end"),
    (re.compile(r"(margin|padding)-(top|right|bottom|left)"), r"css-\1"),
    (re.compile(r"(inline|block)-size"), "css-block-inline-size"),
    (re.compile(r"grid-.+|grid"), "css-grid-template"),
    (re.compile(r"columns|column-(width|rule|span|fill).*"), "css-column-layout-properties"),
    (re.compile(r"(row-|column-)gap"), "css-gap"),
    (re.compile(r"(animation|transition|scroll-snap|text-decoration-skip)-.+"), r"css-\1"),
    (re.compile(r"font-family"), "css-font"),
    (re.compile(r"inset-.+"), "css-inset"),
)
_VALUES = (
    (re.compile(r"\bvar\("), "css-variables"),
    (re.compile(r"\bcalc\("), "css-unit-calc"),
    (re.compile(r"\b(clamp|light-dark)\("), r"css-function-\1"),
    (re.compile(r"(?<![\w-])(min|max)\("), r"css-function-\1"),
    (re.compile(r"\b(linear|radial|conic)-gradient\("), r"css-\1-gradient"),
    (re.compile(r"\b(rgba?)\("), r"css-\1"),
    (re.compile(r"\b(ok)?l(ab|ch)\("), "css-modern-color"),
    (re.compile(r"(?<![\w.#-])-?[\d.]+(ch|cm|em|ex|in|mm|pc|pt|px|rem|vh|vmax|vmin|vw)\b"), r"css-unit-\1"),
    (re.compile(r"[\d.]%"), "css-unit-percent"),
    (re.compile(r"\binitial\b"), "css-unit-initial"),
    (re.compile(r"\b(fit|min|max)-content\b"), "css-intrinsic-size"),
    (re.compile(r"\bsystem-ui\b|\bui-(serif|sans-serif|rounded|monospace)\b"), "css-sytem-ui"),
    (re.compile(r"!important"), "css-important"),
)
_AT_RULES = (
    (re.compile(r"@(font-face|import|keyframes|media|supports)\b"), r"css-at-\1"),
    (
        re.compile(
            r"@media[^{]*\((?:min-|max-)?(?:-webkit-)?(?:min-)?"
            r"(device-pixel-ratio|hover|orientation|prefers-color-scheme|prefers-reduced-motion)"
        ),
        r"css-at-media-\1",
    ),
)
_SELECTORS = (
    (re.compile(r"(?<!:):([a-z-]+)"), r"css-pseudo-class-\1"),
    (re.compile(r"::([a-z-]+)"), r"css-pseudo-element-\1"),
    (re.compile(r"\["), "css-selector-attribute"),
    (re.compile(r">"), "css-selector-child"),
    (re.compile(r"\+"), "css-selector-adjacent-sibling"),
    (re.compile(r"~(?!=)"), "css-selector-general-sibling"),
    (re.compile(r"#[\w-]"), "css-selector-id"),
    (re.compile(r"\*"), "css-selector-universal"),
)
_DECLARATION = re.compile(r"(?P<name>[a-z-]+)\s*:\s*(?P<value>[^;{}]+)")
_RULE = re.compile(r"(?P<selectors>[^{};]+)\{(?P<body>[^{}]*)\}")
_FILE_ENDING = re.compile(r"\.([a-z0-9]{3,4})(?:[?#].*)?$", re.IGNORECASE)
_ADDRESS_IN_STYLE = re.compile(r"url\(\s*[\"']?([^\"')]+)")


def features_used(page: MailPage) -> frozenset[str]:
    """The slugs of all features that the mail uses, including those that Can I email does not know."""
    css = stylesheets(page.root)
    used = set(_rule_features(css))
    for element in page.root.iter(etree.Element):
        used.update(_element_features(element))
    for style in {style for element in page.root.iter() if (style := element.get("style"))}:
        used.update(_declaration_features(style.lower()))
    return frozenset(used)


def image_feature(address: str) -> str | None:
    """The feature for the address of an image, such as `image-webp`; None if the address does not show the format."""
    if address.lower().startswith("data:"):
        return "image-base64"
    ending = _FILE_ENDING.search(address)
    return f"image-{IMAGES.get(ending[1].lower(), ending[1].lower())}" if ending else None


def _element_features(element: Element) -> Iterator[str]:
    tag = str(element.tag)
    yield TAGS.get(tag, f"html-{tag}")
    if tag in ("input", "button"):
        yield f"html-{tag}-{element.get('type', 'text' if tag == 'input' else 'submit')}"
    for name, value in element.attrib.items():
        yield ATTRIBUTES.get(str(name), f"html-{name}")
        if name == "href" and tag == "a":
            yield from ("html-anchor-links",) if value.startswith("#") else ()
            yield from ("html-mailto-links",) if value.lower().startswith("mailto:") else ()
        if name in ("src", "background", "srcset") and (image := image_feature(value.split(" ")[0])):
            yield image
    if tag == "meta" and element.get("name", "").endswith("color-scheme"):
        yield "html-meta-color-scheme"


def _rule_features(css: str) -> Iterator[str]:
    lower = css.lower()
    yield from _matched(_AT_RULES, lower)
    for rule in _RULE.finditer(lower):
        selectors = rule["selectors"].rpartition("}")[2]
        if "@" not in selectors:
            yield from _matched(_SELECTORS, selectors)
        yield from _declaration_features(rule["body"])


def _declaration_features(body: str) -> Iterator[str]:
    for found in _DECLARATION.finditer(body):
        name, value = found["name"], found["value"].strip()
        if name.startswith(("mso-", "-", "--")):
            continue
        yield _property_feature(name)
        if name == "display":
            yield _DISPLAYS.get(value.partition("!")[0].strip(), "css-display")
        yield from _matched(_VALUES, value)
        for address in _ADDRESS_IN_STYLE.findall(value):
            if image := image_feature(address):
                yield image


def _property_feature(name: str) -> str:
    for pattern, slug in _PROPERTIES:
        if found := pattern.fullmatch(name):
            return found.expand(slug)
    return f"css-{name}"


def _matched(table: tuple[tuple[re.Pattern[str], str], ...], text: str) -> Iterator[str]:
    for pattern, slug in table:
        for found in pattern.finditer(text):
            yield found.expand(slug)
