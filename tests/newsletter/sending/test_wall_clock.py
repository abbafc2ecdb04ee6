"""Wall time in zones, on the days when clocks are changed."""

from __future__ import annotations

import datetime

import pytest
from django.utils import translation

from newsletter.sending.wall_clock import NoSuchTime, instant_of


def wall(text: str) -> datetime.datetime:
    return datetime.datetime.fromisoformat(text)


def test_a_wall_time_is_the_instant_at_which_clocks_there_show_it() -> None:
    assert instant_of(wall("2026-07-01T07:00"), "Europe/Berlin").isoformat() == "2026-07-01T05:00:00+00:00"
    assert instant_of(wall("2026-12-01T07:00"), "Europe/Berlin").isoformat() == "2026-12-01T06:00:00+00:00"


@pytest.mark.parametrize(
    ("text", "zone", "choices"),
    [
        ("2027-03-28T02:30", "Europe/Berlin", "2027-03-28 01:30 or 2027-03-28 03:30"),
        ("2026-10-04T02:15", "Australia/Lord_Howe", "2026-10-04 01:45 or 2026-10-04 02:45"),
        ("2011-12-30T12:00", "Pacific/Apia", "2011-12-29 12:00 or 2011-12-31 12:00"),
    ],
)
def test_a_time_that_clocks_skip_is_refused_with_choices_that_exist(text: str, zone: str, choices: str) -> None:
    with pytest.raises(NoSuchTime, match=f"does not exist.* such as {choices}"):
        instant_of(wall(text), zone)
    for choice in choices.split(" or "):
        assert instant_of(wall(choice), zone).tzinfo is datetime.UTC


def test_a_time_that_comes_twice_is_refused_with_both_instants() -> None:
    with pytest.raises(NoSuchTime, match=r"at 00:30 and 01:30 UTC"):
        instant_of(wall("2026-10-25T02:30"), "Europe/Berlin")


@pytest.mark.parametrize("zone", ["Mars/Olympus", "", "../etc/passwd", "Europe"])
def test_a_zone_that_nobody_keeps_is_refused(zone: str) -> None:
    with pytest.raises(NoSuchTime, match="is not a time zone"):
        instant_of(wall("2026-07-01T07:00"), zone)


@pytest.mark.parametrize(
    ("text", "zone"), [("9999-12-31T23:30", "America/New_York"), ("0001-01-01T00:30", "Asia/Tokyo")]
)
def test_a_day_at_the_edge_of_the_calendar_is_refused(text: str, zone: str) -> None:
    with pytest.raises(NoSuchTime, match="too far away"):
        instant_of(wall(text), zone)


def test_a_refusal_speaks_the_language_of_whoever_chose_the_time() -> None:
    with (
        translation.override("de"),
        pytest.raises(NoSuchTime, match=r"28\.03\.2027 02:30 gibt es in Europe/Berlin nicht"),
    ):
        instant_of(wall("2027-03-28T02:30"), "Europe/Berlin")
