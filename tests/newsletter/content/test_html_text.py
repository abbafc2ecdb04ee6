"""Untrusted HTML as Markdown: text and web links are kept, everything active is removed."""

from __future__ import annotations

import html
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from newsletter.content.fields import body_fault, field_faults
from newsletter.content.html_text import html_to_line, html_to_markdown, one_line, shortened
from newsletter.content.markdown import link_targets, markdown_to_html, markdown_to_text

TAGS = ("p", "b", "i", "a", "ul", "li", "div", "br", "h2", "script", "style", "svg", "table", "td", "blockquote", "x-y")
PIECES = [
    *(f"<{tag}>" for tag in TAGS),
    *(f"</{tag}>" for tag in TAGS),
    *('<a href="https://a.example/(x)">', '<a href="javascript:alert(1)">', "<!--", "-->", "<![CDATA[", "]]>"),
    *("&amp;", "&lt;", "&#0;", "&#x202e;", "&nbsp;", "1. ", "- ", "*", "_", "`", "[", "](", ")", "\\", "#", "\n"),
]
markup = st.lists(st.one_of(st.sampled_from(PIECES), st.text(max_size=8)), max_size=25).map("".join)


@pytest.mark.parametrize(
    ("given_html", "markdown"),
    [
        ("<p>The crane <b>lifts</b> <em>forty</em> tonnes.</p><p>Nobody asked.</p>", "{} **lifts** *forty* tonnes."),
        ("The <strong>crane: </strong>it lifts.", "The **crane**: it lifts."),
        ("<ul><li>One</li><li>Two</li></ul>", "- One\n- Two"),
        ("<h2>Cranes</h2><div>Forty<br>tonnes</div>", "**Cranes**\n\nForty\\\ntonnes"),
        ('See <a href="/3">quay 3 [new]</a>.', "See [quay 3 \\[new\\]](https://quay.example/3)."),
        ('See <a href="javascript:alert(1)">this</a> or <a href="mailto:a@b.example">that</a>.', "See this or that."),
        ("Loud<script>alert('no')</script><style>p{}</style><svg><text>x</text></svg> crane", "Loud crane"),
        ("<!-- secret -->2 &lt; 3 &amp; AT&amp;T, snake_case", "2 < 3 & AT&T, snake_case"),
        ("1. no list<p>- none<p># nor heading<p>> quote", "1\\. no list\n\n\\- none\n\n\\# nor heading\n\n\\> quote"),
        ("2 * 3 * 4 and `code` and &lt;b&gt;", "2 \\* 3 \\* 4 and \\`code\\` and \\<b>"),
        ("", ""),
        ("<p> </p><script>x</script>", ""),
    ],
)
def test_html_becomes_the_markdown_that_an_editor_would_write(given_html: str, markdown: str) -> None:
    expected = markdown.replace("{}", "The crane") + ("\n\nNobody asked." if "{}" in markdown else "")
    assert html_to_markdown(given_html, base_url="https://quay.example/feed") == expected


def test_a_long_text_is_cut_after_a_paragraph_or_a_sentence() -> None:
    paragraphs = "<p>First one.</p><p>" + "Second sentence. " * 10 + "</p>"
    assert html_to_markdown(paragraphs, longest=60) == "First one."
    assert (
        html_to_markdown("<p>" + "It <b>lifts</b> forty. " * 10, longest=60)
        == "It lifts forty. It lifts forty. It lifts forty."
    )
    assert shortened("no end in sight " * 9, 30) == "no end in sight no end in…"
    assert shortened("x" * 40, 30) == "x" * 29 + "…"


def test_deep_nesting_keeps_the_text() -> None:
    assert html_to_line("<p><b>" * 200 + "crane") == "crane"
    assert len(html_to_markdown("<div>" * 100_000 + "crane" + "<b>" * 100_000)) <= 1_000


@given(markup)
def test_any_html_gives_storable_text_with_web_links_only(text: str) -> None:
    markdown = html_to_markdown(text, base_url="https://quay.example/")
    assert len(markdown) <= 2_100
    assert body_fault(markdown) is None
    assert all(target.startswith(("https://", "http://")) for target in link_targets(markdown))
    line = shortened(html_to_line(text), 300)
    assert list(field_faults("story title", line)) == []


@given(st.text(max_size=60))
def test_plain_text_is_kept(words: str) -> None:
    shown = markdown_to_text(html_to_markdown(html.escape(words)))
    expected = one_line(words.replace("\xad", ""))
    assert " ".join(shown.split()) == " ".join(expected.split())


@given(markup)
def test_only_allowed_tags_are_left(text: str) -> None:
    shown = markdown_to_html(html_to_markdown(text))
    assert set(re.findall(r"<(\w+)", shown)) <= {
        "p",
        "a",
        "em",
        "strong",
        "ul",
        "li",
        "br",
        "code",
        "pre",
        "blockquote",
        "table",
        "thead",
        "tbody",
        "tr",
        "th",
        "td",
    }
