"""Reading untrusted documents: large ones within resource limits."""

from __future__ import annotations

import dataclasses

import pytest

from newsletter.content.feeds import FeedError, read_feed
from newsletter.content.web_page import WebPageError, read_web_page
from newsletter.gathering import reading
from newsletter.gathering.reading import read_untrusted_feed, read_untrusted_page

URL = "https://quay.example/news"
ITEM = (
    "<item><title>Quay {0}</title><link>/quay/{0}</link><description>&lt;p&gt;Größe {0}&lt;/p&gt;</description>"
    "<pubDate>Thu, 19 Nov 2026 07:30:00 +0100</pubDate></item>"
)
FEED = f"<rss version='2.0'><channel><title>Quays</title>{{}}{ITEM.format(1)}</channel></rss>"
LARGE = FEED.format("".join(ITEM.format(number) for number in range(2, 400))).encode("cp1252")
PAGE = "<title>Taller cranes</title><p {}>They grow.</p>"
MANY_ATTRIBUTES = " ".join(f"a{number}='1'" for number in range(120_000))
NESTED_BASES = "".join(f"<a xml:base='{number}/'>" for number in range(20_000))


def test_a_large_feed_is_read_the_same_with_limits() -> None:
    assert len(LARGE) > reading.SMALL
    assert read_untrusted_feed(LARGE, URL, charset="cp1252") == read_feed(LARGE, URL, charset="cp1252")


def test_a_large_page_is_read_the_same_with_limits() -> None:
    large = PAGE.format("title='" + "x" * reading.SMALL + "'").encode()
    assert read_untrusted_page(large, URL) == read_web_page(large, URL)


def test_errors_of_the_child_process_keep_their_message() -> None:
    data = b" " * reading.SMALL + b"harbour"
    with pytest.raises(FeedError) as here:
        read_feed(data, URL)
    with pytest.raises(FeedError) as in_child:
        read_untrusted_feed(data, URL)
    assert str(in_child.value) == str(here.value)


def test_a_feed_that_takes_too_long_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reading, "FEED_LIMITS", dataclasses.replace(reading.FEED_LIMITS, cpu=1))
    with pytest.raises(FeedError, match="takes too long to read"):
        read_untrusted_feed(FEED.format(NESTED_BASES).encode(), URL)


def test_a_page_that_takes_too_long_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reading, "PAGE_LIMITS", dataclasses.replace(reading.PAGE_LIMITS, cpu=1))
    with pytest.raises(WebPageError, match="takes too long to read"):
        read_untrusted_page(PAGE.format(MANY_ATTRIBUTES * 2).encode(), URL)
