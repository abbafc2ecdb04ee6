"""Markdown rendered as safe HTML and as plain text."""

from __future__ import annotations

import re
import time
from xml.etree import ElementTree

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from newsletter.content import markdown
from newsletter.content.body_notes import body_notes
from newsletter.content.markdown import ALLOWED_TAGS, link_targets, markdown_to_html, markdown_to_text

MARKDOWN_PIECES = (
    "# |## |> |- |1. |```|~~~|\n|\n\n|    |*|**|_|`|[|](|)|<|>|![|&|&#12;|&nbsp;|javascript:|data:|//evil.example|"
    "<!--|-->|<sub>|</sub>|<b>|</b>|<br>|<div>|</div>|<a href=https://a.example>|</a>|<table><tr><td>|<img src=x>|[^1]"
    "|~~|\n[^1]: |[x] |--\\|--|https://a.example|\\|\"|'|---|===|\x00|\x0b|\u2028|\ufffe|\u202e|words "
    "|naïve|🚢|<svg/onload=x>|]: "
)
ANY_BODY = st.one_of(st.text(), st.lists(st.sampled_from(MARKDOWN_PIECES.split("|")), max_size=40).map("".join))


@given(ANY_BODY)
def test_html_of_any_text_is_well_formed_and_within_the_allowlist(body: str) -> None:
    root = ElementTree.fromstring(f"<body>{markdown_to_html(body)}</body>")

    for element in root.iter():
        assert element.tag in ALLOWED_TAGS | {"body"}
        assert set(element.attrib) <= {"href", "start", "align", "class"}
        assert element.get("class") in (None, "data")
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


@pytest.mark.parametrize(
    ("typed", "html", "text"),
    [
        ("H<sub>2</sub>O", "<p>H<sub>2</sub>O</p>", "H₂O"),
        ("10<sup>6</sup> m, the 1<sup>st</sup>", "<p>10<sup>6</sup> m, the 1<sup>st</sup></p>", "10⁶ m, the 1st"),
        ("x<sup>2/3</sup>", "<p>x<sup>2/3</sup></p>", "x^(2/3)"),
        ("one<br>two<br/>three", "<p>one<br />\ntwo<br />\nthree</p>", "one\ntwo\nthree"),
        ("~~old~~ <del>older</del>", "<p><s>old</s> <s>older</s></p>", "~~old~~ ~~older~~"),
        (
            '<a href="https://a.example/x?a=1&amp;b=2" target=_blank>the *plan*</a>',
            '<p><a href="https://a.example/x?a=1&amp;b=2">the <em>plan</em></a></p>',
            "the plan (https://a.example/x?a=1&b=2)",
        ),
        ("<b>loud</b> <span style='color:red'>red</span>", "<p><strong>loud</strong> red</p>", "loud red"),
        ("<q>quiet</q> <kbd>C</kbd>", "<p>“quiet” <code>C</code></p>", "“quiet” C"),
        ("- [x] done\n- [ ] open", "<ul>\n<li>☑ done</li>\n<li>☐ open</li>\n</ul>", "- ☑ done\n- ☐ open"),
        (
            "See [plan].\n\n[plan]: https://a.example",
            '<p>See <a href="https://a.example">plan</a>.</p>',
            "See plan (https://a.example).",
        ),
        ("a<!-- no --> b\n\n<!--\nno\n\n## No\n-->\nc", "<p>a b</p>\n<p>c</p>", "a b\n\nc"),
        ("`<!-- code -->`", "<p><code>&lt;!-- code --&gt;</code></p>", "<!-- code -->"),
        (
            "<div>\n<p>One <i>two</i></p>\n<p>three</p>\n</div>",
            "<p>One <em>two</em></p>\n<p>three</p>",
            "One two\n\nthree",
        ),
        ("*a <b>b* c</b>", "<p><em>a &lt;b&gt;b</em> c&lt;/b&gt;</p>", "a <b>b c</b>"),
    ],
)
def test_what_people_write_is_shown_in_both_parts(typed: str, html: str, text: str) -> None:
    assert markdown_to_html(typed) == html
    assert markdown_to_text(typed) == text


