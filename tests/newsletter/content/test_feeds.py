"""Feeds: one entry in five formats, and malicious content."""

from __future__ import annotations

import datetime
import html
import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from newsletter.content.feeds import MAX_ENTRIES, FeedError, read_feed
from newsletter.content.fields import LIMITS, body_faults, field_faults
from newsletter.content.markdown import markdown_to_html

URL = "https://quay.example/news/feed"
MORNING = datetime.datetime(2026, 11, 19, 6, 30, tzinfo=datetime.UTC)

RSS2 = """<?xml version="1.0" encoding="UTF-8"?>
<rss version="2.0" xmlns:content="http://purl.org/rss/1.0/modules/content/"><channel>
<title>Harbour Daily</title><link>https://quay.example/</link>
<item><title>Cranes &amp; quays</title><link>/news/cranes</link><guid isPermaLink="false">c-1</guid>
<pubDate>Thu, 19 Nov 2026 07:30:00 +0100</pubDate>
<description>&lt;p&gt;The crane &lt;b&gt;lifts&lt;/b&gt;.&lt;/p&gt;</description>
<content:encoded><![CDATA[<p>All of it, at length.</p>]]></content:encoded></item>
</channel></rss>"""

RSS091 = """<?xml version="1.0"?>
<!DOCTYPE rss PUBLIC "-//Netscape Communications//DTD RSS 0.91//EN" "http://dtd.example/rss-0.91.dtd">
<rss version="0.91"><channel><title>Harbour Daily</title><item><title>Cranes &amp; quays</title>
<link>https://quay.example/news/cranes</link><description>The crane **lifts**.</description></item></channel></rss>"""

RSS1 = """<?xml version="1.0"?>
<rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#" xmlns="http://purl.org/rss/1.0/"
 xmlns:dc="http://purl.org/dc/elements/1.1/"><channel rdf:about="https://quay.example/"><title>Harbour Daily</title>
</channel><item rdf:about="https://quay.example/news/cranes"><title>Cranes &amp; quays</title>
<link>https://quay.example/news/cranes</link><description>The crane lifts.</description>
<dc:date>2026-11-19T06:30:00Z</dc:date></item></rdf:RDF>"""

ATOM = """<?xml version="1.0" encoding="utf-8"?>
<feed xmlns="http://www.w3.org/2005/Atom" xml:base="https://quay.example/news/">
<title type="html">Harbour &lt;i&gt;Daily&lt;/i&gt;</title>
<entry><id>tag:quay.example,2026:1</id><title type="text">Cranes &amp; quays</title>
<link rel="self" href="self.atom"/><link rel="alternate" href="cranes"/>
<published>2026-11-19T07:30:00+01:00</published>
<content type="xhtml"><div xmlns="http://www.w3.org/1999/xhtml">The crane <b>lifts</b>.</div></content>
</entry></feed>"""

JSON = json.dumps(
    {
        "version": "https://jsonfeed.org/version/1.1",
        "title": "Harbour Daily",
        "items": [
            {
                "id": 7,
                "url": "cranes",
                "title": "Cranes & quays",
                "content_html": "<p>The crane <b>lifts</b>.</p>",
                "date_published": "2026-11-19T07:30:00+01:00",
            }
        ],
    }
)


def rss(*items: str) -> bytes:
    body = "".join(f"<item>{item}</item>" for item in items)
    return f'<rss version="2.0"><channel><title>Harbour Daily</title>{body}</channel></rss>'.encode()


def item(number: int, **fields: str) -> str:
    written = {"title": f"Quay {number}", "link": f"https://quay.example/{number}"} | fields
    return "".join(f"<{name}>{value}</{name}>" for name, value in written.items())


@pytest.mark.parametrize(
    ("text", "has_date"),
    [(RSS2, True), (RSS091, False), (RSS1, True), (ATOM, True), (JSON, True)],
    ids=["RSS 2.0", "RSS 0.91", "RSS 1.0", "Atom", "JSON Feed"],
)
def test_every_format_gives_the_same_entry(text: str, has_date: bool) -> None:
    reading = read_feed(text.encode(), URL)
    (entry,) = reading.items
    assert (reading.title, entry.source) == ("Harbour Daily", "Harbour Daily")
    assert (entry.title, entry.url) == ("Cranes & quays", "https://quay.example/news/cranes")
    assert entry.summary in {"The crane **lifts**.", "The crane lifts.", "The crane \\*\\*lifts\\*\\*."}
    assert entry.published == (MORNING if has_date else None)


def test_the_ids_of_entries_are_kept() -> None:
    names = [read_feed(text.encode(), URL).items[0].guid for text in (RSS2, ATOM, JSON)]
    assert names == ["c-1", "tag:quay.example,2026:1", "7"]


