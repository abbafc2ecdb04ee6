"""MJML source: input that mrml would corrupt, emit raw or crash on is rewritten or refused first.

Each test of a rewriting also shows what mrml does without it, so that the test fails once mrml is fixed.
"""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st
from mjml import mjml2html

from newsletter.rendering.compile import compile_mjml
from newsletter.rendering.errors import RenderingError
from newsletter.rendering.source import MAX_DEPTH, ascii_attribute, rewrite_mjml


def document(body: str, head: str = "") -> str:
    return (
        f"<mjml><mj-head>\n{head}\n</mj-head><mj-body><mj-section><mj-column>{body}"
        "</mj-column></mj-section></mj-body></mjml>"
    )


def raw(source: str) -> str:
    """The output of mrml without our rewriting."""
    return mjml2html(source, fonts={})


def words(html: str) -> str:
    """The text of the mail's body."""
    body = re.sub(r"<!--.*?-->", "", html.partition("<body")[2])
    return " ".join(re.sub(r"<[^>]*>", "", body.partition(">")[2]).split(" ")).strip()


# Attributes


@pytest.mark.parametrize(
    ("value", "damaged", "kept"),
    [
        ("say \u201chi\u201d\u00a0there", r"\u{a0}", "&#160;"),
        ("a\u200bb", r"\u{200b}", "&#8203;"),
        ("family \U0001f468\u200d\U0001f469", r"\u{200d}", "&#8205;"),
        ("heart \u2764\ufe0f", r"\u{fe0f}", "&#65039;"),
        ("e\u0301", r"\u{301}", "&#769;"),
        ("back\\slash", "back\\\\slash", "&#92;"),
    ],
)
def test_an_attribute_keeps_its_characters(value: str, damaged: str, kept: str) -> None:
    source = document(f'<mj-image src="x.png" alt="{value}" />')
    assert damaged in raw(source)
    assert kept in compile_mjml(source)
    assert damaged not in compile_mjml(source)


def test_quotes_do_not_break_out_of_an_attribute() -> None:
    source = document("<mj-image src='x.png' alt='say \"hi\"' />")
    assert r'alt="say \"hi\""' in raw(source)
    assert 'alt="say &#34;hi&#34;"' in compile_mjml(source)


def test_a_style_written_over_several_lines_keeps_its_declarations() -> None:
    source = document('<mj-text><b style="color: red;\n   margin: 0">hi</b></mj-text>')
    assert r"color: red;\n" in raw(source)
    assert 'style="color: red; margin: 0"' in compile_mjml(source)


def test_the_title_is_not_corrupted_in_the_aria_label() -> None:
    source = document("<mj-text>hi</mj-text>", head='<mj-title>Say "hi"\u00a0now</mj-title>')
    assert r"\"hi\"" in raw(source)
    assert 'aria-label="Say &#34;hi&#34;&#160;now"' in compile_mjml(source)


@given(st.text(st.characters(exclude_categories=["Cs"])))
def test_an_attribute_value_is_always_ascii_that_rust_leaves_alone(value: str) -> None:
    written = ascii_attribute(value)
    assert written.isascii()
    assert written.isprintable()
    assert not set(written) & set('"<>\\')


def test_a_duplicate_attribute_is_refused_where_mrml_takes_the_last_one() -> None:
    source = document('<mj-text color="#ff0000"\n color="#00ff00">hi</mj-text>')
    assert "color:#00ff00" in raw(source)
    with pytest.raises(RenderingError, match="duplicate attribute") as caught:
        rewrite_mjml(source)
    assert caught.value.line == 4


def test_a_bare_zero_in_a_padding_gets_its_unit() -> None:
    source = document('<mj-image src="x.png" alt="" padding="0 24px" />')
    assert 'width="600"' in raw(source)
    assert 'width="552"' in compile_mjml(source)
    assert 'padding="0px 10px 0px"' in rewrite_mjml(document('<mj-text padding="0 10px 0">hi</mj-text>'))


# Text


