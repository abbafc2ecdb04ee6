"""Rules for one MJML element: its place, its attributes, their values.

MJML's own rules come from the tables. On top stand the places and attributes that mrml 6.0.1 drops, hides or
breaks on although MJML allows them; each is refused with what to write instead.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from difflib import get_close_matches
from functools import cache

from newsletter.rendering.mjml_tables import ATTRIBUTES, CHILDREN, COLOURS

PLACEHOLDER = "\u9fa5"
"""Stands in a template for what Jinja will write; whatever holds it is not judged. XML takes it as part of a name."""

FRAGMENT = "fragment"
"""The root put around a template that is a piece of a document; any component may stand in it."""

_HEAD_AND_ROOT = {
    "mjml": {"lang": "string", "dir": "enum(ltr,rtl,auto)"},
    "mj-all": {},
    "mj-class": {"name": "string"},
}
_KNOWN: dict[str, dict[str, str]] = {**ATTRIBUTES, **_HEAD_AND_ROOT}
_EVERYWHERE = frozenset({"css-class", "mj-class"})
_SHARED = frozenset({"mj-all", "mj-class"})
_REQUIRED = {
    "mj-class": ("name", "the name by which tags call it"),
    "mj-breakpoint": ("width", "the width below which columns stack"),
    "mj-image": ("src", "the address of the picture"),
    "mj-carousel-image": ("src", "the address of the picture"),
    "mj-social-element": ("src", "the address of an icon of yours; MJML’s would be loaded from another company"),
}

_REFUSED_TAGS = {
    "mj-include": "could include itself and end the program; themes include their blocks with Jinja’s {% include %}",
    "mj-html-attributes": "is not supported; write the attributes where they belong",
    "mj-selector": "is not supported; write the attributes where they belong",
    "mj-html-attribute": "is not supported; write the attributes where they belong",
    "mj-font": "would load a font from elsewhere; name fonts of readers’ systems in font-family",
}
_RAW_ELSEWHERE = "<mj-raw> may not stand in <{parent}>, where it would {fate}; put it {elsewhere}"
_REFUSED_PLACES = {
    ("mj-raw", parent): _RAW_ELSEWHERE.format(parent=parent, fate=fate, elsewhere=elsewhere)
    for parent, fate, elsewhere in (
        ("mjml", "not be rendered", "into <mj-head> or <mj-body>"),
        ("mj-wrapper", "be hidden from all but Outlook", "into a section or a column"),
        ("mj-accordion", "not be rendered", "before or after it"),
        ("mj-accordion-element", "not be rendered", "into the text of the accordion"),
        ("mj-navbar", "not be rendered", "before or after it"),
        ("mj-social", "not be rendered", "before or after it"),
    )
}
_ON_AN_INNER_TAG = "put it on a tag inside, or write border, border-radius and padding on the column itself"
_IGNORED = {
    ("mj-button", "title"): "say it in the words of the button",
    ("mj-column", "inner-border"): _ON_AN_INNER_TAG,
    ("mj-column", "inner-border-radius"): _ON_AN_INNER_TAG,
    ("mj-hero", "border-radius"): "put it on a wrapper around the hero",
    ("mj-image", "sizes"): "give one src and a width",
    **{
        ("mj-image", f"border-{side}"): "write border for all four sides" for side in ("top", "right", "bottom", "left")
    },
    ("mj-raw", "position"): "nothing can stand before the document",
    ("mj-style", "inline"): "put the rule into the theme’s style.css, which is inlined",
    ("mj-table", "border"): 'write style="border: …" on a <table> in <mj-text>',
    ("mj-table", "cellspacing"): "write cellspacing on a <table> in <mj-text>",
    ("mj-table", "role"): 'write a <table role="…"> in <mj-text>',
    ("mj-wrapper", "gap"): "write padding on the sections inside",
    ("mj-social-element", "icon-position"): "change the order with direction on the column",
    ("mj-social-element", "srcset"): "give one src",
    ("mj-social-element", "sizes"): "give one src and icon-size",
    ("mj-accordion-title", "font-weight"): "write <b> around the words",
}
_NARROWED = {
    # Heights and widths in % are taken for something else; the choice `supported` hides what it should show.
    ("mj-carousel", "tb-width"): "unit(px)",
    ("mj-carousel", "thumbnails"): "enum(visible,hidden)",
    ("mj-hero", "height"): "unit(px)",
    ("mj-hero", "mode"): "enum(fixed-height)",
    # Written as width="120px", which Outlook does not read.
    ("mj-table", "width"): "unit(%,auto)",
}


def place_fault(tag: str, parent: str) -> str | None:
    """Why `tag` may not stand directly in the component `parent`, or None. `parent` is "" for the root."""
    if tag in _REFUSED_TAGS:
        return f"<{tag}> {_REFUSED_TAGS[tag]}"
    if (tag, parent) in _REFUSED_PLACES:
        return _REFUSED_PLACES[tag, parent]
    if tag in allowed_children(parent):
        return None
    if tag not in _KNOWN and tag.lower().startswith("mj"):
        return f"<{tag}> is no tag of MJML{_perhaps(tag, _KNOWN, '<{}>')}"
    if not parent:
        return f"<{tag}> may not stand in place of <mjml>"
    if parent == "mj-class":
        return f"<mj-class> may not hold <{tag}>; give the class the attributes themselves"
    return f"<{tag}> may not stand in <{parent}>{_belongs(tag)}"


def attribute_faults(tag: str, attributes: Mapping[str, str]) -> Iterator[str]:
    """What is wrong with the attributes of a known component, one sentence each."""
    for name, value in attributes.items():
        fault = None if PLACEHOLDER in name else _attribute_fault(tag, name, value)
        if fault:
            yield fault
    name, purpose = _REQUIRED.get(tag, ("", ""))
    if name and not attributes.keys() & {name, "mj-class"} and not any(PLACEHOLDER in key for key in attributes):
        yield f"<{tag}> needs {name}: {purpose}"


def is_component(tag: str) -> bool:
    """Whether `tag` is one that MJML knows and that is not refused everywhere."""
    return tag in _KNOWN and tag not in _REFUSED_TAGS


@cache
def allowed_children(parent: str) -> frozenset[str]:
    """The components that may stand in `parent`."""
    if parent == "":
        return frozenset({"mjml"})
    if parent == FRAGMENT:
        return frozenset(_KNOWN) - _REFUSED_TAGS.keys()
    if parent == "mj-attributes":
        outside = {"mjml", "mj-head"} | CHILDREN["mj-head"]
        return frozenset(_KNOWN) - outside
    return CHILDREN.get(parent, frozenset()) - {tag for tag, where in _REFUSED_PLACES if where == parent}


def _attribute_fault(tag: str, name: str, value: str) -> str | None:
    if (tag, name) in _IGNORED:
        return f"{name} of <{tag}> would not be shown as MJML means it; {_IGNORED[tag, name]}"
    if name in _EVERYWHERE and tag not in _HEAD_AND_ROOT:
        return None
    types = _types(tag, name)
    if not types:
        return f"{name} is no attribute of <{tag}>{_perhaps(name, _names(tag), '{}')}"
    if PLACEHOLDER in value or any(_pattern(kind).fullmatch(" ".join(value.split())) for kind in types):
        return None
    return f'{name}="{value[:40]}" of <{tag}> will not do: {_wanted(types[0])}'


@cache
def _types(tag: str, name: str) -> tuple[str, ...]:
    """The types that an attribute may have: one, or for tags that speak for all components, any of theirs."""
    if name in _KNOWN[tag]:
        return (_narrowed(tag, name),)
    if tag in _SHARED:
        return tuple({_narrowed(other, name): None for other, known in ATTRIBUTES.items() if name in known})
    return ()


def _narrowed(tag: str, name: str) -> str:
    """The type in the tables, less what mrml gets wrong. Paddings in % are left out of its sums of widths."""
    kind = _NARROWED.get((tag, name), _KNOWN[tag][name])
    return kind.replace("(px,%)", "(px)") if "padding" in name else kind


def _names(tag: str) -> list[str]:
    names = _KNOWN[tag].keys() | _EVERYWHERE
    if tag in _SHARED:
        names |= {name for known in ATTRIBUTES.values() for name in known}
    return sorted(names)


@cache
def _pattern(kind: str) -> re.Pattern[str]:
    """What values of a type look like; as strict as MJML's own check or stricter, and anchored."""
    name, choices = _parsed(kind)
    match name:
        case "color":
            rgb = r"\d{1,3}, ?\d{1,3}, ?\d{1,3}"
            forms = (r"#(?:[0-9a-fA-F]{3}){1,2}", rf"rgb\({rgb}\)", rf"rgba\({rgb}, ?(?:0|1|[01]?\.\d{{1,3}})\)")
            return re.compile("|".join((*forms, *COLOURS)))
        case "boolean":
            return re.compile("true|false")
        case "integer":
            return re.compile(r"\d+")
        case "enum":
            return re.compile("|".join(map(re.escape, choices)))
        case "unit" | "unitWithNegative":
            sign = "-?" if name == "unitWithNegative" else ""
            units = "|".join(re.escape(unit) for unit in choices if unit != "auto")
            one = rf"(?:{sign}(?:\d+(?:\.\d+)?|\.\d+)(?:{units})|0{'|auto' if 'auto' in choices else ''})"
            return re.compile(rf"{one}(?: {one}){{0,{3 if kind.endswith('{1,4}') else 0}}}")
    return re.compile(".*", re.DOTALL)


