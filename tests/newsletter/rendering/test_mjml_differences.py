"""Differences between mrml and MJML: each is either rewritten so that the result is correct, or refused with advice.

tests/fidelity compares every attribute that passes with the official compiler.
"""

from __future__ import annotations

import re

import pytest
from mjml import mjml2html

from newsletter.rendering.compile import compile_mjml
from newsletter.rendering.errors import RenderingError
from newsletter.rendering.validate import validate_mjml

ACCORDION = (
    '<mj-accordion icon-wrapped-url="https://x.example/a.png" icon-unwrapped-url="https://x.example/b.png">'
    "<mj-accordion-element{}><mj-accordion-title{}>Q</mj-accordion-title> <mj-accordion-text>A</mj-accordion-text>"
    "</mj-accordion-element></mj-accordion>"
)
CAROUSEL = (
    '<mj-carousel left-icon="https://x.example/l.png" right-icon="https://x.example/r.png">'
    '<mj-carousel-image src="a.png" /> <mj-carousel-image src="b.png" /></mj-carousel>'
)
GHOST = "<!--[if mso]><table><tr><td><![endif]-->{}<!--[if mso]></td></tr></table><![endif]-->"


def document(body: str, head: str = "") -> str:
    """A document with `body` in its only column; the body starts in line 4."""
    column = f"<mj-section><mj-column>\n{body}\n</mj-column></mj-section>"
    return f"<mjml><mj-head>\n{head}\n</mj-head><mj-body>{column}</mj-body></mjml>"


def page(body: str) -> str:
    """A document with sections or wrappers of its own, which start in line 2."""
    return f"<mjml><mj-body>\n{body}\n</mj-body></mjml>"


def raw(source: str) -> str:
    """The output of mrml without our rewriting."""
    return mjml2html(source, fonts={})


