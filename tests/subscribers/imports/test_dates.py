"""Dates of import files: each form that a tool writes, and what is none."""

from __future__ import annotations

import datetime
import zoneinfo

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from subscribers.imports.dates import FIRST_YEAR, LAST_YEAR, parse_datetime, parse_instant, tells_order

BERLIN = zoneinfo.ZoneInfo("Europe/Berlin")


@pytest.mark.parametrize(
    ("text", "instant"),
    [
        # Mailchimp, Mailcoach: no zone
        ("2024-03-02 18:30:11", "2024-03-02T17:30:11+00:00"),
        # Ghost, Substack
        ("2024-03-02T18:30:11.123Z", "2024-03-02T18:30:11.123000+00:00"),
        # Buttondown
        ("2024-03-13 00:03:09.183465+00:00", "2024-03-13T00:03:09.183465+00:00"),
        # listmonk: Go's Time.String()
        ("2023-04-01 10:20:30.123456 +0000 UTC", "2023-04-01T10:20:30.123456+00:00"),
        ("2023-04-01 10:20:30.1 +0200 CEST", "2023-04-01T08:20:30.100000+00:00"),
        ("2023-04-01 10:20:30 +0530 +0530", "2023-04-01T04:50:30+00:00"),
        ("2023-04-01 10:20:30 -0330 NDT", "2023-04-01T13:50:30+00:00"),
        # beehiiv, Curated
        ("2023-03-24 10:23:10 UTC", "2023-03-24T10:23:10+00:00"),
        ("2021-02-04 07:55:20 +0000", "2021-02-04T07:55:20+00:00"),
        # Brevo
        ("12-04-2022 09:30", "2022-04-12T07:30:00+00:00"),
        # Sendy
        ("Apr 12 2022", "2022-04-11T22:00:00+00:00"),
        ("April 12, 2022 9:30 PM", "2022-04-12T19:30:00+00:00"),
        ("12 Apr 2022", "2022-04-11T22:00:00+00:00"),
        ("Tue, 12 Apr 2022 09:30:00 +0000", "2022-04-12T09:30:00+00:00"),
        ("12.04.2022", "2022-04-11T22:00:00+00:00"),
        ("12.04.2022, 09:30", "2022-04-12T07:30:00+00:00"),
        ("12/04/2022 09:30:15", "2022-04-12T07:30:15+00:00"),
        ("4/13/2022 12:05 am", "2022-04-12T22:05:00+00:00"),
        ("2022/04/12", "2022-04-11T22:00:00+00:00"),
        ("2022-4-2 9:05", "2022-04-02T07:05:00+00:00"),
        ("2022-04-12", "2022-04-11T22:00:00+00:00"),
        ("1700000000", "2023-11-14T22:13:20+00:00"),
        ("1700000000123", "2023-11-14T22:13:20+00:00"),
        ("1700000000.0", "2023-11-14T22:13:20+00:00"),
    ],
)
def test_a_date_is_read_in_the_form_of_each_tool(text: str, instant: str) -> None:
    found = parse_instant(text, BERLIN, is_day_first=True)
    assert found is not None
    assert found.isoformat() == instant


@pytest.mark.parametrize(
    "text",
    [
        *("", "soon", "0000-00-00 00:00:00", "2024-13-01", "2024-02-30", "31/31/2024", "Foo 12 2022", "12345"),
        *(
            "2024-01-01 25:00",
            "0001-01-01T00:00:00Z",
            "9999-12-31",
            "2118-01-01T00:00:00Z",
            "1.5",
            "2024-01-01 10:00 +99:99",
        ),
    ],
)
def test_what_is_no_date_is_none(text: str) -> None:
    assert parse_instant(text, datetime.UTC, is_day_first=True) is None


def test_the_order_of_day_and_month_is_the_editors_where_both_are_possible() -> None:
    assert parse_datetime("03/04/2026", is_day_first=True) == datetime.datetime(2026, 4, 3)
    assert parse_datetime("03/04/2026", is_day_first=False) == datetime.datetime(2026, 3, 4)
    assert parse_datetime("31/04/2026", is_day_first=False) is None
    assert parse_datetime("13/04/2026", is_day_first=False) == datetime.datetime(2026, 4, 13)
    assert parse_datetime("04/13/2026", is_day_first=True) == datetime.datetime(2026, 4, 13)
    # With dots, the day is first everywhere.
    assert parse_datetime("03.04.2026", is_day_first=False) == datetime.datetime(2026, 4, 3)
    assert [tells_order(text) for text in ("13/04/2026", "04/13/2026", "03/04/2026", "13.04.2026", "x")] == [
        True,
        False,
        None,
        None,
        None,
    ]


@given(st.datetimes(datetime.datetime(FIRST_YEAR + 1, 1, 1), datetime.datetime(LAST_YEAR - 1, 12, 31)))
def test_what_python_writes_is_read_back(instant: datetime.datetime) -> None:
    aware = instant.replace(tzinfo=datetime.UTC)
    for text in (aware.isoformat(), aware.isoformat(" "), f"{instant.isoformat(' ')} +0000 UTC"):
        assert parse_instant(text, BERLIN, is_day_first=True) == aware


@given(st.text(st.sampled_from("0123456789-/.: TZ+AMpAprUC,"), max_size=30))
@example("99999999999999")
@example("2024-W01-1")
def test_any_text_is_a_date_or_none(text: str) -> None:
    instant = parse_instant(text, BERLIN, is_day_first=True)
    assert instant is None or instant.tzinfo == datetime.UTC
