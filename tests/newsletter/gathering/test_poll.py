"""Following feeds: each item once, a problem said and tried again, nothing asked twice that has not changed."""

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
from newsletter.models import Feed, FeedItem, FeedItemState
from newsletter.outbound import Fetched, fetch
from tests.feeds import rss
from tests.publications import make_newsletter
from tests.publisher import Answer, Publisher

pytestmark = pytest.mark.django_db


def make_due() -> None:
    Feed.objects.update(next_poll_at=timezone.now())


def titles() -> list[str]:
    return sorted(FeedItem.objects.values_list("title", flat=True))


def rest_of(feed: Feed) -> datetime.timedelta:
    feed.refresh_from_db()
    assert feed.polled_at is not None
    return feed.next_poll_at - feed.polled_at


def test_a_feed_that_is_due_is_looked_at_once(site: Publisher, feed: Feed) -> None:
    site.pages["/feed"] = rss([1, 2])
    assert poll_next_feed()
    assert not poll_next_feed()
    assert titles() == ["Quay 1", "Quay 2"]
    item = FeedItem.objects.get(title="Quay 1")
    assert (item.source, item.summary, item.state) == ("Harbour Daily", "Crane 1 lifts.", FeedItemState.NEW)
    assert rest_of(feed) == INTERVAL
    assert feed.title == "Harbour Daily"


def test_what_is_new_is_added_and_what_was_there_stays_as_it_was(site: Publisher, feed: Feed) -> None:
    site.pages["/feed"] = rss([1, 2])
    poll_next_feed()
    FeedItem.objects.filter(title="Quay 1").update(state=FeedItemState.DISMISSED)
    site.pages["/feed"] = rss([1, 2, 3])
    make_due()
    poll_next_feed()
    assert titles() == ["Quay 1", "Quay 2", "Quay 3"]
    assert FeedItem.objects.get(title="Quay 1").state == FeedItemState.DISMISSED


def test_two_feeds_of_a_newsletter_bring_a_link_once_and_those_of_two_bring_it_to_both(
    site: Publisher, feed: Feed
) -> None:
    site.pages["/feed"] = site.pages["/other"] = rss([1])
    Feed.objects.create(newsletter=feed.newsletter, url=f"{site.url}/other")
    Feed.objects.create(newsletter=make_newsletter("ferry-post"), url=f"{site.url}/feed")
    while poll_next_feed():
        pass
    assert FeedItem.objects.filter(newsletter=feed.newsletter).count() == 1
    assert FeedItem.objects.count() == 2


def test_an_entry_whose_link_was_corrected_is_the_same_entry(site: Publisher, feed: Feed) -> None:
    site.pages["/feed"] = rss([1])
    poll_next_feed()
    corrected = site.pages["/feed"].body.replace(b"quay.example/1", b"quay.example/one")
    site.pages["/feed"] = Answer(corrected)
    make_due()
    poll_next_feed()
    assert FeedItem.objects.get().url == "https://quay.example/1?utm_source=rss"


def test_what_has_not_changed_is_not_sent_again(site: Publisher, feed: Feed) -> None:
    site.pages["/feed"] = rss([1], ETag='"a1"', **{"Last-Modified": "Thu, 19 Nov 2026 06:30:00 GMT"})
    poll_next_feed()
    make_due()
    poll_next_feed()
    again = site.requests[-1].headers
    assert (again["if-none-match"], again["if-modified-since"]) == ('"a1"', "Thu, 19 Nov 2026 06:30:00 GMT")
    assert rest_of(feed) == INTERVAL
    assert feed.title == "Harbour Daily"


def test_the_source_and_the_rest_that_the_editor_set_win(site: Publisher, feed: Feed) -> None:
    Feed.objects.update(source="The Daily")
    site.pages["/feed"] = rss([1])
    poll_next_feed()
    assert FeedItem.objects.get().source == "The Daily"


def test_a_feed_that_is_switched_off_or_not_due_is_left_alone(site: Publisher, feed: Feed) -> None:
    Feed.objects.update(is_active=False)
    assert not poll_next_feed()
    Feed.objects.update(is_active=True, next_poll_at=timezone.now() + INTERVAL)
    assert not poll_next_feed()
    assert site.requests == []