REFUSED_SOURCES = {
    "empty": ("", 1, "There is no <mjml> element"),
    "no root": ("<mj-body></mj-body>", 1, "<mj-body> cannot be the root element"),
    "document type": ("<!DOCTYPE mjml><mjml></mjml>", 1, "no document type declaration. Remove it"),
    "no body": ("<mjml>\n</mjml>", 2, "has no <mj-body>"),
    "two bodies": (page("<mj-raw /></mj-body><mj-body>"), 2, "<mj-body> is allowed only once"),
    "two titles": (
        document(
            ACCORDION.format("", "").replace("</mj-accordion-title>", "</mj-accordion-title><mj-accordion-title />")
        ),
        4,
        "<mj-accordion-title> is allowed only once",
    ),
    "unclosed mj tag": (document("<mj-text>a"), 4, "<mj-text> is not closed before </mj-column>"),
    "unclosed p": (document("<mj-text><p>a</mj-text>"), 4, "<p> is not closed before </mj-text>"),
    "unclosed li": (document("<mj-text><ul><li>a</ul></mj-text>"), 4, "<li> is not closed before </ul>"),
    "unclosed br": (document("<mj-text>a<br></mj-text>"), 4, "Write <br />"),
    "upper case": (document("<mj-text>a<BR></mj-text>"), 4, "Write <BR />"),
    "stray end": (document("<mj-text>a</b> c</mj-text>"), 4, "</b> closes no open element"),
    "less than": (document("<mj-text>1 < 2</mj-text>"), 4, "Write &lt;"),
    "heart": (document("<mj-text>I <3 it</mj-text>"), 4, "Write &lt;"),
    "ampersand": (document("<mj-text>a & b</mj-text>"), 4, "Write &amp;"),
    "unknown entity": (document("<mj-text>&bogus;</mj-text>"), 4, "&bogus; is not a known entity"),
    "Jinja left over": (document("{% for x in y %}"), 4, "<mj-column> cannot contain text"),
    "Jinja with <": (document("<mj-text>{% if a < b %}</mj-text>"), 4, "Write &lt;"),
    "control character": (document("<mj-text>a\x0bb</mj-text>"), 4, "invisible character U+000B"),
    "hyphens in a comment": (document("<mj-text><!-- a -- b --></mj-text>"), 4, "A comment contains --"),
    "unquoted": (document("<mj-text color=red>a</mj-text>"), 4, "The value red needs quotes"),
    "mismatched": (document("<mj-text>hi</mj-button>"), 4, "<mj-text> of line 4 is closed by </mj-button>"),
    "re-nested": (document("<mj-text><b><i>x</b></i></mj-text>"), 4, "<i> is not closed before </b>"),
    "unknown tag": (document("<mj-txt>a</mj-txt>"), 4, "Did you mean <mj-text>?"),
    "unknown tag in body": (page("<mj-sektion />"), 2, "Did you mean <mj-section>?"),
    "unknown tag in head": (document("", "<mj-titel>a</mj-titel>"), 2, "Did you mean <mj-title>?"),
    "upper-case tag": (document("<MJ-TEXT>a</MJ-TEXT>"), 4, "Did you mean <mj-text>?"),
    "HTML in a column": (document("<p>a</p>"), 4, "Put HTML into <mj-text> or <mj-raw>"),
    "text in a column": (document("words"), 4, "<mj-column> cannot contain text: “words”"),
    "bad nesting": (document("<mj-section />"), 4, "Put it into one of these: <mj-body>"),
    "component in text": (document("<mj-text><mj-button>a</mj-button></mj-text>"), 4, "is not allowed within HTML"),
    "mj-html-attributes": (
        document("", "<mj-html-attributes />"),
        2,
        "Write the attributes on the elements",
    ),
    "mj-font": (
        document("", '<mj-font name="a" href="https://x.example/" />'),
        2,
        "load a font from another site",
    ),
    "mj-include": (document('<mj-include path="./a.mjml" />'), 4, "Include blocks with Jinja"),
    "file-start": (page('<mj-raw position="file-start">a</mj-raw>'), 2, "Nothing can be placed before the document"),
    "class with children": (
        document("", '<mj-attributes><mj-class name="a"><mj-text color="red" /></mj-class></mj-attributes>'),
        2,
        "Set the attributes on the class itself",
    ),
    "unknown attribute": (document('<mj-text colour="red">a</mj-text>'), 4, "Did you mean color?"),
    "unknown in mj-all": (document("", '<mj-attributes><mj-all colour="red" /></mj-attributes>'), 2, "mean color?"),
    "bad unit": (document('<mj-text padding="abc">a</mj-text>'), 4, "one to four numbers with a unit (px)"),
    "bad colour": (document('<mj-text color="bleu">a</mj-text>'), 4, "Write a colour such as #1d1e2b"),
    "bad choice": (
        document('<mj-text align="middle">a</mj-text>'),
        4,
        "these: left, right, center, justify",
    ),
    "bad boolean": (document('<mj-image src="a" fluid-on-mobile="yes" />'), 4, "Write true or false"),
    "bad number": (document('<mj-table cellpadding="1px" />'), 4, "Write a whole number"),
    "Jinja in a width": (document('<mj-image src="a" width="{{ w }}" />'), 4, "a number with a unit (px)"),
    "padding in %": (document('<mj-text padding="5%">a</mj-text>'), 4, "one to four numbers with a unit (px), such as"),
    "HTML in the preview": (document("", "<mj-preview>a <b>c</b></mj-preview>"), 2, "cannot contain other elements"),
    "ghost table over two": (
        document(GHOST.format("</mj-raw><mj-text>a</mj-text><mj-raw>").join(("<mj-raw>", "</mj-raw>"))),
        4,
        "The conditional comments in <mj-raw> open <td> and do not close it",
    ),
    "revealed comment": (document("<mj-raw><![if !mso]>a<![endif]></mj-raw>"), 4, "Write <!--[if …]><!-->"),
    "revealed, unended": (document("<mj-raw><![if</mj-raw>"), 4, "Write <!--[if …]><!-->"),
    "conditional, unended": (
        document("<mj-raw><!--[if !mso]><!--><p>a</p></mj-raw>"),
        4,
        "Not all conditional",
    ),
    "conditional comment outside": (document("<!--[if mso]><p>a</p><![endif]-->"), 4, "Put it into <mj-raw>"),
    "MJML in a comment": (document("<mj-raw><!--[if mso]><mj-text /><![endif]--></mj-raw>"), 4, "is not rendered"),
    "instruction": (document("<mj-text><?php x ?></mj-text>"), 4, "processing instruction"),
    "deep": (document("<mj-text>" + "<b>" * 9_000 + "</b>" * 9_000 + "</mj-text>"), 4, "more than 100 levels deep"),
    "includes itself": (page('<mj-include path="self.mjml" />'), 2, "could include itself without end"),
    "duplicate attribute": (document('<mj-text color="red"\n color="blue">a</mj-text>'), 5, "color is set twice"),
    "CSS to be inlined": (document("", '<mj-style inline="inline">p{}</mj-style>'), 2, "style.css, which is inlined"),
    "social icon": (
        document('<mj-social><mj-social-element name="mastodon">M</mj-social-element></mj-social>'),
        4,
        "src",
    ),
    "picture": (document('<mj-image alt="" />'), 4, "needs src. It is the address of the image"),
    "raw in a wrapper": (
        page("<mj-wrapper><mj-raw>a</mj-raw></mj-wrapper>"),
        2,
        "hidden in all mail programs but",
    ),
    "raw in a navbar": (document("<mj-navbar><mj-raw>a</mj-raw></mj-navbar>"), 4, "before or after the element"),
}


