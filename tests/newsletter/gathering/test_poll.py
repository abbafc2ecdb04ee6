"""Polling feeds: each item once, failures with growing intervals, no download without changes."""

from __future__ import annotations

import datetime
import threading
from collections.abc import Callable

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from newsletter.gathering import poll
from newsletter.gathering.poll import INTERVAL, LONGEST_INTERVAL, poll_next_feed, poll_now
from newsletter.gathering.problems import problem_message
from newsletter.models import Feed, SavedLink, SavedLinkState
from newsletter.outbound import Fetched, fetch
from tests.feeds import rss
from tests.publications import make_newsletter
from tests.publisher import Answer, Publisher

pytestmark = pytest.mark.django_db


def make_due() -> None:
    Feed.objects.update(next_poll_at=timezone.now())


def titles() -> list[str]:
    return sorted(SavedLink.objects.values_list("title", flat=True))


def interval_of(feed: Feed) -> datetime.timedelta:
    feed.refresh_from_db()
    assert feed.polled_at is not None
    return feed.next_poll_at - feed.polled_at


def test_a_due_feed_is_polled_once(site: Publisher, feed: Feed) -> None:
    site.pages["/feed"] = rss([1, 2])
    assert poll_next_feed()
    assert not poll_next_feed()
    assert titles() == ["Quay 1", "Quay 2"]
    item = SavedLink.objects.get(title="Quay 1")
    assert (item.source, item.summary, item.state) == ("Harbour Daily", "Crane 1 lifts.", SavedLinkState.NEW)
    assert interval_of(feed) == INTERVAL
    assert feed.title == "Harbour Daily"


def test_new_entries_are_added_and_known_items_are_not_changed(site: Publisher, feed: Feed) -> None:
    site.pages["/feed"] = rss([1, 2])
    poll_next_feed()
    SavedLink.objects.filter(title="Quay 1").update(state=SavedLinkState.DISMISSED)
    site.pages["/feed"] = rss([1, 2, 3])
    make_due()
    poll_next_feed()
    assert titles() == ["Quay 1", "Quay 2", "Quay 3"]
    assert SavedLink.objects.get(title="Quay 1").state == SavedLinkState.DISMISSED


def test_a_link_is_stored_once_per_newsletter(site: Publisher, feed: Feed) -> None:
    site.pages["/feed"] = site.pages["/other"] = rss([1])
    Feed.objects.create(newsletter=feed.newsletter, url=f"{site.url}/other")
    Feed.objects.create(newsletter=make_newsletter("ferry-post"), url=f"{site.url}/feed")
    while poll_next_feed():
        pass
    assert SavedLink.objects.filter(newsletter=feed.newsletter).count() == 1
    assert SavedLink.objects.count() == 2


def test_an_entry_with_a_corrected_link_is_the_same_item(site: Publisher, feed: Feed) -> None:
    site.pages["/feed"] = rss([1])
    poll_next_feed()
    corrected = site.pages["/feed"].body.replace(b"quay.example/1", b"quay.example/one")
    site.pages["/feed"] = Answer(corrected)
    make_due()
    poll_next_feed()
    assert SavedLink.objects.get().url == "https://quay.example/1?utm_source=rss"


def test_a_feed_that_is_not_modified_is_not_sent_again(site: Publisher, feed: Feed) -> None:
    site.pages["/feed"] = rss([1], ETag='"a1"', **{"Last-Modified": "Thu, 19 Nov 2026 06:30:00 GMT"})
    poll_next_feed()
    make_due()
    poll_next_feed()
    again = site.requests[-1].headers
    assert (again["if-none-match"], again["if-modified-since"]) == ('"a1"', "Thu, 19 Nov 2026 06:30:00 GMT")
    assert interval_of(feed) == INTERVAL
    assert feed.title == "Harbour Daily"


def test_the_source_that_the_editor_set_is_used(site: Publisher, feed: Feed) -> None:
    Feed.objects.update(source="The Daily")
    site.pages["/feed"] = rss([1])
    poll_next_feed()
    assert SavedLink.objects.get().source == "The Daily"


def test_a_feed_that_is_inactive_or_not_due_is_not_polled(site: Publisher, feed: Feed) -> None:
    Feed.objects.update(is_active=False)
    assert not poll_next_feed()
    Feed.objects.update(is_active=True, next_poll_at=timezone.now() + INTERVAL)
    assert not poll_next_feed()
    assert site.requests == []


