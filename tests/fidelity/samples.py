"""A document for each element, attribute and type of value that validation accepts."""

from __future__ import annotations

from collections.abc import Iterator

from newsletter.rendering.mjml_rules import allowed_children
from newsletter.rendering.mjml_tables import ATTRIBUTES, CHILDREN

TEXT = "<mj-text>words</mj-text>"
ICONS = 'icon-wrapped-url="https://x.example/a.png" icon-unwrapped-url="https://x.example/b.png"'
ARROWS = 'left-icon="https://x.example/l.png" right-icon="https://x.example/r.png"'
NEEDED = {
    "mj-image": 'src="https://x.example/p.png"',
    "mj-carousel-image": 'src="https://x.example/p.png"',
    "mj-social-element": 'src="https://x.example/s.png"',
    "mj-accordion": ICONS,
    "mj-accordion-element": ICONS,
    "mj-carousel": ARROWS,
}
INSIDE = {
    "mj-body": f"<mj-section><mj-column>{TEXT}</mj-column></mj-section>",
    "mj-wrapper": f"<mj-section><mj-column>{TEXT}</mj-column></mj-section>" * 2,
    "mj-section": f"<mj-column>{TEXT}</mj-column>" * 2,
    "mj-group": f"<mj-column>{TEXT}</mj-column>" * 2,
    "mj-column": TEXT,
    "mj-hero": TEXT,
    "mj-social": f'<mj-social-element {NEEDED["mj-social-element"]} href="https://x.example/">M</mj-social-element>'
    * 2,
    "mj-social-element": "M",
    "mj-navbar": '<mj-navbar-link href="/a">A</mj-navbar-link><mj-navbar-link href="/b">B</mj-navbar-link>',
    "mj-navbar-link": "A",
    "mj-accordion": "<mj-accordion-element><mj-accordion-title>Q</mj-accordion-title></mj-accordion-element>",
    "mj-accordion-element": "<mj-accordion-title>Q</mj-accordion-title><mj-accordion-text>A</mj-accordion-text>",
    "mj-accordion-title": "Q",
    "mj-accordion-text": "A",
    "mj-carousel": f"<mj-carousel-image {NEEDED['mj-carousel-image']} />" * 2,
    "mj-table": "<tr><td>a</td><td>b</td></tr>",
    "mj-text": "words <b>and</b>\n<i>more</i> words",
    "mj-button": "press",
    "mj-raw": "<p>as it is</p>",
}
AROUND = {
    "mj-wrapper": "mj-body",
    "mj-section": "mj-body",
    "mj-hero": "mj-body",
    "mj-column": "mj-section",
    "mj-group": "mj-section",
    "mj-social-element": "mj-social",
    "mj-navbar-link": "mj-navbar",
    "mj-accordion-element": "mj-accordion",
    "mj-accordion-title": "mj-accordion-element",
    "mj-accordion-text": "mj-accordion-element",
    "mj-carousel-image": "mj-carousel",
}
WORDS = {
    "background-position": ("bottom right", "10% 20%"),
    "background-position-x": ("right",),
    "background-position-y": ("bottom",),
    "background-size": ("cover", "contain", "30px 40px"),
    "background-url": ("https://x.example/g.png",),
    "base-url": ("https://x.example",),
    "font-style": ("italic",),
    "font-weight": ("bold", "700"),
    "hamburger": ("hamburger",),
    "href": ("https://x.example/?a=1&amp;b=2",),
    "mode": ("fixed-height",),
    "name": ("facebook",),
    "src": ("https://x.example/q.png",),
    "srcset": ("https://x.example/q.png 2x",),
    "target": ("_self",),
    "text-decoration": ("underline",),
    "text-transform": ("uppercase",),
}


def bodies() -> list[str]:
    """Every component of the body of a mail."""
    outside = {"mj-html-attributes", "mj-head", *CHILDREN["mj-head"]} - {"mj-raw"}
    return sorted(ATTRIBUTES.keys() - outside)


def attribute_documents(tag: str) -> Iterator[tuple[str, str]]:
    """(`attribute=value`, document) for each attribute of a component with each kind of value."""
    yield "no attribute", document(tag, "")
    for name, kind in {"css-class": "string", **ATTRIBUTES[tag]}.items():
        for value in _values(name, kind):
            yield f"{name}={value}", document(tag, f'{name}="{value}"')


def place_documents() -> Iterator[tuple[str, str]]:
    """(`child in parent`, document) for each pair that the rules allow in the body of a mail."""
    for parent in bodies():
        for child in sorted(allowed_children(parent) & set(bodies())):
            times = 1 if parent == "mj-accordion-element" else 2
            yield f"{child} in {parent}", document(parent, "", inside=_element(child, "") * times)


def document(tag: str, attributes: str, inside: str | None = None) -> str:
    """A document with one element of interest, in a place where it is allowed."""
    element = _element(tag, attributes, inside)
    while tag != "mj-body":
        tag = AROUND.get(tag, "mj-column")
        element = _element(tag, "", element)
    return f"<mjml>\n<mj-head></mj-head>\n{element}\n</mjml>"


def _element(tag: str, attributes: str, inside: str | None = None) -> str:
    given = {part.partition("=")[0] for part in attributes.split()}
    needed = " ".join(part for part in NEEDED.get(tag, "").split() if part.partition("=")[0] not in given)
    return f"<{tag} {needed} {attributes}>{INSIDE.get(tag, '') if inside is None else inside}</{tag}>"


def _values(name: str, kind: str) -> tuple[str, ...]:
    choices = tuple(kind.partition("(")[2].partition(")")[0].split(","))
    if kind.startswith("enum"):
        return tuple(filter(None, choices))
    if kind.startswith("unit"):
        several = ("1px 2px 3px 4px", "0 9px", "0") if kind.endswith("{1,4}") else ()
        return tuple("auto" if unit == "auto" else f"18{unit}" for unit in choices) + several
    if kind == "string" and "border" in name:
        return ("9px", "9px 3px") if "radius" in name else ("2px dashed #ff0000",)
    return {"color": ("#123456", "#abc", "teal"), "boolean": ("true", "false"), "integer": ("5",)}.get(
        kind, WORDS.get(name, ("words",))
    )