def _wanted(kind: str) -> str:
    """What to write for a type, for people."""
    name, choices = _parsed(kind)
    match name:
        case "color":
            return "write a colour such as #1d1e2b"
        case "boolean":
            return "write true or false"
        case "integer":
            return "write a whole number"
        case "enum":
            return f"write {_either([choice for choice in choices if choice])}"
    number = "one to four numbers" if kind.endswith("{1,4}") else "a number"
    units = [unit or "no unit" for unit in choices if unit != "auto"]
    return f"write {number} with {_either(units)}{', or auto' if 'auto' in choices else ''}, such as 24{choices[0]}"


@cache
def _parsed(kind: str) -> tuple[str, tuple[str, ...]]:
    """`enum(a,b)` as its name and choices."""
    match = re.fullmatch(r"(\w+)(?:\(([^)]*)\))?(?:\{1,4\})?", kind)
    if match is None:
        raise ValueError(f"{kind} is no type of MJML’s tables.")
    return match[1], tuple((match[2] or "").split(","))


def _either(words: list[str]) -> str:
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} or {words[-1]}"


def _perhaps(word: str, known: Mapping[str, object] | list[str], form: str) -> str:
    close = get_close_matches(word.lower(), list(known), n=1)
    return f"; did you mean {form.format(close[0])}?" if close else ""


def _belongs(tag: str) -> str:
    """Where a component may stand, or what to do with HTML."""
    if tag not in _KNOWN:
        return "; put HTML into <mj-text> or <mj-raw>"
    homes = sorted(parent for parent in CHILDREN if parent != "mj-attributes" and tag in allowed_children(parent))
    return f", only in {_either([f'<{home}>' for home in homes])}" if homes else ""
