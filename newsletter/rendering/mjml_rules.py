"""Rules for one MJML element: its parent, its attributes and their values.

MJML's own rules come from the tables. In addition, elements and attributes are refused that MJML allows but mrml 6.0.1
drops, hides or breaks on; each refusal says what to write instead.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from difflib import get_close_matches
from functools import cache

from newsletter.config.translatable import translatable
from newsletter.content.problems import listed
from newsletter.rendering.mjml_tables import ATTRIBUTES, CHILDREN, COLOURS

PLACEHOLDER = "\u9fa5"
"""Replaces what Jinja will write in a template. XML allows it in names; values with it are not checked."""

FRAGMENT = "fragment"
"""The root element put around a template that is part of a document; it may contain any component."""

_HEAD_AND_ROOT = {
    "mjml": {"lang": "string", "dir": "enum(ltr,rtl,auto)"},
    "mj-all": {},
    "mj-class": {"name": "string"},
}
_KNOWN: dict[str, dict[str, str]] = {**ATTRIBUTES, **_HEAD_AND_ROOT}
_EVERYWHERE = frozenset({"css-class", "mj-class"})
_SHARED = frozenset({"mj-all", "mj-class"})
_REQUIRED: dict[str, tuple[str, str]] = {
    "mj-class": ("name", translatable("Elements use the class by this name.")),
    "mj-breakpoint": ("width", translatable("Columns are stacked below this width.")),
    "mj-image": ("src", translatable("It is the address of the image.")),
    "mj-carousel-image": ("src", translatable("It is the address of the image.")),
    "mj-social-element": (
        "src",
        translatable("Give the address of an icon of yours: MJML’s icons would be loaded from another company."),
    ),
}
"""The required attribute of an element, and its purpose."""

_REFUSED_TAGS: dict[str, str] = {
    "mj-include": translatable(
        "<mj-include> is not supported: a file could include itself without end. Include blocks with Jinja’s include."
    ),
    "mj-font": translatable(
        "<mj-font> is not supported: it would load a font from another site. Name installed fonts in font-family."
    ),
    **{
        tag: translatable("<{tag}> is not supported. Write the attributes on the elements themselves.", tag=tag)
        for tag in ("mj-html-attributes", "mj-selector", "mj-html-attribute")
    },
}
_REFUSED_PLACES: dict[tuple[str, str], str] = {
    ("mj-raw", "mjml"): translatable("<mj-raw> is not rendered in <mjml>. Put it into <mj-head> or <mj-body>."),
    ("mj-raw", "mj-wrapper"): translatable(
        "<mj-raw> in <mj-wrapper> is hidden in all mail programs but Outlook. Put it into a section or a column."
    ),
    ("mj-raw", "mj-accordion-element"): translatable(
        "<mj-raw> is not rendered in <mj-accordion-element>. Put it into the text of the accordion."
    ),
    **{
        ("mj-raw", parent): translatable(
            "<mj-raw> is not rendered in <{parent}>. Put it before or after the element.", parent=parent
        )
        for parent in ("mj-accordion", "mj-navbar", "mj-social")
    },
}
_USE_INNER_ELEMENT = translatable(
    "Set it on an element inside, or set border, border-radius and padding on the column itself."
)
_IGNORED: dict[tuple[str, str], str] = {
    ("mj-button", "title"): translatable("Write it in the label of the button."),
    ("mj-column", "inner-border"): _USE_INNER_ELEMENT,
    ("mj-column", "inner-border-radius"): _USE_INNER_ELEMENT,
    ("mj-hero", "border-radius"): translatable("Set it on a wrapper around the hero."),
    ("mj-image", "sizes"): translatable("Set one src and a width."),
    **{
        ("mj-image", f"border-{side}"): translatable("Set border for all four sides.")
        for side in ("top", "right", "bottom", "left")
    },
    ("mj-raw", "position"): translatable("Nothing can be placed before the document."),
    ("mj-style", "inline"): translatable("Put the rule into the theme’s style.css, which is inlined."),
    ("mj-table", "border"): translatable('Write <table style="border: …"> in <mj-text>.'),
    ("mj-table", "cellspacing"): translatable("Set cellspacing on a <table> in <mj-text>."),
    ("mj-table", "role"): translatable('Write <table role="…"> in <mj-text>.'),
    ("mj-wrapper", "gap"): translatable("Set padding on the sections inside."),
    ("mj-social-element", "icon-position"): translatable("Change the order with direction on the column."),
    ("mj-social-element", "srcset"): translatable("Set one src."),
    ("mj-social-element", "sizes"): translatable("Set one src and icon-size."),
    ("mj-accordion-title", "font-weight"): translatable("Write <b> around the text."),
}
"""Attributes that mrml ignores or misreads, and what to do instead."""

_NARROWED = {
    # mrml misreads heights and widths in %; the value `supported` hides the thumbnails.
    ("mj-carousel", "tb-width"): "unit(px)",
    ("mj-carousel", "thumbnails"): "enum(visible,hidden)",
    ("mj-hero", "height"): "unit(px)",
    ("mj-hero", "mode"): "enum(fixed-height)",
    # mrml writes width="120px", which Outlook ignores.
    ("mj-table", "width"): "unit(%,auto)",
}


def place_fault(tag: str, parent: str) -> str | None:
    """Why `tag` is not allowed directly in the component `parent`, or None. `parent` is "" for the root."""
    if tag in _REFUSED_TAGS:
        return _REFUSED_TAGS[tag]
    if (tag, parent) in _REFUSED_PLACES:
        return _REFUSED_PLACES[tag, parent]
    if tag in allowed_children(parent):
        return None
    if tag not in _KNOWN and tag.lower().startswith("mj"):
        return _unknown_element(tag)
    if not parent:
        return translatable("<{tag}> cannot be the root element. The root element is <mjml>.", tag=tag)
    if parent == "mj-class":
        return translatable("<mj-class> cannot contain <{tag}>. Set the attributes on the class itself.", tag=tag)
    return _misplaced(tag, parent)


def attribute_faults(tag: str, attributes: Mapping[str, str]) -> Iterator[str]:
    """What is wrong with the attributes of a known component, as sentences."""
    for name, value in attributes.items():
        fault = None if PLACEHOLDER in name else _attribute_fault(tag, name, value)
        if fault:
            yield fault
    name, purpose = _REQUIRED.get(tag, ("", ""))
    if name and not attributes.keys() & {name, "mj-class"} and not any(PLACEHOLDER in key for key in attributes):
        yield translatable("<{tag}> needs {attribute}. {purpose}", tag=tag, attribute=name, purpose=purpose)


def is_component(tag: str) -> bool:
    """Whether `tag` is an MJML element that is allowed somewhere."""
    return tag in _KNOWN and tag not in _REFUSED_TAGS


@cache
def allowed_children(parent: str) -> frozenset[str]:
    """The components that are allowed in `parent`."""
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
        return translatable(
            "The attribute {attribute} of <{tag}> is not supported. {advice}",
            attribute=name,
            tag=tag,
            advice=_IGNORED[tag, name],
        )
    if name in _EVERYWHERE and tag not in _HEAD_AND_ROOT:
        return None
    types = _types(tag, name)
    if not types:
        return _unknown_attribute(tag, name)
    if PLACEHOLDER in value or any(_pattern(kind).fullmatch(" ".join(value.split())) for kind in types):
        return None
    return translatable(
        '{attribute}="{value}" is not valid on <{tag}>. {advice}',
        attribute=name,
        value=value[:40],
        tag=tag,
        advice=_expected(types[0]),
    )


@cache
def _types(tag: str, name: str) -> tuple[str, ...]:
    """The types of an attribute: one, or for elements that set defaults of all components, any of theirs."""
    if name in _KNOWN[tag]:
        return (_narrowed(tag, name),)
    if tag in _SHARED:
        return tuple({_narrowed(other, name): None for other, known in ATTRIBUTES.items() if name in known})
    return ()


def _narrowed(tag: str, name: str) -> str:
    """The type in the tables, without values that mrml gets wrong: it ignores paddings in % when it adds up widths."""
    kind = _NARROWED.get((tag, name), _KNOWN[tag][name])
    return kind.replace("(px,%)", "(px)") if "padding" in name else kind


def _names(tag: str) -> list[str]:
    names = _KNOWN[tag].keys() | _EVERYWHERE
    if tag in _SHARED:
        names |= {name for known in ATTRIBUTES.values() for name in known}
    return sorted(names)


@cache
def _pattern(kind: str) -> re.Pattern[str]:
    """The pattern of a type's values, at least as strict as MJML's own check; for `fullmatch`."""
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


def _expected(kind: str) -> str:
    """What to write for a type, as a sentence."""
    name, choices = _parsed(kind)
    match name:
        case "color":
            return translatable("Write a colour such as #1d1e2b.")
        case "boolean":
            return translatable("Write true or false.")
        case "integer":
            return translatable("Write a whole number.")
        case "enum":
            return translatable("Write one of these: {values}.", values=", ".join(filter(None, choices)))
    return _expected_numbers(choices, is_list=kind.endswith("{1,4}"))


def _expected_numbers(choices: tuple[str, ...], *, is_list: bool) -> str:
    units = listed([unit or translatable("no unit") for unit in choices if unit != "auto"])
    example = f"24{choices[0]}"
    if "auto" in choices:
        return translatable(
            "Write auto, or a number with a unit ({units}), such as {example}.", units=units, example=example
        )
    if is_list:
        return translatable(
            "Write one to four numbers with a unit ({units}), such as {example}.", units=units, example=example
        )
    return translatable("Write a number with a unit ({units}), such as {example}.", units=units, example=example)


@cache
def _parsed(kind: str) -> tuple[str, tuple[str, ...]]:
    """`enum(a,b)` as its name and choices."""
    match = re.fullmatch(r"(\w+)(?:\(([^)]*)\))?(?:\{1,4\})?", kind)
    if match is None:
        raise ValueError(f"{kind} is not a type of the MJML tables.")
    return match[1], tuple((match[2] or "").split(","))


def _unknown_element(tag: str) -> str:
    if close := get_close_matches(tag.lower(), list(_KNOWN), n=1):
        return translatable(
            "<{tag}> is not an MJML element. Did you mean <{suggestion}>?", tag=tag, suggestion=close[0]
        )
    return translatable("<{tag}> is not an MJML element.", tag=tag)


def _unknown_attribute(tag: str, name: str) -> str:
    if close := get_close_matches(name.lower(), _names(tag), n=1):
        return translatable(
            "{attribute} is not an attribute of <{tag}>. Did you mean {suggestion}?",
            attribute=name,
            tag=tag,
            suggestion=close[0],
        )
    return translatable("{attribute} is not an attribute of <{tag}>.", attribute=name, tag=tag)


def _misplaced(tag: str, parent: str) -> str:
    """Why an element is not allowed where it is, with the places where it is."""
    if tag not in _KNOWN:
        return translatable(
            "<{tag}> is not allowed in <{parent}>. Put HTML into <mj-text> or <mj-raw>.", tag=tag, parent=parent
        )
    parents = sorted(other for other in CHILDREN if other != "mj-attributes" and tag in allowed_children(other))
    if not parents:
        return translatable("<{tag}> is not allowed in <{parent}>.", tag=tag, parent=parent)
    return translatable(
        "<{tag}> is not allowed in <{parent}>. Put it into one of these: {parents}.",
        tag=tag,
        parent=parent,
        parents=", ".join(f"<{other}>" for other in parents),
    )