@pytest.mark.parametrize("row", REFUSED_SOURCES)
def test_input_that_mrml_breaks_on_is_refused_with_its_line_and_advice(row: str) -> None:
    source, line, advice = REFUSED_SOURCES[row]
    faults = validate_mjml(source)
    assert any(fault.line == line and advice in fault.sentence for fault in faults), faults
    with pytest.raises(RenderingError):
        compile_mjml(source)


IGNORED_ATTRIBUTES = {
    "mj-button title": document('<mj-button title="a">b</mj-button>'),
    "mj-column inner-border": page('<mj-section><mj-column inner-border="1px solid red" /></mj-section>'),
    "mj-column inner-border-radius": page('<mj-section><mj-column inner-border-radius="1px" /></mj-section>'),
    "mj-hero border-radius": page('<mj-hero border-radius="1px" />'),
    "mj-hero mode": page('<mj-hero mode="fluid-height" />'),
    "mj-image sizes": document('<mj-image src="a" sizes="100vw" />'),
    "mj-image border-top": document('<mj-image src="a" border-top="1px solid red" />'),
    "mj-image border-right": document('<mj-image src="a" border-right="1px solid red" />'),
    "mj-image border-bottom": document('<mj-image src="a" border-bottom="1px solid red" />'),
    "mj-image border-left": document('<mj-image src="a" border-left="1px solid red" />'),
    "mj-table role": document('<mj-table role="none" />'),
    "mj-table border": document('<mj-table border="1px solid red" />'),
    "mj-table cellspacing": document('<mj-table cellspacing="3" />'),
    "mj-table width": document('<mj-table width="120px" />'),
    "mj-wrapper gap": page('<mj-wrapper gap="1px" />'),
    "mj-social-element icon-position": document(
        '<mj-social><mj-social-element src="a" icon-position="right" /></mj-social>'
    ),
    "mj-social-element srcset": document('<mj-social><mj-social-element src="a" srcset="b 2x" /></mj-social>'),
    "mj-social-element sizes": document('<mj-social><mj-social-element src="a" sizes="1px" /></mj-social>'),
    "mj-accordion-title font-weight": document(ACCORDION.format("", ' font-weight="bold"')),
    "mj-carousel tb-width": document('<mj-carousel tb-width="20%" />'),
    "mj-carousel thumbnails": document('<mj-carousel thumbnails="supported" />'),
    "mj-hero height": page('<mj-hero height="20%" />'),
}