def test_words_at_the_end_of_a_line_are_not_joined() -> None:
    source = document("<mj-text><b>Hello</b>\n  <i>world</i></mj-text>")
    assert words(raw(source)) == "Helloworld"
    assert words(compile_mjml(source)) == "Hello world"


def test_code_keeps_its_lines() -> None:
    html = compile_mjml(document("<mj-text><pre><code>if a:\n    <em>b</em>\n<em>c</em>\n</code></pre></mj-text>"))
    assert "<pre><code>if a:&#10;    <em>b</em>&#10;<em>c</em>&#10;</code></pre>" in html


def test_escaped_markup_and_entities_stay_text() -> None:
    html = compile_mjml(document("<mj-text>1 &lt; 2 &amp;&amp; &lt;mj-text&gt; &eacute;&nbsp;&#8364; “ü”</mj-text>"))
    assert "1 &lt; 2 &amp;&amp; &lt;mj-text&gt; é\u00a0€ “ü”" in html


def test_one_space_between_tags_of_the_head_is_no_error() -> None:
    source = document("<mj-text>hi</mj-text>", head="<mj-title>a</mj-title> <mj-preview>b</mj-preview>")
    with pytest.raises(ValueError, match="unexpected"):
        raw(source)
    assert "<title>a</title>" in compile_mjml(source)


def test_conditional_comments_are_kept_and_other_comments_removed() -> None:
    html = compile_mjml(document("<mj-raw><!-- for us --><!--[if mso]><tr><td>x</td></tr><![endif]--></mj-raw>"))
    assert "<!--[if mso]><tr><td>x</td></tr><![endif]-->" in html
    assert "for us" not in html


def test_css_selectors_are_written_as_they_are() -> None:
    html = compile_mjml(document("<mj-text>hi</mj-text>", head="<mj-style>a > b { color: red }</mj-style>"))
    assert "a > b { color: red }" in html


# Refusals


def test_a_tag_closed_by_another_is_refused_where_mrml_accepts_it() -> None:
    source = document("\n<mj-text>hi</mj-button>")
    assert "hi" in raw(source)
    with pytest.raises(RenderingError, match="mismatched tag") as caught:
        rewrite_mjml(source)
    assert caught.value.line == 4


def test_html_with_crossed_tags_is_refused() -> None:
    source = document("<mj-text><b><i>x</b></i></mj-text>")
    assert "x" in raw(source)
    with pytest.raises(RenderingError, match="mismatched tag"):
        rewrite_mjml(source)


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        ("<mj-txt>hi</mj-txt>", "<mj-txt> is not an MJML element. Did you mean <mj-text>?"),
        ("<MJ-TEXT>hi</MJ-TEXT>", "<MJ-TEXT> is not an MJML element. Did you mean <mj-text>?"),
        ("<p>hi</p>", "<p> is not allowed in <mj-column>"),
        ("just words", "<mj-column> cannot contain text: “just words”"),
        ("<mj-section></mj-section>", "<mj-section> is not allowed in <mj-column>"),
        ("<mj-text><mj-button>x</mj-button></mj-text>", "<mj-button> is not allowed within HTML"),
        ("<mj-text><MJ-BUTTON>x</MJ-BUTTON></mj-text>", "<MJ-BUTTON> is not allowed within HTML"),
        ("<mj-divider><p>x</p></mj-divider>", "<mj-divider> cannot contain other elements, such as <p>"),
        ("<mj-text><br>x</br></mj-text>", "<br> cannot contain text"),
    ],
)
def test_elements_that_mrml_would_emit_raw_or_lose_are_refused(body: str, reason: str) -> None:
    with pytest.raises(RenderingError, match=re.escape(reason)):
        rewrite_mjml(document(body))


