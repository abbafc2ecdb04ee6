"""Recording: consent is read when a hit is stored, and what the database cannot take is dropped."""

from __future__ import annotations

import datetime
import threading
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest
from django.db import OperationalError
from django.test import Client
from django.utils import timezone

from newsletter.engagement.record import HITS_PER_INSERT, Recorder, Request, store_requests
from newsletter.engagement.tokens import EditionSigner
from newsletter.models import (
    FIRST_LINK,
    OPEN,
    ConsentMode,
    EngagementCounter,
    EngagementSource,
    Hit,
    HitMethod,
    Newsletter,
    Send,
)
from subscribers.consent.preferences import set_tracking
from subscribers.models import Subscription
from tests.newsletter.engagement.sent import delivery_of, own_links, send_to
from tests.newsletter.privacy.canary import cells_with
from tests.people import ADA

NOW = datetime.datetime(2026, 11, 24, 9, tzinfo=datetime.UTC)


def request_for(edition: int, delivery: int | None = None, **fields: Any) -> Request:
    values: dict[str, Any] = {
        "at": NOW,
        "edition": edition,
        "number": FIRST_LINK,
        "method": HitMethod.GET,
        "delivery": delivery,
        "visitor": "v" * 16,
        "network": "n" * 16,
        "network_class": "",
        "agent": "chrome windows",
    }
    return Request(**values | fields)


@pytest.fixture
def send(db: None) -> Send:
    return send_to(ADA, newsletter=own_links(measures_opens=True))


@pytest.fixture
def own(send: Send) -> Request:
    """A request for a link of Ada's own."""
    return request_for(send.edition_id, delivery_of(ADA, send).pk)


def test_with_consent_the_delivery_is_stored_and_no_hash_of_its_visitor(own: Request) -> None:
    assert store_requests([own]) == 1
    hit = Hit.objects.get()
    assert (hit.delivery_id, hit.visitor, hit.network) == (own.delivery, "", "n" * 16)


@pytest.mark.parametrize(
    "change",
    [
        {"engagement_source": EngagementSource.NONE, "measures_opens": False},
        {"engagement_source": EngagementSource.PROVIDER, "measures_opens": False},
        {"consent_mode": ConsentMode.AGGREGATE},
    ],
    ids=str,
)
def test_after_another_choice_of_the_newsletter_links_of_subscribers_are_not_recorded(
    own: Request, change: dict[str, Any]
) -> None:
    Newsletter.objects.update(**change)
    assert store_requests([own]) == 0
    assert not Hit.objects.exists()


def test_after_none_is_chosen_totals_are_not_recorded_either(send: Send) -> None:
    assert store_requests([request_for(send.edition_id)]) == 1
    Newsletter.objects.update(engagement_source=EngagementSource.NONE, measures_opens=False)
    assert store_requests([request_for(send.edition_id)]) == 0


def test_consent_that_came_later_is_none(own: Request) -> None:
    Subscription.objects.update(tracking_agreed_at=NOW + datetime.timedelta(seconds=1))
    assert store_requests([own]) == 0
    assert store_requests([replace(own, at=NOW + datetime.timedelta(seconds=1))]) == 1


def test_who_withdrew_after_the_mail_follows_the_same_links_and_nothing_is_stored(client: Client, send: Send) -> None:
    delivery = delivery_of(ADA, send)
    signer = EditionSigner(send.edition_id)
    paths = [
        signer.url(number, ending=signer.ending(delivery.pk)).removeprefix("http://127.0.0.1:8000")
        for number in (FIRST_LINK, OPEN)
    ]
    agreed = [client.get(path) for path in paths]
    assert Hit.objects.count() == 2
    Hit.objects.all().delete()
    assert set_tracking(Subscription.objects.get().key, agrees=False, text="No.", language="en")
    before = cells_with(str(delivery.pk))
    withdrawn = [client.get(path) for path in paths]
    assert [(each.status_code, each.content, each.headers) for each in withdrawn] == [
        (each.status_code, each.content, each.headers) for each in agreed
    ]
    assert not Hit.objects.exists()
    assert not EngagementCounter.objects.exists()
    assert cells_with(str(delivery.pk)) == before


def test_consent_to_another_list_is_none(own: Request) -> None:
    other = own_links(slug="mill-notes", name="Mill Notes")
    Subscription.objects.update(tracking_agreed_at=None)
    Subscription.objects.create(
        subscriber=Subscription.objects.get().subscriber,
        mailing_list=other,
        state="active",
        tracking_agreed_at=NOW,
        confirmed_at=NOW,
    )
    assert store_requests([own]) == 0


def test_many_requests_take_few_statements(own: Request, django_assert_max_num_queries: Any) -> None:
    many = [own, request_for(own.edition)] * 200
    with django_assert_max_num_queries(9):
        assert store_requests(many) == 400


def test_a_request_that_the_database_cannot_take_is_dropped(own: Request, caplog: pytest.LogCaptureFixture) -> None:
    def away(requests: Sequence[Request]) -> int:
        raise OperationalError("connection refused")

    Recorder(away).take(own)
    assert "Hits dropped" in caplog.text


class Table:
    """Stands for the table in a thread without a database."""

    def __init__(self) -> None:
        self.sets: list[int] = []
        self.rows: list[Request] = []
        self.may_store = threading.Event()
        self.fails = 0

    def store(self, requests: Sequence[Request]) -> int:
        assert self.may_store.wait(30)
        if self.fails:
            self.fails -= 1
            raise ValueError("a fault of ours")
        self.sets.append(len(requests))
        self.rows += requests
        return len(requests)


def test_in_the_web_server_one_thread_stores_sets_and_the_rest_when_it_stops() -> None:
    table = Table()
    recorder = Recorder(table.store)
    recorder.start()
    requests = [request_for(1, at=timezone.now(), number=number) for number in range(2 * HITS_PER_INSERT + 7)]
    for request in requests:
        recorder.take(request)
    table.may_store.set()
    recorder.stop()
    recorder.stop()
    assert table.rows == requests
    assert max(table.sets) <= HITS_PER_INSERT


def test_more_requests_than_fit_are_dropped_and_counted(caplog: pytest.LogCaptureFixture) -> None:
    table = Table()
    recorder = Recorder(table.store, size=10)
    recorder.start()
    for number in range(HITS_PER_INSERT * 3):
        recorder.take(request_for(1, number=number))
    table.may_store.set()
    recorder.stop()
    dropped = sum(
        vars(record)["count"] for record in caplog.records if record.message.startswith("Hits dropped: too many")
    )
    assert dropped == HITS_PER_INSERT * 3 - len(table.rows) > 0


def test_a_fault_ends_no_thread(caplog: pytest.LogCaptureFixture) -> None:
    table = Table()
    table.fails = 1
    recorder = Recorder(table.store)
    recorder.start()
    recorder.take(request_for(1))
    table.may_store.set()
    while table.fails:
        pass
    recorder.take(request_for(1, number=9))
    recorder.stop()
    assert [request.number for request in table.rows] == [9]
    assert "a fault of ours" in caplog.text