def test_an_aggregated_feed_names_the_source_of_each_entry() -> None:
    data = rss(item(1) + '<source url="https://ferry.example/feed">Ferry Post</source>')
    assert read_feed(data, URL).items[0].source == "Ferry Post"


@pytest.mark.parametrize("encoding", ["utf-8", "utf-16", "iso-8859-1"])
def test_encodings_are_supported(encoding: str) -> None:
    text = f'<?xml version="1.0" encoding="{encoding}"?>' + rss(item(1, title="Kärna")).decode()
    assert read_feed(text.encode(encoding), URL).items[0].title == "Kärna"


def test_the_charset_of_the_server_is_used() -> None:
    data = rss(item(1, title="Kärna")).decode().encode("iso-8859-1")
    assert read_feed(data, URL, charset="iso-8859-1").items[0].title == "Kärna"


def test_malformed_xml_still_gives_its_entries() -> None:
    data = rss(item(1, title="Cranes & quays <3"), item(2)).replace(b"</channel></rss>", b"")
    assert [entry.url for entry in read_feed(data, URL).items] == ["https://quay.example/1", "https://quay.example/2"]


@pytest.mark.parametrize(
    ("change", "title"),
    [
        ({"title": ""}, "Quay 3 gets a crane that lifts forty tonnes and sings while…"),
        ({"title": "", "description": ""}, "https://quay.example/1"),
        ({"title": "&lt;b&gt;Bold&lt;/b&gt; cranes"}, "Bold cranes"),
        ({"title": "Tall " * 100}, "Tall " * 58 + "Tall…"),
        ({"title": "", "description": "x" * 900}, "x" * 299 + "…"),
    ],
    ids=["the first words", "the link", "without its HTML", "shortened", "the first word, shortened"],
)
def test_every_entry_has_a_title_that_fits(change: dict[str, str], title: str) -> None:
    words = "Quay 3 gets a crane that lifts forty tonnes and sings while it works."
    (entry,) = read_feed(rss(item(1, **({"description": words} | change))), URL).items
    assert entry.title == title


# Malicious content


LAUGHS = """<?xml version="1.0"?><!DOCTYPE rss [<!ENTITY a "ha"><!ENTITY b "&a;&a;&a;&a;&a;&a;&a;&a;&a;&a;">
<!ENTITY c "&b;&b;&b;&b;&b;&b;&b;&b;&b;&b;">]><rss version="2.0"><channel><title>&c;</title></channel></rss>"""
FILE = """<?xml version="1.0"?><!DOCTYPE rss [<!ENTITY file SYSTEM "file:///etc/passwd">]>
<rss version="2.0"><channel><item><title>&file;</title><link>https://quay.example/1</link></item></channel></rss>"""


@pytest.mark.parametrize("document", [LAUGHS, FILE, FILE.replace("!ENTITY file", "!entity % file")])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-16", "utf-32"])
def test_a_feed_with_entities_is_not_parsed(document: str, encoding: str) -> None:
    with pytest.raises(FeedError, match="declares XML entities"):
        read_feed(document.encode(encoding), URL)


@pytest.mark.parametrize("encoding", ["utf-7", "cp037", "cp500"])
@pytest.mark.parametrize("is_declared", [True, False])
def test_entities_are_found_in_encodings_that_hide_them(encoding: str, is_declared: bool) -> None:
    """The parser reads these, whether the server or the document names them."""
    document = LAUGHS.replace('"1.0"?', f'"1.0" encoding="{encoding}"?')
    data = document.encode(encoding)
    if encoding == "utf-7":  # which may spell each character in its own way
        data = document.partition("?>")[0].encode() + b"?>" + document.partition("?>")[2].replace("<", "+ADw-").encode()
    with pytest.raises(FeedError, match="declares XML entities"):
        read_feed(data, URL, charset=encoding if is_declared else "")


@pytest.mark.parametrize(
    "document",
    [
        LAUGHS.replace("<!DOCTYPE", "<!-- a feed --><?pi <rss> ?>\n<!DOCTYPE"),
        LAUGHS.replace("[<!ENTITY", "[<!-- ]> --><!ELEMENT a ANY>\n<!ENTITY"),
        LAUGHS.replace("[<!ENTITY", "[<!ATTLIST a b CDATA ']>'><!ENTITY"),
        LAUGHS.replace("[<!ENTITY", "SYSTEM ']>' [<?pi ]> ?><!ENTITY"),
        "<!DOCTYPE rss [" + "<!ELEMENT a ANY>" * 2_000 + "]><rss/>",
        "<!DOCTYPE rss [" + "<!--" * 20_000,
    ],
)
def test_no_prolog_hides_an_entity(document: str) -> None:
    with pytest.raises(FeedError, match="declares XML entities"):
        read_feed(document.encode(), URL)


