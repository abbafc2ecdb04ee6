"""The Atom feed: valid for any text, and the same for the same issues."""

from __future__ import annotations

import datetime

import pytest
from django.test import Client
from hypothesis import given
from hypothesis import strategies as st

from newsletter.models import Issue, Newsletter
from newsletter.web.feed import MAX_ENTRIES, AtomFeed, FeedEntry, write_atom
from tests.newsletter.web.published import parse_xml, publish, publish_weekly
from tests.newsletter.web.test_pages import break_edition
from tests.publications import make_newsletter

FEED = "/harbour-notes/feed.atom"
ATOM = {"a": "http://www.w3.org/2005/Atom"}

any_text = st.text(st.characters(exclude_categories=()), max_size=40) | st.sampled_from(
    ["]]>", "\x00", "\ufffe", "\ud800", "&amp;", "<b>", "\x0b\x1f\x7f\x85", "🚢", "\r\n"]
)


def legal(text: str) -> str:
    """The characters that XML 1.0 §2.2 allows, with line ends normalised as by every parser."""
    kept = [
        char
        for char in text
        if char in "\t\n\r" or "\x20" <= char <= "\ud7ff" or "\ue000" <= char <= "\ufffd" or char > "\uffff"
    ]
    return "".join(kept).replace("\r\n", "\n").replace("\r", "\n")


@given(title=any_text, summary=any_text, category=any_text, name=any_text)
def test_a_feed_is_valid_xml_for_any_text(title: str, summary: str, category: str, name: str) -> None:
    at = datetime.datetime(2026, 3, 2, 6, tzinfo=datetime.UTC)
    entry = FeedEntry(
        id="tag:digest.example.org,2026-03-02:issue/1",
        title=title,
        url="https://digest.example.org/a/issues/b/",
        published=at,
        updated=at,
        summary=summary,
        categories=(category,),
        html=f"<p>{title}</p>",
    )
    feed = AtomFeed(
        id="tag:digest.example.org,2026:newsletter/1",
        title=name,
        subtitle=summary,
        url="https://digest.example.org/a/",
        feed_url="https://digest.example.org/a/feed.atom",
        language="en",
        author=name,
        entries=(entry,),
    )
    root = parse_xml(write_atom(feed))
    assert (root.findtext("a:title", namespaces=ATOM) or "") == legal(name)
    assert (root.findtext("a:entry/a:title", namespaces=ATOM) or "") == legal(title)
    assert root.findtext("a:entry/a:content", namespaces=ATOM) == f"<p>{legal(title)}</p>"


@pytest.mark.django_db
def test_the_feed_has_the_full_text_of_the_latest_issues(client: Client) -> None:
    publish_weekly(MAX_ENTRIES + 1)
    response = client.get(FEED)
    assert response["Content-Type"] == "application/atom+xml; charset=utf-8"
    root = parse_xml(response)
    titles = [title.text for title in root.iterfind("a:entry/a:title", ATOM)]
    assert titles == [f"Week {week} at the quays" for week in range(MAX_ENTRIES + 1, 1, -1)]
    full_text = root.findtext("a:entry/a:content", namespaces=ATOM)
    assert "<h2>Deep dives</h2>" in full_text
    assert '<a href="https://harbour.example/cranes/3">Quay 3 gets a taller crane</a>' in full_text
    assert "<em>forty</em> tonnes" in full_text


@pytest.mark.django_db
def test_an_entry_has_the_metadata_that_feed_readers_use(client: Client) -> None:
    publish(week=1)
    root = parse_xml(client.get(FEED))
    site = "http://127.0.0.1:8000/harbour-notes"
    assert root.get("{http://www.w3.org/XML/1998/namespace}lang") == "en"
    assert root.xpath("a:link[@rel='self']/@href", namespaces=ATOM) == [f"{site}/feed.atom"]
    assert root.xpath("a:entry/a:link[@rel='alternate']/@href", namespaces=ATOM) == [f"{site}/issues/issue-1/"]
    assert root.xpath("a:entry/a:category/@term", namespaces=ATOM) == ["News", "Tech"]
    assert root.findtext("a:author/a:name", namespaces=ATOM) == "Harbour Notes"
    assert root.findtext("a:updated", namespaces=ATOM) == "2026-03-09T06:00:00+00:00"
    assert root.findtext("a:entry/a:published", namespaces=ATOM) == "2026-03-09T06:00:00+00:00"


@pytest.mark.django_db
def test_an_entry_keeps_its_id_when_newsletter_and_issue_are_renamed(client: Client) -> None:
    issue = publish()
    ids = read_ids(client, FEED)
    assert ids == [f"tag:127.0.0.1,2026:newsletter/{issue.newsletter_id}", f"tag:127.0.0.1,2026-03-02:issue/{issue.pk}"]
    Newsletter.objects.update(name="Quay Notes", slug="quay-notes")
    Issue.objects.update(slug="another")
    assert read_ids(client, "/quay-notes/feed.atom") == ids


@pytest.mark.django_db
def test_one_unreadable_issue_does_not_break_the_feed(client: Client) -> None:
    publish_weekly(3)
    break_edition("week-2")
    titles = [title.text for title in parse_xml(client.get(FEED)).iterfind("a:entry/a:title", ATOM)]
    assert titles == ["Week 3 at the quays", "Week 1 at the quays"]


@pytest.mark.django_db
def test_an_empty_feed_is_the_same_at_each_request(client: Client) -> None:
    make_newsletter()
    first = client.get(FEED)
    assert parse_xml(first).find("a:entry", ATOM) is None
    assert client.get(FEED, headers={"If-None-Match": first["ETag"]}).status_code == 304


def read_ids(client: Client, path: str) -> list[str]:
    """The ids of a feed and its entries."""
    return [element.text for element in parse_xml(client.get(path)).iterfind(".//a:id", ATOM)]