def test_a_table_is_a_table_in_html_and_lines_in_the_text_part() -> None:
    table = "| Port | Depth |\n|------|------:|\n| Hull \\| Goole | 4 m |\n| [Kiel](https://k.example) | **9** m |"

    assert markdown_to_html(table) == (
        '<table class="data">\n<thead>\n<tr>\n<th>Port</th>\n<th align="right">Depth</th>\n</tr>\n</thead>\n<tbody>\n'
        '<tr>\n<td>Hull | Goole</td>\n<td align="right">4 m</td>\n</tr>\n<tr>\n'
        '<td><a href="https://k.example">Kiel</a></td>\n<td align="right"><strong>9</strong> m</td>\n</tr>\n'
        "</tbody>\n</table>"
    )
    assert markdown_to_text(table) == "Port | Depth\nHull | Goole | 4 m\nKiel (https://k.example) | 9 m"


def test_footnotes_stand_below_the_text_in_the_order_of_their_numbers() -> None:
    body = (
        "A[^b] and B[^a], A again[^b].\n\n[^a]: First *defined*,\n    with [more](https://m.example).\n[^b]: Seen[^a]."
    )

    assert markdown_to_html(body) == (
        "<p>A<sup>[1]</sup> and B<sup>[2]</sup>, A again<sup>[1]</sup>.</p>\n"
        "<p><sup>[1]</sup> Seen<sup>[2]</sup>.</p>\n"
        '<p><sup>[2]</sup> First <em>defined</em>, with <a href="https://m.example">more</a>.</p>'
    )
    assert markdown_to_text(body) == (
        "A[1] and B[2], A again[1].\n\n[1] Seen[2].\n\n[2] First defined, with more (https://m.example)."
    )


def test_links_within_links_keep_the_inner_one() -> None:
    assert markdown_to_html('<a href="https://a.example">a [b](https://b.example)</a>') == (
        '<p>&lt;a href="https://a.example"&gt;a <a href="https://b.example">b</a>&lt;/a&gt;</p>'
    )


@pytest.mark.parametrize(
    "piece",
    [
        "![",
        "[",
        "> ",
        "- ",
        "`a",
        "**a*",
        "<a ",
        "<b>",
        "</i>",
        "<div>\n",
        "<div><x>\n",
        "<!--",
        "<!--\n",
        "[^a]",
        "~~a",
        "|a",
    ],
)
def test_hostile_texts_take_linear_time(piece: str) -> None:
    started = time.thread_time()
    body = piece * (100_000 // len(piece))
    markdown_to_html(body)
    markdown_to_text(f"a | b\n--|--\n{body}")
    body_notes(body)

    assert time.thread_time() - started < 60  # a few seconds; quadratic parsing takes many minutes


def test_html_is_shown_as_typed() -> None:
    assert markdown_to_html("a <script>alert(1)</script> & b < c") == (
        "<p>a &lt;script&gt;alert(1)&lt;/script&gt; &amp; b &lt; c</p>"
    )


def test_an_image_in_a_text_is_shown_as_a_link_with_its_description() -> None:
    assert markdown_to_html("![a *crane*](https://img.example/1.png)") == (
        '<p><a href="https://img.example/1.png">a <em>crane</em></a></p>'
    )
    assert markdown_to_text("![a *crane*](https://img.example/1.png)") == "a crane (https://img.example/1.png)"
    assert markdown_to_html("![](https://img.example/1.png)").count("https://img.example/1.png") == 2
    assert markdown_to_html("![a crane](data:image/png;base64,AA)") == "<p>a crane</p>"
    assert markdown_to_html("[![a crane](https://img.example/1.png)](https://a.example)") == (
        '<p><a href="https://a.example">a crane</a></p>'
    )
    assert link_targets("![a](https://img.example/1.png) [![b](https://img.example/2.png)](https://a.example)") == (
        "https://img.example/1.png",
        "https://a.example",
    )


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