@pytest.mark.parametrize(
    "prolog",
    [
        "",
        '<?xml version="1.0"?>',
        "<!-- <!ENTITY a 'b'> -->",
        '<!DOCTYPE rss PUBLIC "-//Netscape//DTD RSS 0.91//EN" "https://quay.example/rss-0.91.dtd">',
        "<!DOCTYPE rss [<!-- no <!ENTITY here --><!ELEMENT rss ANY>]>",
    ],
)
def test_an_entry_may_write_about_entities(prolog: str) -> None:
    about = "<![CDATA[<p>Write <!ENTITY a 'b'> in a <!DOCTYPE rss [ ]>.</p>]]>"
    data = prolog.encode() + rss(item(1, title="<![CDATA[On <!ENTITY]]>", description=about), item(2))
    assert [entry.url for entry in read_feed(data, URL).items] == ["https://quay.example/1", "https://quay.example/2"]


@pytest.mark.parametrize("link", ["javascript:alert(1)", "data:text/html,x", "mailto:a@b.example", ""])
def test_an_entry_without_a_web_link_is_left_out_and_counted(link: str) -> None:
    data = rss(f"<title>Odd</title><link>{link}</link>", item(2))
    reading = read_feed(data, URL)
    assert [entry.title for entry in reading.items] == ["Quay 2"]
    assert reading.without_link == 1


def test_an_entry_with_only_a_file_links_to_the_file() -> None:
    episode = '<title>Fog</title><enclosure url="https://quay.example/fog.mp3" type="audio/mpeg" length="1"/>'
    (entry,) = read_feed(rss(episode), URL).items
    assert (entry.title, entry.url) == ("Fog", "https://quay.example/fog.mp3")


def test_a_json_item_with_only_a_file_links_to_the_file() -> None:
    item_of = {"id": "1", "title": "Fog", "attachments": [{"url": "https://quay.example/fog.mp3"}]}
    data = json.dumps({"version": "https://jsonfeed.org/version/1.1", "items": [item_of]}).encode()
    assert [entry.url for entry in read_feed(data, URL).items] == ["https://quay.example/fog.mp3"]


@pytest.mark.parametrize(
    ("link", "url"),
    [
        ("https://quay.example/tall crane.html", "https://quay.example/tall%20crane.html"),
        ("/tall crane", "https://quay.example/tall%20crane"),
    ],
)
def test_spaces_in_a_link_are_read_as_browsers_do(link: str, url: str) -> None:
    assert [entry.url for entry in read_feed(rss(item(1, link=link)), URL).items] == [url]


@pytest.mark.parametrize("version", ["http://jsonfeed.org/version/1", "https://www.jsonfeed.org/version/1.1"])
def test_spellings_of_the_version_of_json_feed_are_known(version: str) -> None:
    items = [{"id": 7, "url": "https://quay.example/7", "title": "Quay 7"}]
    data = json.dumps({"version": version, "items": items}).encode()
    assert [entry.title for entry in read_feed(data, URL).items] == ["Quay 7"]


def test_parts_of_one_page_are_entries_of_their_own() -> None:
    links = ["https://quay.example/notes#June_05", "https://quay.example/notes#June_06"]
    data = rss(*(item(number, link=link) for number, link in enumerate(links)))
    assert [entry.url for entry in read_feed(data, URL).items] == links


def test_entries_with_ids_of_their_own_may_share_a_link() -> None:
    data = rss(*(item(number, link="https://quay.example/menu", guid=f"tag:menu-{number}") for number in (1, 2, 2)))
    assert [entry.guid for entry in read_feed(data, URL).items] == ["tag:menu-1", "tag:menu-2"]


def test_summaries_have_no_scripts_and_web_links_only() -> None:
    written = '<p>Hi<script>alert(1)</script> <a href="javascript:x">there</a>, <a href="/q">q</a>'
    (entry,) = read_feed(rss(item(1, description=html.escape(written))), URL).items
    assert entry.summary == "Hi there, [q](https://quay.example/q)"


@pytest.mark.parametrize(
    "typed", ["{first_name|you}", "{{ first_name }}", "{ name|you }", "{% if mail %}", "*|FNAME|*", "{<b>name</b>|you}"]
)
def test_merge_fields_of_other_sites_are_never_filled(typed: str) -> None:
    written = f"<p>{typed}, <b>says the crane</b>.</p>"
    (entry,) = read_feed(rss(item(1, title=html.escape(typed), description=html.escape(written))), URL).items
    assert list(field_faults("story title", entry.title)) == []
    assert list(body_faults(entry.summary)) == []
    assert "Ada" not in markdown_to_html(entry.summary, merge=lambda field: "Ada")


