"""Saved feeds: with the full text they are archives; teasers are named."""

from __future__ import annotations

import pytest

from newsletter.content.archives.item import UnreadItem
from tests.newsletter.content.archives.exports import as_json, everything_in, issues_of, the_failure, the_issue, written

RSS = """<?xml version="1.0" encoding="UTF-8"?><rss version="2.0" xmlns:content="http://purl.org/rss/1.0/modules/content/">
<channel><title>Tide log</title><link>https://log.example/</link><language>de-DE</language>
<item><title>Cranes &amp; quays</title><link>https://log.example/p/cranes/</link><guid isPermaLink="false">c-1</guid>
<pubDate>{date}</pubDate><category>Harbour</category><description>Only the beginning…</description>
<content:encoded><![CDATA[{html}]]></content:encoded></item></channel></rss>"""
HTML = '<h2>News</h2><p>The <a href="/other">crane</a> lifts.</p>'
ATOM = """<?xml version="1.0"?><feed xmlns="http://www.w3.org/2005/Atom" xml:base="https://log.example/">
<title>Tide log</title><entry><id>tag:log.example,2026:1</id>
<title type="html">Cranes &amp;amp; quays</title><link href="p/cranes"/>
<updated>2026-11-19T07:30:00+01:00</updated>
<content type="html">&lt;p&gt;The &lt;b&gt;crane&lt;/b&gt; lifts.&lt;/p&gt;</content></entry></feed>"""


def rss(html: str = HTML, date: str = "Thu, 19 Nov 2026 07:30:00 +0100") -> str:
    return RSS.format(html=html, date=date)


def test_an_entry_with_its_full_text_is_an_issue() -> None:
    item = the_issue({"feed.xml": rss()}, "feed")
    assert (item.key, item.content.title, item.content.slug, item.language) == (
        "c-1",
        "Cranes & quays",
        "cranes",
        "de-DE",
    )
    assert item.old_paths == ("/p/cranes/",)
    assert item.content.categories == ("Harbour",)
    assert str(item.published_at) == "2026-11-19 06:30:00+00:00"
    assert written(item.content) == "## News\nThe [crane](https://log.example/other) lifts."


@pytest.mark.parametrize(
    "date", ["Thu, 19 Nov 2026 01:30:00 EST", "2026-11-19T06:30:00Z", "Thu, 19 Nov 2026 06:30:00 GMT"]
)
def test_dates_of_feeds_are_read_in_all_forms(date: str) -> None:
    assert str(the_issue({"feed.xml": rss(date=date)}).published_at) == "2026-11-19 06:30:00+00:00"


def test_atom_is_read() -> None:
    item = the_issue({"atom.xml": ATOM}, "feed")
    assert (item.key, item.content.title) == ("tag:log.example,2026:1", "Cranes & quays")
    assert item.old_paths == ("/p/cranes",)
    assert written(item.content) == "## {text}\nThe **crane** lifts."


def test_json_feed_is_read() -> None:
    entries = [
        {"id": 1, "url": "https://log.example/p/a", "title": "A", "content_html": HTML,
         "date_published": "2026-11-19T06:30:00Z", "tags": ["x"]},
        {"id": 2, "url": "https://log.example/p/b", "title": "B", "content_text": "2 < 3\n\nTwo"},
    ]  # fmt: skip
    feed = as_json({"version": "https://jsonfeed.org/version/1.1", "title": "Tide log", "items": entries})
    first, second = issues_of(everything_in({"feed.json": feed}, "feed"))
    assert first.content.categories == ("x",)
    assert written(second.content) == "## {text}\n2 < 3\n\nTwo"


def test_teasers_are_named_and_not_imported_as_issues() -> None:
    item = the_failure({"feed.xml": rss(html="")})
    assert item.is_failure
    assert item.place == "feed.xml, entry 1"
    assert "only the beginning of “Cranes & quays”" in item.sentence


def test_a_long_description_that_is_not_cut_is_the_text() -> None:
    description = "&lt;p&gt;" + "word " * 150 + "end.&lt;/p&gt;"
    text = rss(html="").replace("Only the beginning…", description)
    assert "end." in written(the_issue({"feed.xml": text}).content)


def test_entities_that_a_feed_declares_are_refused() -> None:
    feed = '<!DOCTYPE x [<!ENTITY a "b">]>' + rss().split("?>", 1)[1]
    (item,) = everything_in({"feed.xml": feed})
    assert isinstance(item, UnreadItem)
    assert "entities" in item.sentence


def test_a_mail_of_mailchimp_in_a_feed_loses_its_merge_tags() -> None:
    page = "<html><body><p>Dear *|FNAME|*, words.</p><p><a href='*|UNSUB|*'>unsubscribe</a></p></body></html>"
    assert written(the_issue({"feed.xml": rss(html=page)}).content) == "## {text}\nDear, words."
