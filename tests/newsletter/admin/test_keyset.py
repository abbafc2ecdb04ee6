"""Lists of large tables: from key to key, the newest first, without counting all rows."""

from __future__ import annotations

from typing import Any

import pytest
from django.apps import apps
from django.contrib import admin
from django.db import connection
from django.test import Client, RequestFactory
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from lxml import html as lxml_html  # type: ignore[import-untyped]

from newsletter.models import Delivery, Event, EventState
from subscribers.admin.keyset import KeysetChangeList
from tests.newsletter.admin.pages import words_on
from tests.people import make_subscriptions
from tests.publications import expand_audiences, make_issue, make_newsletter, start_sending

EVENTS = "/admin/newsletter/event/"
DELIVERIES = "/admin/newsletter/delivery/"


def make_events(number: int, **fields: Any) -> None:
    first = Event.objects.count()
    values = {"provider": "resend", "kind": "email.sent", "body": "{}", "state": EventState.APPLIED, **fields}
    Event.objects.bulk_create(Event(event_id=f"msg_{first + each}", **values) for each in range(number))


def rows_and_next(client: Client, url: str) -> tuple[list[int], str]:
    """The keys of the rows, and the URL of the next page; empty on the last one."""
    answer = client.get(url)
    assert answer.status_code == 200
    tree = lxml_html.fromstring(answer.content.decode())
    rows = [int(link.split("/")[-3]) for link in tree.xpath("//*[@id='result_list']//th/a/@href")]
    links = tree.xpath("//p[@class='paginator']/a[contains(@href, 'before=')]/@href")
    return rows, f"{url.partition('?')[0]}{links[0]}" if links else ""


def all_rows(client: Client, url: str) -> list[int]:
    found: list[int] = []
    while url:
        rows, url = rows_and_next(client, url)
        found += rows
    return found


def test_pages_show_each_row_once_and_the_newest_first(edda: Client) -> None:
    make_events(120)
    rows, following = rows_and_next(edda, EVENTS)
    assert len(rows) == 50
    # A row that arrives meanwhile moves nothing to another page.
    make_events(1)
    keys = list(Event.objects.order_by("-pk").values_list("pk", flat=True))
    assert [*rows, *all_rows(edda, following)] == keys[1:]


@pytest.mark.parametrize("number", [0, 1, 49, 50, 51, 100])
def test_the_last_page_has_no_next_one(edda: Client, number: int) -> None:
    make_events(number)
    assert len(all_rows(edda, EVENTS)) == number


def test_a_filter_stays_on_the_next_page_and_starts_at_the_newest_row(edda: Client) -> None:
    make_events(60)
    make_events(60, kind="email.opened")
    opened = f"{EVENTS}?kind=email.opened"
    assert len(all_rows(edda, opened)) == 60
    _rows, following = rows_and_next(edda, EVENTS)
    tree = lxml_html.fromstring(edda.get(following).content.decode())
    filters = tree.xpath("//*[@id='changelist-filter']//a/@href")
    assert filters
    assert not [link for link in filters if "before" in link]


def test_a_filter_without_an_index_looks_through_a_part_at_a_time(
    edda: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("subscribers.admin.keyset.SCANNED", 10)
    make_events(1, state=EventState.NEW)
    make_events(25)
    url = f"{EVENTS}?state=new"
    words = words_on(edda.get(url))
    assert "Older rows were not looked through. Look further back" in words
    assert all_rows(edda, url) == [Event.objects.earliest("pk").pk]


def test_a_filter_with_an_index_looks_through_everything(edda: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("subscribers.admin.keyset.SCANNED", 10)
    make_events(1, state=EventState.ORPHAN)
    make_events(25)
    rows, following = rows_and_next(edda, f"{EVENTS}?state=orphan")
    assert len(rows) == 1
    assert not following


def test_the_deliveries_of_a_send_are_found_at_once(edda: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("subscribers.admin.keyset.SCANNED", 10)
    make_subscriptions(30, make_newsletter())
    first = start_sending(make_issue("issue-1"))
    expand_audiences(batch_size=7)
    start_sending(make_issue("issue-2"))
    expand_audiences()
    rows, following = rows_and_next(edda, f"{DELIVERIES}?send__id__exact={first.pk}")
    assert rows == list(Delivery.objects.filter(send=first).order_by("-pk").values_list("pk", flat=True))
    assert not following


def test_no_list_counts_a_large_table(edda: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("subscribers.directory.counting.PAGE_CAP", 10)
    make_events(60)
    with CaptureQueriesContext(connection) as captured:
        words = words_on(edda.get(EVENTS))
    counts = [query["sql"] for query in captured if "COUNT(" in query["sql"] and "LIMIT" not in query["sql"]]
    assert not counts
    assert "60 provider events, 50 shown Next 50" in words


@pytest.mark.parametrize("query", ["before=x", "before=-1", "before=1&before=2", "before=" + "9" * 30, "before=%00"])
def test_other_keys_are_refused(edda: Client, query: str) -> None:
    assert edda.get(f"{EVENTS}?{query}").status_code == 400


def test_columns_that_no_index_sorts_are_not_sorted(edda: Client) -> None:
    make_events(3)
    first = all_rows(edda, EVENTS)
    for order in ("1", "-2", "3.-1"):
        assert all_rows(edda, f"{EVENTS}?o={order}") == first
    tree = lxml_html.fromstring(edda.get(EVENTS).content.decode())
    assert not tree.xpath("//thead//a")


@pytest.mark.parametrize("name", ["send", "batch", "delivery", "event", "edition"])
def test_records_are_listed_by_key(edda: Client, name: str) -> None:
    model = apps.get_model("newsletter", name)
    request = RequestFactory().get("/")
    assert issubclass(admin.site._registry[model].get_changelist(request), KeysetChangeList)
    answer = edda.get(reverse(f"admin:newsletter_{name}_changelist"))
    assert f"0 {model._meta.verbose_name_plural}" in words_on(answer)