def test_a_page_is_listed_once_for_all_spellings_of_its_link() -> None:
    links = ["https://quay.example/1", "http://quay.example/1/", "https://quay.example/1?utm_source=rss#:~:text=crane"]
    data = rss(*(item(number, link=link) for number, link in enumerate(links)))
    assert [entry.title for entry in read_feed(data, URL).items] == ["Quay 0"]


def test_an_id_of_several_entries_is_ignored() -> None:
    data = rss(item(1, guid="tag:same"), item(2, guid="tag:same"), item(3, guid="tag:own"))
    assert [entry.guid for entry in read_feed(data, URL).items] == ["", "", "tag:own"]


def test_the_number_of_entries_is_limited() -> None:
    data = rss(*(item(number) for number in range(MAX_ENTRIES + 50)))
    assert len(read_feed(data, URL).items) == MAX_ENTRIES


@pytest.mark.parametrize(
    ("data", "sentence"),
    [
        (b"", "no feed at this address"),
        (b"Nothing here.", "no feed at this address"),
        (b"<html><title>Quay</title>", "no feed at this address"),
        (b'<html><link rel=alternate type="application/rss+xml" href="/f?a=1&amp;b">', "https://quay.example/f?a=1&b"),
        (b'<html><link type="application/atom+xml" href="javascript:x">', "no feed at this address"),
        (b"{", "not valid JSON"),
        (b'{"version": "2"}', "not a JSON Feed"),
        (b"{" + b'"a":[' * 3_000, "not valid JSON"),
    ],
)
def test_anything_but_a_feed_is_refused_with_advice(data: bytes, sentence: str) -> None:
    with pytest.raises(FeedError) as caught:
        read_feed(data, URL)
    assert sentence in str(caught.value)


PIECES = [
    *(b'<rss version="2.0">', b"<channel>", b"<item>", b"</item>", b"<title>", b"</title>", b"<link>", b"</link>"),
    *(b"<guid>", b"<pubDate>", b"Mon, 99 Foo 99999 99:99:99 +9999", b"<description>", b"&lt;", b"&#99999999;", b"&#0;"),
    *(
        b"<feed xmlns='http://www.w3.org/2005/Atom'>",
        b"<entry>",
        b"<link href='http://['/>",
        b"https://quay.example/a",
        b"&#xD800;",
        b"{{ first_name }}",
        b"{<b>first_name</b>|you}",
        b"Hello {name|x}",
        b"harbour" * 60,
    ),
    *(b"<!DOCTYPE [", b'<?xml version="1.0" encoding="utf-7"?>', b"\x00", b"\xff\xfe", b"<content mode='base64'>"),
    *(b'{"version":"https://jsonfeed.org/version/1","items":[', b'{"url":"http://a"},', b"]}", b"<![CDATA["),
    *(b"<source>", b"<georss:point>", b"<content type='xhtml'>", b"<div>", b"\xe4"),
]
JSON_VALUES = st.recursive(
    st.one_of(
        st.none(), st.booleans(), st.integers(-(2**53), 2**53), st.text(max_size=9), st.just("https://a.example")
    ),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(st.text(max_size=3), inner, max_size=3)),
    max_leaves=5,
)
FIELDS = ("id", "url", "external_url", "title", "summary", "content_text", "content_html", "date_published", "version")
json_feeds = st.fixed_dictionaries(
    {
        "version": st.just("https://jsonfeed.org/version/1.1"),
        "items": st.one_of(JSON_VALUES, st.lists(st.dictionaries(st.sampled_from(FIELDS), JSON_VALUES), max_size=3)),
    },
    optional={"title": JSON_VALUES},
).map(lambda feed: json.dumps(feed).encode())


@settings(deadline=None)  # the first lookup of a codec searches the disk
@given(
    st.one_of(st.binary(), st.lists(st.sampled_from(PIECES), max_size=14).map(b"".join), json_feeds),
    st.text(max_size=9),
)
def test_any_bytes_give_valid_entries_or_a_feed_error(data: bytes, charset: str) -> None:
    try:
        reading = read_feed(data, URL, charset=charset)
    except FeedError:
        return
    for entry in reading.items:
        for name, value in (("story title", entry.title), ("link", entry.url), ("source", entry.source)):
            assert list(field_faults(name, value)) == []  # type: ignore[arg-type]
        assert list(body_faults(entry.summary)) == []
        assert entry.title
        assert entry.url
        assert len(entry.guid) <= 1_000
    assert len(reading.title) <= LIMITS["source"]