@pytest.mark.parametrize(
    ("answer", "code", "message"),
    [
        (Answer(status=404), "feed_not_found", "There is no feed at this address any more (HTTP 404)"),
        (Answer(status=403), "feed_needs_login", "without a login (HTTP 403)"),
        (Answer(status=503), "http_error", "HTTP 503"),
        (Answer(b"<html><title>Quay</title></html>"), "invalid_feed", ""),
        (Answer(b'<!DOCTYPE x [<!ENTITY a "b">]><rss/>'), "invalid_feed", "entities"),
        (
            Answer(status=302, headers={"Location": "http://169.254.169.254/"}),
            "private_host",
            "169.254.169.254 is not on",
        ),
        (
            Answer(headers={"Content-Length": "50000000"}, pour=lambda stream, closing: None),
            "too_large",
            "more than 5 MB",
        ),
    ],
)
def test_a_problem_is_stored_as_a_code_and_the_feed_is_retried_later(
    site: Publisher, feed: Feed, answer: Answer, code: str, message: str
) -> None:
    site.pages["/feed"] = answer
    assert poll_next_feed()
    assert interval_of(feed) == 2 * INTERVAL
    assert feed.problem == code
    assert message in problem_message(feed)
    assert feed.failures == 1


def test_the_interval_grows_with_failures_until_a_success(site: Publisher, feed: Feed) -> None:
    intervals = []
    for _ in range(8):
        make_due()
        poll_next_feed()
        intervals.append(interval_of(feed))
    assert intervals[:3] == [2 * INTERVAL, 4 * INTERVAL, 8 * INTERVAL]
    assert intervals[-1] == LONGEST_INTERVAL
    site.pages["/feed"] = rss([1])
    make_due()
    poll_next_feed()
    assert interval_of(feed) == INTERVAL
    assert (feed.failures, feed.problem) == (0, "")


def test_poll_now_makes_the_active_feeds_of_the_newsletter_due(site: Publisher, feed: Feed) -> None:
    site.pages["/feed"] = rss([1])
    other = Feed.objects.create(newsletter=make_newsletter("ferry-post"), url=f"{site.url}/feed")
    Feed.objects.create(newsletter=feed.newsletter, url=f"{site.url}/off", is_active=False)
    Feed.objects.update(next_poll_at=timezone.now() + INTERVAL)
    assert poll_now(feed.newsletter) == 1
    assert poll_next_feed()
    assert not poll_next_feed()
    assert interval_of(feed) == INTERVAL
    other.refresh_from_db()
    assert other.polled_at is None


def test_a_problem_of_an_older_version_is_shown_as_it_is(feed: Feed) -> None:
    feed.problem = "The server answered with status 503."
    assert problem_message(feed) == "The server answered with status 503."
    feed.problem = ""
    assert problem_message(feed) == ""


# Races


def meanwhile(monkeypatch: pytest.MonkeyPatch, change: Callable[[], object]) -> None:
    """Run `change` while a feed is being fetched."""

    def fetch_slowly(*args: object, **kwargs: object) -> Fetched:
        fetched = fetch(*args, **kwargs)  # type: ignore[arg-type]
        change()
        return fetched

    monkeypatch.setattr(poll, "fetch", fetch_slowly)


def test_a_feed_is_polled_by_one_worker_at_a_time(site: Publisher, feed: Feed, monkeypatch: pytest.MonkeyPatch) -> None:
    site.pages["/feed"] = rss([1])
    others: list[bool] = []
    meanwhile(monkeypatch, lambda: others.append(poll_next_feed()))
    poll_next_feed()
    assert others == [False]


def test_the_result_is_dropped_if_the_address_was_changed_meanwhile(
    site: Publisher, feed: Feed, monkeypatch: pytest.MonkeyPatch
) -> None:
    site.pages["/feed"] = rss([1])
    meanwhile(monkeypatch, lambda: Feed.objects.update(url=f"{site.url}/new", next_poll_at=timezone.now()))
    poll_next_feed()
    assert titles() == []
    feed.refresh_from_db()
    assert feed.polled_at is None
    assert feed.next_poll_at <= timezone.now()


def test_the_result_is_dropped_if_the_feed_was_deleted_meanwhile(
    site: Publisher, feed: Feed, monkeypatch: pytest.MonkeyPatch
) -> None:
    site.pages["/feed"] = rss([1])
    meanwhile(monkeypatch, lambda: Feed.objects.all().delete())
    assert poll_next_feed()
    assert titles() == []


def test_the_claim_of_a_killed_worker_expires(site: Publisher, feed: Feed) -> None:
    assert poll._claim_due_feed() is not None
    feed.refresh_from_db()
    assert timezone.now() < feed.next_poll_at <= timezone.now() + poll.CLAIM_EXPIRES_AFTER


def test_the_number_of_queries_does_not_grow_with_the_number_of_entries(site: Publisher, feed: Feed) -> None:
    counts = []
    for numbers in (range(3), range(100, 135)):
        site.pages["/feed"] = rss(numbers)
        make_due()
        with CaptureQueriesContext(connection) as queries:
            poll_next_feed()
        counts.append(len(queries))
    assert counts[0] == counts[1]


@pytest.mark.postgresql
@pytest.mark.django_db(transaction=True)
def test_of_four_workers_at_once_one_polls(site: Publisher, feed: Feed) -> None:
    site.pages["/feed"] = rss(range(5))
    polled: list[bool] = []

    def poll_once() -> None:
        try:
            polled.append(poll_next_feed())
        finally:
            connection.close()

    threads = [threading.Thread(target=poll_once) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(polled) == [False, False, False, True]
    assert len(site.requests) == 1