@pytest.mark.parametrize(
    ("answer", "problem"),
    [
        (Answer(status=404), "There is no feed at this address any more (status 404)"),
        (Answer(status=403), "without signing in"),
        (Answer(status=503), "status 503"),
        (Answer(b"<html><title>Quay</title></html>"), "no feed at this address"),
        (Answer(b'<!DOCTYPE x [<!ENTITY a "b">]><rss/>'), "entities of its own"),
        (Answer(status=302, headers={"Location": "http://169.254.169.254/"}), "not on the public internet"),
        (Answer(headers={"Content-Length": "50000000"}, pour=lambda stream, closing: None), "more than 5 MB"),
    ],
)
def test_what_goes_wrong_is_said_and_tried_again_later(
    site: Publisher, feed: Feed, answer: Answer, problem: str
) -> None:
    site.pages["/feed"] = answer
    assert poll_next_feed()
    assert rest_of(feed) == 2 * INTERVAL
    assert problem in feed.problem
    assert feed.failures == 1


def test_failures_make_looks_rarer_and_one_success_makes_up_for_them(site: Publisher, feed: Feed) -> None:
    rests = []
    for _ in range(8):
        make_due()
        poll_next_feed()
        rests.append(rest_of(feed))
    assert rests[:3] == [2 * INTERVAL, 4 * INTERVAL, 8 * INTERVAL]
    assert rests[-1] == LONGEST_INTERVAL
    site.pages["/feed"] = rss([1])
    make_due()
    poll_next_feed()
    assert rest_of(feed) == INTERVAL
    assert (feed.failures, feed.problem) == (0, "")


def test_poll_now_makes_the_active_feeds_of_one_newsletter_due(site: Publisher, feed: Feed) -> None:
    site.pages["/feed"] = rss([1])
    other = Feed.objects.create(newsletter=make_newsletter("ferry-post"), url=f"{site.url}/feed")
    Feed.objects.create(newsletter=feed.newsletter, url=f"{site.url}/off", is_active=False)
    Feed.objects.update(next_poll_at=timezone.now() + INTERVAL)
    assert poll_now(feed.newsletter) == 1
    assert poll_next_feed()
    assert not poll_next_feed()
    assert rest_of(feed) == INTERVAL
    other.refresh_from_db()
    assert other.polled_at is None


# Races


def meanwhile(monkeypatch: pytest.MonkeyPatch, change: Callable[[], object]) -> None:
    """Let something happen while a feed is being fetched."""

    def fetch_slowly(*args: object, **kwargs: object) -> Fetched:
        fetched = fetch(*args, **kwargs)  # type: ignore[arg-type]
        change()
        return fetched

    monkeypatch.setattr(poll, "fetch", fetch_slowly)


def test_while_one_worker_looks_no_other_does(site: Publisher, feed: Feed, monkeypatch: pytest.MonkeyPatch) -> None:
    site.pages["/feed"] = rss([1])
    others: list[bool] = []
    meanwhile(monkeypatch, lambda: others.append(poll_next_feed()))
    poll_next_feed()
    assert others == [False]


def test_what_was_fetched_from_an_address_that_is_not_the_feeds_any_more_is_dropped(
    site: Publisher, feed: Feed, monkeypatch: pytest.MonkeyPatch
) -> None:
    site.pages["/feed"] = rss([1])
    meanwhile(monkeypatch, lambda: Feed.objects.update(url=f"{site.url}/new", next_poll_at=timezone.now()))
    poll_next_feed()
    assert titles() == []
    feed.refresh_from_db()
    assert feed.polled_at is None
    assert feed.next_poll_at <= timezone.now()


def test_a_feed_that_is_deleted_while_it_is_fetched_leaves_nothing(
    site: Publisher, feed: Feed, monkeypatch: pytest.MonkeyPatch
) -> None:
    site.pages["/feed"] = rss([1])
    meanwhile(monkeypatch, lambda: Feed.objects.all().delete())
    assert poll_next_feed()
    assert titles() == []


def test_a_worker_that_died_while_looking_holds_a_feed_for_minutes_only(site: Publisher, feed: Feed) -> None:
    assert poll._claim_due_feed() is not None
    feed.refresh_from_db()
    assert timezone.now() < feed.next_poll_at <= timezone.now() + poll.CLAIM_EXPIRES_AFTER


def test_however_many_entries_a_feed_has_the_queries_are_the_same(site: Publisher, feed: Feed) -> None:
    counts = []
    for numbers in (range(3), range(100, 160)):
        site.pages["/feed"] = rss(numbers)
        make_due()
        with CaptureQueriesContext(connection) as queries:
            poll_next_feed()
        counts.append(len(queries))
    assert counts[0] == counts[1]


@pytest.mark.postgresql
@pytest.mark.django_db(transaction=True)
def test_of_two_workers_at_once_one_looks(site: Publisher, feed: Feed) -> None:
    site.pages["/feed"] = rss(range(5))
    looked: list[bool] = []

    def look() -> None:
        try:
            looked.append(poll_next_feed())
        finally:
            connection.close()

    threads = [threading.Thread(target=look) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(looked) == [False, False, False, True]
    assert len(site.requests) == 1
