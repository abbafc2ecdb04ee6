"""Stories from the metadata of web pages, in any encoding."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from newsletter.content.document import StoryContent
from newsletter.content.fields import body_fault, field_faults
from newsletter.content.web_page import WebPageError, read_web_page

URL = "https://www.quay.example/cranes/3"
ARTICLE = """<!doctype html><html><head><title>Quay 3 – Harbour Daily</title>
<meta name="description" content="From the meta tag.">
{}</head><body><h1>Quay 3 gets a crane</h1></body></html>"""
OPEN_GRAPH = """<meta property="og:title" content="Taller cranes &amp; quays">
<meta property="og:site_name" content="Harbour Daily">
<meta property="og:description" content="It lifts *forty* tonnes.">"""
TWITTER = '<meta name="twitter:title" content="Taller cranes"><meta name="twitter:description" content="Forty tonnes.">'
JSON_LD = """<script type="application/ld+json">{"@context": "https://schema.org", "@graph": [{"@type": "Organization",
"name": "No story"}, {"@type": ["NewsArticle"], "headline": "Cranes, in detail", "description": "Forty.",
"publisher": {"@type": "Organization", "name": "Harbour Daily"}}]}</script>"""


def story(html: str, **options: str) -> StoryContent:
    return read_web_page(html.encode(), URL, **options)


@pytest.mark.parametrize(
    ("extra", "title", "source", "body"),
    [
        (OPEN_GRAPH, "Taller cranes & quays", "Harbour Daily", "It lifts \\*forty\\* tonnes."),
        (TWITTER, "Taller cranes", "quay.example", "Forty tonnes."),
        (JSON_LD, "Cranes, in detail", "Harbour Daily", "Forty."),
        (OPEN_GRAPH + TWITTER + JSON_LD, "Taller cranes & quays", "Harbour Daily", "It lifts \\*forty\\* tonnes."),
        ("", "Quay 3 – Harbour Daily", "quay.example", "From the meta tag."),
        ('<meta property="og:site_name" content="Harbour daily">', "Quay 3", "Harbour daily", "From the meta tag."),
        ('<meta property="og:title" content=" ">', "Quay 3 – Harbour Daily", "quay.example", "From the meta tag."),
        (
            '<script type="application/ld+json">{broken</script>',
            "Quay 3 – Harbour Daily",
            "quay.example",
            "From the meta tag.",
        ),
    ],
    ids=[
        "Open Graph",
        "Twitter",
        "JSON-LD",
        "all three",
        "plain HTML",
        "a site's name",
        "an empty field",
        "broken JSON-LD",
    ],
)
def test_the_best_metadata_of_a_page_becomes_the_story(extra: str, title: str, source: str, body: str) -> None:
    assert story(ARTICLE.format(extra)) == StoryContent(title=title, url=URL, source=source, body=body)


def test_without_a_title_the_heading_is_used() -> None:
    assert story("<h1>Quay 3\n gets a <b>crane</b></h1>").title == "Quay 3 gets a crane"


@pytest.mark.parametrize("html", ["", " ", "<p>Only words.</p>", "<title> </title>", "\x00"])
def test_a_page_without_a_title_is_refused(html: str) -> None:
    with pytest.raises(WebPageError):
        story(html)


@pytest.mark.parametrize(
    ("data", "charset"),
    [
        ("<title>Kärna</title>".encode(), ""),
        ("<title>Kärna</title>".encode("cp1252"), ""),
        ('<meta charset="iso-8859-1"><title>Kärna</title>'.encode("iso-8859-1"), ""),
        ('<?xml version="1.0" encoding="utf-8"?><title>Kärna</title>'.encode(), ""),
        ("\ufeff<title>Kärna</title>".encode(), "iso-8859-1"),
        ("<title>Kärna</title>".encode("utf-16"), ""),
        ("<title>Kärna</title>".encode("iso-8859-1"), "ISO-8859-1"),
        ("<title>Kärna</title>".encode(), "no-such-encoding"),
        ("<title>Kärna</title>".encode(), "hex"),
        ('<meta charset="hex"><title>Kärna</title>'.encode(), "idna"),
    ],
)
def test_encodings_are_recognised(data: bytes, charset: str) -> None:
    assert read_web_page(data, URL, charset=charset).title == "Kärna"


def test_titles_have_no_markup_and_are_shortened() -> None:
    long = ARTICLE.format(f'<meta property="og:title" content="&lt;b&gt;Tall&lt;/b&gt; {"crane " * 100}">')
    found = story(long)
    assert found.title.startswith("Tall crane")
    assert len(found.title) <= 300


PIECES = [
    "<title>",
    "</title>",
    '<meta name="description" content="',
    '">',
    "<h1>",
    "\x00",
    "\ud800",
    "<!--",
    "-->",
    "<svg>",
]
PIECES += [
    '<script type="application/ld+json">',
    '{"@type":"Article","headline":',
    "</script>",
    "[",
    "&#xd800;",
    "x",
    "é",
]


@given(
    st.one_of(
        st.binary(),
        st.lists(st.sampled_from(PIECES)).map(lambda parts: "".join(parts).encode("utf-8", "surrogatepass")),
    ),
    st.one_of(st.text(max_size=12), st.sampled_from(["utf-7", "punycode", "undefined", "unicode_escape", "utf-16"])),
)
def test_any_bytes_give_a_storable_story_or_an_error(data: bytes, charset: str) -> None:
    try:
        found = read_web_page(data, URL, charset=charset)
    except WebPageError:
        return
    assert found.title
    assert [*field_faults("story title", found.title), *field_faults("source", found.source)] == []
    assert body_fault(found.body) is None


@pytest.mark.parametrize(
    ("written", "title"),
    [
        ("Using &lt;T&gt; well", "Using <T> well"),
        ("Using &amp;lt;T&amp;gt; well", "Using <T> well"),
        ("Cranes &amp;amp; quays", "Cranes & quays"),
        ("&lt;b&gt;Tall&lt;/b&gt; cranes", "Tall cranes"),
        ("The &lt;b&gt; tag", "The <b> tag"),
        ("List&lt;String&gt; &amp; friends", "List<String> & friends"),
        ("Tall &amp;#8211; taller", "Tall – taller"),
    ],
)
def test_titles_that_were_escaped_twice_are_read_as_in_feeds(written: str, title: str) -> None:
    assert story(ARTICLE.format(f'<meta property="og:title" content="{written}">')).title == title
