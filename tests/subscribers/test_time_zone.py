"""Time zones of subscribers, for issues that are sent at local time: places in words."""

from __future__ import annotations

import datetime

import pytest
from django.test import Client
from hypothesis import given
from hypothesis import strategies as st

from subscribers.consent.tokens import preferences_url
from subscribers.models import Change, ChangeKind, Subscriber
from subscribers.web.zones import place_of, zone_groups, zone_in_words, zones_of_places
from tests.people import ada

WINTER = datetime.datetime(2026, 12, 1, 7, tzinfo=datetime.UTC)


@pytest.fixture
def link(db: None) -> str:
    return preferences_url(ada().key).removeprefix("http://127.0.0.1:8000")


def test_a_time_zone_can_be_saved_and_deleted(client: Client, link: str) -> None:
    saved = client.post(link, {"action": "zone", "time_zone": "Asia/Tokyo"}, follow=True)
    assert "Saved. Issues that are sent at your local time" in saved.content.decode()
    assert Subscriber.objects.get().time_zone == "Asia/Tokyo"
    deleted = client.post(link, {"action": "zone", "time_zone": ""}, follow=True)
    assert "Saved. All issues are sent at the newsletter’s time." in deleted.content.decode()
    assert Subscriber.objects.get().time_zone == ""
    changes = Change.objects.filter(kind=ChangeKind.TIME_ZONE).order_by("pk")
    assert [change.values for change in changes] == [{"from": "", "to": "Asia/Tokyo"}, {"from": "Asia/Tokyo", "to": ""}]


def test_the_stored_time_zone_is_shown_in_words_and_chosen_in_the_list(client: Client, link: str) -> None:
    client.post(link, {"action": "zone", "time_zone": "Asia/Tokyo"})
    body = client.get(link).content.decode()
    assert "<dd>Tokyo (UTC+9)</dd>" in body
    assert '<option value="Asia/Tokyo" selected>Tokyo (UTC+9)</option>' in body


def test_a_zone_stored_under_a_former_name_can_be_kept(client: Client, link: str) -> None:
    Subscriber.objects.update(time_zone="Asia/Calcutta")
    assert '<option value="Asia/Calcutta" selected>Calcutta (UTC+5:30)</option>' in client.get(link).content.decode()
    assert client.post(link, {"action": "zone", "time_zone": "Asia/Calcutta"}).status_code == 303


@pytest.mark.parametrize("zone", ["Mars/Olympus", "Asia/Calcutta", "Etc/GMT+5", "EST", "\x00", "Europe/Berlin,"])
def test_a_zone_that_is_not_in_the_list_is_refused(client: Client, link: str, zone: str) -> None:
    body = client.post(link, {"action": "zone", "time_zone": zone}).content.decode()
    assert 'href="#time-zone"' in body
    assert "<title>Error: " in body
    assert Subscriber.objects.get().time_zone == ""


@pytest.mark.parametrize(
    ("zone", "words"),
    [
        ("Europe/Berlin", "Berlin (UTC+1)"),
        ("Asia/Kolkata", "Kolkata (UTC+5:30)"),
        ("America/St_Johns", "St Johns (UTC−3:30)"),
        ("America/Argentina/Buenos_Aires", "Buenos Aires, Argentina (UTC−3)"),
        ("Africa/Abidjan", "Abidjan (UTC)"),
        ("Nowhere/Gone", "Gone"),
        ("UTC", "UTC (UTC)"),
    ],
)
def test_a_zone_is_a_place_with_its_present_difference_from_utc(zone: str, words: str) -> None:
    assert zone_in_words(zone, WINTER) == words


def test_the_difference_is_that_of_the_day() -> None:
    assert zone_in_words("Europe/Berlin", datetime.datetime(2026, 7, 1, tzinfo=datetime.UTC)) == "Berlin (UTC+2)"


def test_each_place_is_listed_once_and_under_its_present_name() -> None:
    zones = zones_of_places()
    assert {"Europe/Berlin", "Asia/Kolkata", "America/Argentina/Buenos_Aires", "Europe/Oslo"} <= set(zones)
    former = {"America/Buenos_Aires", "Asia/Calcutta", "Europe/Kiev", "US/Eastern", "Etc/GMT+5", "UTC"}
    assert not former & set(zones)
    words = [words for _region, places in zone_groups(WINTER) for _zone, words in places]
    assert len(words) == len(set(words)) == len(zones)


@given(st.sampled_from(zones_of_places()), st.datetimes(timezones=st.just(datetime.UTC)))
def test_every_zone_has_words_without_underscores(zone: str, now: datetime.datetime) -> None:
    words = zone_in_words(zone, now)
    assert words.startswith(place_of(zone))
    assert "_" not in words
    assert "/" not in words
