"""Every kind of block on issue pages and in the feed, and how images are loaded."""

from __future__ import annotations

import dataclasses
import itertools

import pytest
from django.test import Client

from newsletter.rendering.sample_issue import BLOCKS, PICTURE, STORIES, sample_issue
from tests.newsletter.web.published import html_of, open_page, parse_xml, publish, words

pytestmark = pytest.mark.django_db

TITLES = [story.title for story in BLOCKS["stories"].stories]
ISSUE, FEED = "/harbour-notes/issues/issue-1/", "/harbour-notes/feed.atom"


def test_every_block_has_its_semantic_markup_on_the_page(client: Client) -> None:
    sections = sample_issue().sections
    publish(sections=sections)
    page = open_page(client, ISSUE)
    assert words(page, "//article//section[@class='story']/h3/a") == [
        story.title for section in sections for story in section.stories if story.url
    ]
    assert words(page, "//article//aside/h2") == ["Tides to mind", "Rope by the metre"]
    assert words(page, "//article//figure/blockquote") == ["A boat is never finished, only launched."]
    assert words(page, "//article//figure/figcaption") == [
        "— Ines, boatbuilder",
        "The Marguerite, hauled out on Sunday.",
    ]
    assert words(page, "//article//a[@class='button']") == ["Book a day on the slip"]
    assert words(page, "//article//a[@class='button']/@href") == ["https://slipway.example/book?a=1&b=2"]
    assert page.xpath("//article/hr")
    assert words(page, "//article//section[h2='Also read']//li/a") == ["Varnish in damp weather", "Oars, measured"]


def test_a_sponsor_and_its_link_are_labelled(client: Client) -> None:
    publish(sections=sample_issue().sections)
    assert words(open_page(client, ISSUE), "//aside[contains(@class, 'sponsor')]/p[1]") == [
        "Advertisement · Boje & Daughters"
    ]
    assert words(open_page(client, ISSUE), "//a[@rel='sponsored']/@href") == ["https://rope.example/"]


def test_a_sponsor_without_a_title_is_linked_by_its_name(client: Client) -> None:
    publish(sections=(*sample_issue("stories").sections, dataclasses.replace(BLOCKS["sponsor"], title="")))
    assert words(open_page(client, ISSUE), "//a[@rel='sponsored']") == ["Boje & Daughters"]
    assert words(open_page(client, ISSUE), "//a[@rel='sponsored']/@href") == ["https://rope.example/"]


def test_public_pages_show_the_fallback_of_a_merge_field_in_a_preheader(client: Client) -> None:
    publish(subject="Ports for {first_name|you}", preheader="Ten stories, {first_name|dear reader}.")
    for path in (ISSUE, FEED):
        body = client.get(path).content.decode()
        assert "Ten stories, dear reader." in body
        assert "{first_name" not in body


def test_public_pages_show_the_fallback_of_a_merge_field(client: Client) -> None:
    publish(sections=sample_issue().sections)
    for path in (ISSUE, FEED):
        body = client.get(path).content.decode()
        assert "Hello reader: the old slip" in body
        assert "{first_name" not in body


def test_images_load_lazily_and_get_no_referrer(client: Client) -> None:
    publish(sections=sample_issue().sections)
    pictures = open_page(client, ISSUE).xpath("//article//img")
    assert [picture.get("src") for picture in pictures] == [PICTURE, PICTURE, PICTURE]
    described = [STORIES[0].alt, BLOCKS["image"].alt, BLOCKS["sponsor"].alt]
    assert [picture.get("alt") for picture in pictures] == described
    assert {(picture.get("loading"), picture.get("referrerpolicy")) for picture in pictures} == {
        ("lazy", "no-referrer")
    }
    policy = client.get(ISSUE)["Content-Security-Policy"]
    assert "img-src 'self' data: https:" in policy
    assert "script-src" not in policy


def test_a_table_of_contents_links_to_what_follows_it_and_appears_once(client: Client) -> None:
    publish(sections=sample_issue("lead", "contents", "stories", "text", "links", "callout").sections)
    page = open_page(client, ISSUE)
    assert page.xpath("//details") == []
    assert words(page, "//nav[h2='In this issue']//a") == [
        "From the yards",
        *TITLES,
        "How we mend a seam",
        "Also read",
    ]
    for target in page.xpath("//nav[h2='In this issue']//a/@href"):
        assert page.get_element_by_id(target.removeprefix("#")) is not None


def test_the_headings_of_a_page_are_in_order(client: Client) -> None:
    publish(sections=sample_issue().sections)
    levels = [int(heading.tag[1]) for heading in open_page(client, ISSUE).xpath("//h1 | //h2 | //h3 | //h4")]
    assert levels[0] == 1
    assert all(below - above <= 1 for above, below in itertools.pairwise(levels))


def test_every_block_is_in_the_feed(client: Client) -> None:
    publish(sections=sample_issue().sections)
    entry = parse_xml(client.get(FEED)).find("{*}entry/{*}content").text
    text = " ".join(html_of(f"<meta charset='utf-8'><div>{entry}</div>".encode()).text_content().split())
    for part in (
        "A boat is never finished",
        "— Ines",
        "Tides to mind",
        "Book a day",
        "Sponsor · Boje",
        "Rope by the",
    ):
        assert part in text
    assert PICTURE in entry