@pytest.mark.parametrize(
    "source",
    [
        "",
        "   ",
        "<mjml>",
        "<mj-body></mj-body>",
        "<mjml><mj-body>1 < 2</mj-body></mjml>",
        document("<mj-text>&bogus;</mj-text>"),
        document("<mj-text>a\x00b</mj-text>"),
        document("<mj-text><p>a<p>b</mj-text>"),
        document("<mj-raw><![if !mso]></mj-raw>"),
        document("<mj-raw><![if"),
        document("<mj-raw><!-- a -- b --></mj-raw>"),
        document("<mj-text color=red>x</mj-text>"),
        document("<mj-include path='x' />"),
        document("<mj-style>a{}</mj-style>"),
        document("<mj-text>hi</mj-text>", head="<mj-preview>a <b>c</b></mj-preview>"),
        document("<mj-text>hi</mj-text>", head="<mj-style>a{content:'&lt;'}</mj-style>"),
        document("<mj-text>\ud800</mj-text>"),
    ],
)
def test_source_that_is_not_well_formed_is_an_error_with_a_sentence(source: str) -> None:
    with pytest.raises(RenderingError, match=r"^The MJML .+\."):
        rewrite_mjml(source)


def test_a_document_type_is_refused_before_entities_are_expanded() -> None:
    bomb = '<!DOCTYPE mjml [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;&a;">]>' + document("<mj-text>&b;</mj-text>")
    with pytest.raises(RenderingError, match="no document type"):
        rewrite_mjml(bomb)


def test_nesting_that_would_crash_the_process_is_refused_before_mrml_runs() -> None:
    deep = document("<mj-text>" + "<b>" * 20_000 + "</b>" * 20_000 + "</mj-text>")
    with pytest.raises(RenderingError, match=f"more than {MAX_DEPTH} levels deep"):
        compile_mjml(deep)


def test_nesting_as_deep_as_markdown_allows_is_rendered() -> None:
    html = compile_mjml(document("<mj-text>" + "<ul><li>" * 30 + "x" + "</li></ul>" * 30 + "</mj-text>"))
    assert html.count("<li>") == 30


def test_rewriting_twice_changes_nothing_more() -> None:
    source = document(
        '<mj-text padding="0 1px">a <b title="é&quot;">b</b>\n<pre>x\ny</pre><br /></mj-text>',
        head="<mj-attributes>\n<mj-all color='#111111' /> <mj-section padding='0' /></mj-attributes>",
    )
    once = rewrite_mjml(source)
    assert rewrite_mjml(once) == once


@given(st.text(alphabet="<>/mj-textb \"'=&;#![]é\n", max_size=60))
def test_any_content_of_a_column_is_rendered_or_refused(body: str) -> None:
    try:
        html = compile_mjml(document(body))
    except RenderingError:
        return
    assert "<mj-" not in re.sub(r"<!--.*?-->", "", html, flags=re.DOTALL)


@pytest.mark.parametrize("tag", ["script", "iframe", "object", "embed", "base", "SCRIPT"])
def test_elements_that_mail_programs_treat_as_dangerous_are_refused(tag: str) -> None:
    for holder in ("mj-text", "mj-raw"):
        with pytest.raises(RenderingError, match=rf"treat <{tag}> as dangerous.*\(line 3\)"):
            rewrite_mjml(document(f"<{holder}>a<{tag}></{tag}></{holder}>"))


@pytest.mark.parametrize("element", ['<p onclick="x()">a</p>', '<img src="https://a.example/b" ONERROR="x" />'])
def test_scripts_in_attributes_are_refused(element: str) -> None:
    with pytest.raises(RenderingError, match="do not run scripts"):
        rewrite_mjml(document(f"<mj-text>{element}</mj-text>"))


@pytest.mark.parametrize("tag", ["input", "source", "area", "param", "track"])
def test_every_void_tag_of_html_is_written_as_mrml_reads_it(tag: str) -> None:
    with pytest.raises(ValueError, match="unexpected"):
        raw(document(f"<mj-text>a<{tag}></{tag}>b</mj-text>"))
    assert f"a<{tag} />b" in compile_mjml(document(f"<mj-text>a<{tag}></{tag}>b</mj-text>"))
