"""Validation of MJML: every fault at once, each with its line; block templates are checked without their Jinja."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from newsletter.rendering.compile import compile_mjml
from newsletter.rendering.errors import MjmlFault, RenderingError
from newsletter.rendering.mjml_rules import allowed_children, attribute_faults, is_component
from newsletter.rendering.mjml_tables import ATTRIBUTES, CHILDREN
from newsletter.rendering.validate import validate_mjml, validate_template

BROKEN = """<mjml>
<mj-body>
<mj-section><mj-column>
<mj-text colour="red" padding="wide">1 < 2 & 3</mj-text>
<mj-txt>a</mj-txt>
<mj-image width="10" />
<mj-text>a<br>b</mj-text>
<mj-text align="left"
  align="right">&bogus;</b></mj-text>
words
<mj-button>
</mj-column></mj-section>
<mj-include path="a" />
</mj-body></mjml>"""


def refused_faults(source: str) -> tuple[MjmlFault, ...]:
    """The faults for which rendering refuses a source; empty if it is rendered."""
    try:
        compile_mjml(source)
    except RenderingError as error:
        return error.faults
    return ()


def test_all_faults_are_found_at_once_with_their_lines() -> None:
    faults = validate_mjml(BROKEN)
    found = [(fault.line, fault.sentence.partition(". ")[0].partition(": ")[0]) for fault in faults]
    assert found == [
        (4, "Write &amp; for the character &."),
        (4, "Write &lt; for the character <."),
        (4, "colour is not an attribute of <mj-text>"),
        (4, 'padding="wide" is not valid on <mj-text>'),
        (5, "<mj-txt> is not an MJML element"),
        (6, "<mj-image> needs src"),
        (6, 'width="10" is not valid on <mj-image>'),
        (7, "<br> cannot contain text"),
        (7, "<br> is not closed before </mj-text> in line 7"),
        (9, "&bogus; is not a known entity"),
        (9, "</b> closes no open element."),
        (9, "The attribute align is set twice"),
        (10, "<mj-column> cannot contain text"),
        (11, "<mj-button> is not closed before </mj-column> in line 12."),
        (13, "<mj-include> is not supported"),
    ]


def test_rendering_names_the_first_fault_and_counts_the_others() -> None:
    source = '<mjml><mj-body>\n<mj-sektion />\n<mj-section colour="red" /></mj-body></mjml>'
    with pytest.raises(
        RenderingError, match=r"Did you mean <mj-section>\? There is 1 more problem\. \(line 2\)"
    ) as caught:
        compile_mjml(source)
    assert caught.value.faults == validate_mjml(source)


def test_text_that_is_not_unicode_is_a_fault() -> None:
    (fault,) = validate_mjml("<mjml>\ud800</mjml>")
    assert "not valid Unicode" in fault.sentence


@given(st.text(alphabet="<>/mj-textbody \"'=&;#![]é\n{%}", max_size=80))
def test_validation_agrees_with_rendering(body: str) -> None:
    source = (
        f"<mjml><mj-body><mj-section><mj-column><mj-text>{body}</mj-text></mj-column></mj-section></mj-body></mjml>"
    )
    assert bool(validate_mjml(source)) is bool(refused_faults(source))


@given(st.text(alphabet="<>/mj-ab \"'=&;#![]\n{%}", max_size=80))
def test_any_text_can_be_validated_as_a_template(source: str) -> None:
    lines = source.count("\n") + 1
    assert all(1 <= fault.line <= lines for fault in validate_template(source))


# Templates


def test_faults_of_a_block_with_jinja_have_the_lines_of_its_source() -> None:
    faults = validate_template(
        "{# A story,\n   with its link. #}\n"
        "{% for story in section.stories %}\n"
        '<mj-text color="{{ light.ink }}" padding-{{ start }}="3px"\n'
        '  paddin="2px">{{ story.title\n  }}</mj-text>\n'
        "{% endfor %}\n"
        '<mj-button hre="{{ url }}">Go</mj-button>\n'
    )
    assert [(fault.line, fault.sentence) for fault in faults] == [
        (4, "paddin is not an attribute of <mj-text>. Did you mean padding?"),
        (8, "hre is not an attribute of <mj-button>. Did you mean href?"),
    ]


def test_values_that_jinja_writes_are_not_validated() -> None:
    assert validate_template('<mj-image src="{{ src }}" width="{{ width }}px" alt="{{ alt }}" />') == ()


def test_conditional_attributes_are_allowed() -> None:
    assert validate_template('<mj-text{% if wide %} padding="0px"{% endif %}>a</mj-text>') == ()


def test_a_block_may_consist_of_html() -> None:
    assert validate_template("<h2>{{ title }}</h2>\n{{ html }}\n{% if a %}<p>b</p>{% endif %}") == ()


def test_an_element_that_opens_and_closes_in_different_conditions_is_refused() -> None:
    faults = validate_template(
        "{% if a %}<mj-section>{% endif %}\n<mj-column />\n{% if a %}</mj-section></p>{% endif %}"
    )
    assert [(fault.line, fault.sentence) for fault in faults] == [(3, "</p> closes no open element.")]
    (fault,) = validate_template("<mj-column>\n{% if a %}</mj-column>{% else %}</mj-column>{% endif %}")
    assert fault.line == 2


def test_a_template_of_a_whole_document_needs_a_body() -> None:
    (fault,) = validate_template("{% set a = 1 %}<mjml>\n<mj-head></mj-head>\n</mjml>")
    assert fault.sentence.startswith("<mjml> has no <mj-body>")


# The tables


@pytest.mark.parametrize("tag", sorted(ATTRIBUTES))
def test_every_mjml_component_is_known_and_accepts_a_class(tag: str) -> None:
    refused = {"mj-html-attributes", "mj-font"}
    assert is_component(tag) is (tag not in refused)
    faults = list(attribute_faults(tag, {"css-class": "a", "src": "a", "name": "a", "width": "10px"}))
    assert not [fault for fault in faults if "css-class" in fault or "needs" in fault]


def test_every_component_is_allowed_somewhere() -> None:
    homes = {tag for parent in ("", *CHILDREN) for tag in allowed_children(parent)}
    assert homes >= ATTRIBUTES.keys() - {"mj-html-attributes", "mj-font"}
