"""Retry-After: seconds or a date, bounded, and only with the statuses that may ask for a wait."""

from __future__ import annotations

import datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from newsletter.outbound import asked_wait

NOW = datetime.datetime(2026, 11, 30, 7, 0, tzinfo=datetime.UTC)
HOUR = datetime.timedelta(hours=1)


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        ("120", 120),
        (" 5 ", 5),
        ("86400", 3600),
        ("999999999", 3600),
        ("Mon, 30 Nov 2026 07:02:00 GMT", 120),
        ("Mon, 30 Nov 2026 07:02:00", 120),
        ("Fri, 31 Dec 9999 23:59:59 GMT", 3600),
    ],
)
def test_a_wait_is_taken_up_to_the_longest(value: str, seconds: int) -> None:
    for status in (429, 503):
        assert asked_wait(status, {"retry-after": value}, NOW, longest=HOUR) == datetime.timedelta(seconds=seconds)


@pytest.mark.parametrize("value", ["", "0", "-5", "1.5", "soon", "9" * 40, "Mon, 30 Nov 2026 06:59:00 GMT", "²"])
def test_what_asks_for_nothing_is_no_wait(value: str) -> None:
    assert asked_wait(429, {"retry-after": value}, NOW, longest=HOUR) is None


@pytest.mark.parametrize("status", [None, 200, 301, 404, 410, 500])
def test_other_statuses_ask_for_no_wait(status: int | None) -> None:
    assert asked_wait(status, {"retry-after": "60"}, NOW, longest=HOUR) is None


@given(st.text(max_size=60))
def test_no_value_causes_an_error_or_a_longer_wait(value: str) -> None:
    wait = asked_wait(503, {"retry-after": value}, NOW, longest=HOUR)
    assert wait is None or datetime.timedelta(0) < wait <= HOUR
