"""Dates in all the forms that exports have."""

from __future__ import annotations

import datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from newsletter.content.archives.dates import EARLIEST, LATEST, read_time

AT = datetime.datetime(2025, 6, 30, 15, 31, 36, tzinfo=datetime.UTC)


@pytest.mark.parametrize(
    "value",
    [
        "2025-06-30 15:31:36",
        "2025-06-30T15:31:36.000Z",
        " 2025-06-30T17:31:36+0200 ",
        "2025-06-30 15:31:36 UTC",
        "Mon, 30 Jun 2025 11:31:36 EDT",
        "2025/06/30 15:31:36",
        1751297496,
        1751297496000,
        1751297496.0,
        "1751297496000",
    ],
)
def test_a_time_is_read_as_utc(value: object) -> None:
    assert read_time(value) == AT


@pytest.mark.parametrize("value", ["2025-06-30", "Jun 30, 2025", "June 30, 2025"])
def test_a_day_is_noon(value: str) -> None:
    assert read_time(value) == datetime.datetime(2025, 6, 30, 12, tzinfo=datetime.UTC)


def test_a_clock_with_am_and_pm_is_read() -> None:
    assert str(read_time("Mar 26, 2023 10:08pm")) == "2023-03-26 22:08:00+00:00"


@pytest.mark.parametrize(
    "value",
    [
        "",
        None,
        True,
        [],
        "0000-00-00 00:00:00",
        "2025-13-01",
        "14:4g5:00",
        "soon",
        0,
        5,
        -1,
        10**40,
        "1970-01-01",
        float("nan"),
    ],
)
def test_what_is_no_date_is_none_and_never_today(value: object) -> None:
    assert read_time(value) is None


@given(st.one_of(st.text(max_size=30), st.integers(), st.floats(), st.datetimes().map(str)))
def test_any_value_is_a_time_within_bounds_or_none(value: object) -> None:
    found = read_time(value)
    assert found is None or EARLIEST <= found < LATEST
