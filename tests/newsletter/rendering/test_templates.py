"""Templates: a missing value or a broken template is an error before the first mail."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest

from newsletter.rendering import templates
from newsletter.rendering.errors import RenderingError
from newsletter.rendering.templates import block_names, fill_template, stylesheet, templates_hash
from newsletter.rendering.theme import PLAIN, Theme
from tests.newsletter.rendering.digests import MASTHEAD


def theme_with(source: str, name: str = "blocks/text.mjml", *, is_shipped: bool = True) -> Theme:
    """The theme Plain with one template of its own."""
    return dataclasses.replace(PLAIN, name="own", is_shipped=is_shipped, sources=((name, source),))


def filled(source: str, name: str = "blocks/text.mjml", *, is_shipped: bool = True, **context: Any) -> str:
    return fill_template(name, theme_with(source, name, is_shipped=is_shipped), context)


def test_a_missing_value_is_an_error() -> None:
    with pytest.raises(RenderingError, match=r"blocks/text\.mjml cannot be rendered: 'nme' is undefined"):
        filled("Dear {{ nme }}", recipient="Ada")


def test_a_missing_value_is_reported_with_template_and_line() -> None:
    sources = (("blocks/story.mjml", "a\n\n{{ x }}"), ("blocks/text.mjml", '\n{% include "blocks/story.mjml" %}'))
    theme = dataclasses.replace(PLAIN, sources=sources)
    with pytest.raises(RenderingError, match=r"blocks/story\.mjml cannot be rendered: 'x' is undefined") as caught:
        fill_template("blocks/text.mjml", theme, {})
    assert (caught.value.template, caught.value.line) == ("blocks/story.mjml", 3)


def test_a_broken_template_is_an_error_with_its_line() -> None:
    with pytest.raises(RenderingError, match=r"blocks/text\.mjml has a syntax error: .*endfor") as caught:
        filled("a\nb\n{% if x %}\n{% endfor %}")
    assert caught.value.line == 4


def test_a_template_that_does_not_exist_is_an_error() -> None:
    with pytest.raises(RenderingError, match=r"gone\.mjml cannot be rendered"):
        fill_template("gone.mjml", PLAIN, {})


def test_values_are_escaped_in_mjml_and_not_in_text() -> None:
    assert filled("{{ x }}", x="<a>") == "&lt;a&gt;"
    assert filled("{{ x }}", "issue/body.txt", x="<a>") == "<a>"


def test_a_value_is_not_run_as_a_template() -> None:
    assert filled("{{ x }}", x="{{ 7*7 }}") == "{{ 7*7 }}"


@pytest.mark.parametrize(
    "source",
    [
        "{{ x.upper() }}",
        "{{ x.__class__ }}",
        "{{ ''.__class__.__mro__ }}",
        "{{ '%s'.format(x) }}",
        "{{ x.format }}",
        "{{ masthead.__init__ }}",
        "{{ masthead['__class__'] }}",
        "{{ masthead.__dataclass_fields__ }}",
        "{{ masthead|attr('name') }}",
        "{{ x|safe }}",
        "{{ x|format }}",
        "{{ [x]|map('upper')|join }}",
        "{{ lipsum() }}",
        "{{ range(3) }}",
        "{{ cycler('a') }}",
        "{{ x['format'] }}",
        "{{ theme.items }}",
        "{{ self._TemplateReference__context }}",
        "{{ loop }}",
        "{% for a in [1] %}{{ loop.cycle('a') }}{% endfor %}",
        "{% macro m() %}{% endmacro %}{{ m() }}",
        "{% include 'themes/plain/theme.toml' %}",
        "{% include '../../manage.py' %}",
        "{% include '/etc/passwd' %}",
        "{% import 'os' as os %}",
        "{% for letter in 'a'.join %}{% endfor %}",
        "{% autoescape false %}{{ x }}{% endautoescape %}",
        "{%-  autoescape false %}{{ x }}{% endautoescape %}",
        "{% include 'blocks/text.mjml' %}",
        "{% from 'blocks/text.mjml' import x %}{{ x() }}",
        "{% call x() %}{% endcall %}",
        "{% set ns = namespace(a=1) %}",
        "{{ [masthead]|join(attribute='__class__') }}",
    ],
)
def test_a_template_that_was_not_shipped_can_call_nothing(source: str) -> None:
    with pytest.raises(RenderingError):
        filled(source, is_shipped=False, x="Ada", masthead=MASTHEAD)


def test_a_template_that_was_not_shipped_can_use_values_loops_and_listed_filters() -> None:
    source = "{% for word in words %}{{ loop.index }}:{{ word|upper }}{% if not loop.last %}, {% endif %}{% endfor %}"
    own = filled(source + " {{ masthead.name }}", is_shipped=False, words=("a", "b"), masthead=MASTHEAD)
    assert own == "1:A, 2:B The Harbour Digest"


def test_a_changed_template_changes_the_hash(monkeypatch: pytest.MonkeyPatch) -> None:
    hashes = set()
    for sources in ({"a": "x"}, {"b": "x"}, {"b": "y"}):
        monkeypatch.setattr(templates, "shipped_sources", lambda sources=sources: sources)
        hashes.add(templates_hash.__wrapped__())
    assert len(hashes) == 3


def test_every_block_has_a_template_that_themes_may_replace() -> None:
    names = "button callout contents divider footer heading image lead links masthead quote sponsor stories story text"
    assert block_names() == tuple(f"blocks/{name}.mjml" for name in names.split())


def test_stylesheets_have_no_comments_and_no_unfilled_values() -> None:
    for name, colour in (("style.css", PLAIN.light.link), ("head.css", PLAIN.dark.link)):
        css = stylesheet(name, PLAIN, "ltr")
        assert "/*" not in css
        assert "{{" not in css
        assert colour in css


def test_a_themes_rules_come_after_the_common_ones() -> None:
    own = theme_with("h1 { color: {{ light.accent }} }", "style.css")
    assert stylesheet("style.css", own, "ltr") == (
        stylesheet("style.css", PLAIN, "ltr") + f"\nh1 {{ color: {PLAIN.light.accent} }}"
    )


def test_bars_are_on_the_side_where_lines_start() -> None:
    assert "border-left: 3px" in stylesheet("style.css", PLAIN, "ltr")
    assert "border-right: 3px" in stylesheet("style.css", PLAIN, "rtl")