@pytest.mark.parametrize("row", IGNORED_ATTRIBUTES)
def test_an_attribute_that_mrml_ignores_or_misreads_is_refused_with_advice(row: str) -> None:
    (fault,) = validate_mjml(IGNORED_ATTRIBUTES[row])
    tag, name = row.split()
    assert f"<{tag}>" in fault.sentence
    assert name in fault.sentence
    assert re.search(r"is not supported\. [A-Z]|is not valid on <.*>\. Write \w", fault.sentence)


REWRITTEN = {
    "full-width=false": (
        page('<mj-section full-width="false"><mj-column /></mj-section>'),
        'dir="auto"><!--[if mso | IE]>',
    ),
    "image without alt": (document('<mj-image src="a.png" />'), 'alt=""'),
    "carousel image without alt": (document(CAROUSEL), 'alt=""'),
    "void tag in upper case": (document("<mj-text>a<BR />b</mj-text>"), "a<br />b"),
    "padding over lines": (document('<mj-image src="a" padding="0\n 24px" alt="" />'), 'width="552"'),
    "CDATA": (document("<mj-text><![CDATA[1 < 2]]></mj-text>"), "1 &lt; 2"),
    "XML declaration": ('<?xml version="1.0"?>' + document("<mj-text>a</mj-text>"), ">a</div>"),
    "space in an accordion": (document(ACCORDION.format("", "")), "mj-accordion-title"),
    "space in mj-attributes": (
        document("<mj-text>a</mj-text>", '<mj-attributes><mj-all color="#123456" /> <mj-text /></mj-attributes>'),
        "color:#123456",
    ),
    "< in the preview": (document("<mj-text>a</mj-text>", "<mj-preview>1 &lt; 2</mj-preview>"), "1 &lt; 2"),
    "style over lines": (document('<mj-text><b style="color:red;\n margin:0">a</b></mj-text>'), "color:red; margin:0"),
    "ghost table in one": (document(f"<mj-raw>{GHOST.format('<p>a</p>')}</mj-raw>"), GHOST.format("<p>a</p>")),
}


@pytest.mark.parametrize("row", REWRITTEN)
def test_input_that_mrml_renders_wrongly_is_correct_after_rewriting(row: str) -> None:
    source, expected = REWRITTEN[row]
    assert validate_mjml(source) == ()
    assert expected in compile_mjml(source)


@pytest.mark.parametrize(
    "row", ["full-width=false", "image without alt", "padding over lines", "space in mj-attributes", "style over lines"]
)
def test_mrml_still_renders_it_wrongly_without_the_rewriting(row: str) -> None:
    source, expected = REWRITTEN[row]
    try:
        assert expected not in raw(source)
    except ValueError:
        return  # refusing it is wrong too


def test_an_alt_text_of_a_class_is_not_overwritten() -> None:
    head = '<mj-attributes><mj-class name="logo" alt="Harbour Press" /></mj-attributes>'
    html = compile_mjml(document('<mj-image mj-class="logo" src="a.png" />', head))
    assert 'alt="Harbour Press"' in html
    assert 'alt=""' not in html


def test_default_images_of_mjml_are_refused() -> None:
    source = document(ACCORDION.format("", "").replace('icon-wrapped-url="https://x.example/a.png" ', ""))
    with pytest.raises(RenderingError, match=r"would load https://i\.imgur\.com/bIXv1bk\.png"):
        compile_mjml(source)
    with pytest.raises(RenderingError, match="left-icon and right-icon"):
        compile_mjml(document(CAROUSEL.replace('left-icon="https://x.example/l.png" ', "")))
