"""Markdown rendered as safe HTML and as plain text."""

from __future__ import annotations

import re
from xml.etree import ElementTree

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from newsletter.content import markdown
from newsletter.content.markdown import ALLOWED_TAGS, link_targets, markdown_to_html, markdown_to_text

MARKDOWN_PIECES = (
    "# |## |> |- |1. |```|~~~|\n|\n\n|    |*|**|_|`|[|](|)|<|>|![|&|&#12;|&nbsp;|javascript:|data:|//evil.example|"
    "https://a.example|\\|\"|'|---|===|\x00|\x0b|\u2028|\ufffe|\u202e|words |naïve|🚢|<svg/onload=x>|]: "
)
ANY_BODY = st.one_of(st.text(), st.lists(st.sampled_from(MARKDOWN_PIECES.split("|")), max_size=40).map("".join))


@given(ANY_BODY)
def test_html_of_any_text_is_well_formed_and_within_the_allowlist(body: str) -> None:
    root = ElementTree.fromstring(f"<body>{markdown_to_html(body)}</body>")

    for element in root.iter():
        assert element.tag in ALLOWED_TAGS | {"body"}
        assert set(element.attrib) <= {"href", "start"}
        assert re.match(r"https?://[^/]|mailto:.+@", element.get("href", "https://x"), re.IGNORECASE)


@given(ANY_BODY)
def test_plain_text_of_any_text_is_printable(body: str) -> None:
    text = markdown_to_text(body)

    assert text.encode("utf-8").decode("utf-8") == text
    assert not re.search(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f]", text)


@pytest.mark.parametrize(
    "address",
    [
        "javascript:alert(1)",
        "JaVaScRiPt:alert(1)",
        "java&#115;cript:alert(1)",
        "vbscript:x",
        "data:text/html;base64,PHNjcmlwdD4=",
        "//evil.example",
        "/\\evil.example",
        "https:///evil.example",
        "https:evil.example",
        "ftp://files.example",
        "file:///etc/passwd",
        "relative/page",
        "#part",
        "mailto:",
    ],
)
def test_a_link_to_anything_but_web_or_mail_keeps_its_text_and_loses_its_target(address: str) -> None:
    assert markdown_to_html(f"[the words]({address})") == "<p>the words</p>"
    assert markdown_to_text(f"[the words]({address})") == "the words"
    assert len(link_targets(f"[the words]({address})")) == 1


def test_links_have_no_attribute_but_their_address() -> None:
    assert (
        markdown_to_html('[tide tables](https://tides.example/a?x=1&y=2 "hover")')
        == '<p><a href="https://tides.example/a?x=1&amp;y=2">tide tables</a></p>'
    )


def test_only_addresses_with_a_scheme_become_links() -> None:
    body = "ASP.NET, main.py, //evil.example and ada@harbour.example, but https://harbour.example/_log_ too"

    assert re.findall('href="([^"]*)"', markdown_to_html(body)) == ["https://harbour.example/_log_"]


def test_a_link_without_text_shows_its_address() -> None:
    shown = '<p><a href="https://a.example">https://a.example</a></p>'

    assert markdown_to_html("[](https://a.example)") == shown
    assert markdown_to_html("[![](https://a.example/pixel.png)](https://a.example)") == shown


def test_html_is_shown_as_typed() -> None:
    assert markdown_to_html("a <script>alert(1)</script> & b < c") == (
        "<p>a &lt;script&gt;alert(1)&lt;/script&gt; &amp; b &lt; c</p>"
    )


def test_an_image_is_replaced_by_its_alternative_text() -> None:
    assert markdown_to_html("![a *crane*](https://img.example/1.png)") == "<p>a <em>crane</em></p>"
    assert markdown_to_text("![a *crane*](https://img.example/1.png)") == "a crane"


def test_headings_in_a_story_become_bold_paragraphs_and_in_a_section_small_headings() -> None:
    assert markdown_to_html("# Why *now*\ntext") == "<p><strong>Why <em>now</em></strong></p>\n<p>text</p>"
    assert markdown_to_html("## Why now", under="section") == "<h3>Why now</h3>"


def test_line_breaks_between_inline_tags_survive_as_spaces() -> None:
    assert markdown_to_html("*one*\n**two**  \n*three*") == (
        "<p><em>one</em> <strong>two</strong><br />\n<em>three</em></p>"
    )


def test_a_no_break_space_is_a_numeric_entity() -> None:
    assert markdown_to_html("5&nbsp;km") == "<p>5&#160;km</p>"


def test_text_nested_too_deeply_is_shown_as_typed() -> None:
    html = markdown_to_html("> " * 5_000 + "the anchor held")

    assert html.startswith("<p>&gt; &gt;")
    assert html.endswith("the anchor held</p>")
    assert markdown_to_text("- " * 5_000 + "the anchor held").endswith("the anchor held")


@pytest.mark.parametrize("body", ["", "  ", "\n\n"])
def test_a_blank_body_gives_an_empty_string(body: str) -> None:
    assert markdown_to_html(body) == ""
    assert markdown_to_text(body) == ""


def test_the_text_part_keeps_lists_quotes_code_and_link_targets_readable() -> None:
    body = """\
First *paragraph* of
two lines, [linked](https://a.example/x) and [mail](mailto:ada@harbour.example).

- one
- two
  1. inner
  2. more

3. loose

4. items

> quoted
>
> - in a list

```
x < 1
```

***

https://b.example
"""
    assert (
        markdown_to_text(body)
        == """\
First paragraph of two lines, linked (https://a.example/x) and mail (ada@harbour.example).

- one
- two
  1. inner
  2. more

3. loose

4. items

> quoted
>
> - in a list

    x < 1

-----

https://b.example"""
    )


@given(
    st.text(
        st.one_of(st.sampled_from("abz ZÄß漢19 .,;:?'\"()%/+-’“”–…_@"), st.characters(categories=["L", "N", "M", "P"]))
    )
)
@example("Well: mailto:ada@x.example, at 9:00 - or http:/x")
@example("Ends in spaces  ")
def test_the_fast_path_for_plain_text_equals_parsing(text: str) -> None:
    fast_path = markdown_to_html(text), markdown_to_text(text)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(markdown, "_is_plain", lambda _: False)
        assert fast_path == (markdown_to_html(text), markdown_to_text(text))
