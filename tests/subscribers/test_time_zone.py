"""Readers may say where they are, so that issues come by their own clock."""

from __future__ import annotations

import pytest
from django.test import Client

from subscribers.consent.tokens import preferences_url
from subscribers.models import Subscriber
from tests.people import ada

pytestmark = pytest.mark.django_db


@pytest.fixture
def link() -> str:
    return preferences_url(ada().key).removeprefix("http://127.0.0.1:8000")


def test_a_reader_says_where_they_are_and_takes_it_back(client: Client, link: str) -> None:
    assert "by that one" in client.post(link, {"action": "zone", "time_zone": "Asia/Tokyo"}).content.decode()
    assert Subscriber.objects.get().time_zone == "Asia/Tokyo"
    client.post(link, {"action": "zone", "time_zone": ""})
    assert Subscriber.objects.get().time_zone == ""


def test_the_page_never_shows_where_a_reader_is_since_mails_are_forwarded(client: Client, link: str) -> None:
    client.post(link, {"action": "zone", "time_zone": "Asia/Tokyo"})
    body = client.get(link).content.decode()
    assert "<option>Asia/Tokyo</option>" in body
    assert "selected" not in body


def test_what_is_no_zone_is_refused_with_a_sentence(client: Client, link: str) -> None:
    body = client.post(link, {"action": "zone", "time_zone": "Mars/Olympus"}).content.decode()
    assert "Error: Choose a time zone of the list." in body
    assert "<title>Error: " in body
    assert Subscriber.objects.get().time_zone == ""
