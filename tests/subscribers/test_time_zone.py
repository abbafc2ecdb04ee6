"""Time zones of subscribers, for issues that are sent at local time."""

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


def test_a_time_zone_can_be_saved_and_deleted(client: Client, link: str) -> None:
    saved = client.post(link, {"action": "zone", "time_zone": "Asia/Tokyo"}, follow=True)
    assert "Saved. Issues that are sent at your local time" in saved.content.decode()
    assert Subscriber.objects.get().time_zone == "Asia/Tokyo"
    deleted = client.post(link, {"action": "delete-zone", "time_zone": ""}, follow=True)
    assert "Saved. All issues are sent at the newsletter’s time." in deleted.content.decode()
    assert Subscriber.objects.get().time_zone == ""


def test_saving_an_untouched_field_keeps_the_time_zone(client: Client, link: str) -> None:
    client.post(link, {"action": "zone", "time_zone": "Asia/Tokyo"})
    body = client.post(link, {"action": "zone", "time_zone": ""}).content.decode()
    assert "Error: Choose a time zone from the list." in body
    assert Subscriber.objects.get().time_zone == "Asia/Tokyo"


def test_the_stored_time_zone_is_not_shown(client: Client, link: str) -> None:
    client.post(link, {"action": "zone", "time_zone": "Asia/Tokyo"})
    body = client.get(link).content.decode()
    assert "<option>Asia/Tokyo</option>" in body
    assert "selected" not in body


def test_an_unknown_time_zone_is_refused(client: Client, link: str) -> None:
    body = client.post(link, {"action": "zone", "time_zone": "Mars/Olympus"}).content.decode()
    assert "Error: Choose a time zone from the list." in body
    assert "<title>Error: " in body
    assert Subscriber.objects.get().time_zone == ""
