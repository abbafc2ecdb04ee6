"""Clock skew: an answer whose time is far from ours is logged as an error, and not at every answer."""

from __future__ import annotations

import datetime
from email.utils import format_datetime

import pytest

from newsletter.providers.clock import WARNING_INTERVAL, ClockMonitor
from newsletter.providers.resend import ResendProvider
from tests.newsletter.providers.contract import message, new_key
from tests.publisher import Answer, PageHandler, publishing


def answered(*, seconds: float) -> dict[str, str]:
    """The headers of an answer from a server whose clock is so far ahead of ours."""
    at = datetime.datetime.now(datetime.UTC) + datetime.timedelta(seconds=seconds)
    return {"date": format_datetime(at)}


@pytest.mark.parametrize(("seconds", "expected"), [(95, "behind the provider's"), (-95, "ahead of the provider's")])
def test_a_wrong_clock_is_logged_as_an_error(seconds: float, expected: str, caplog: pytest.LogCaptureFixture) -> None:
    ClockMonitor().check(answered(seconds=seconds))
    (record,) = caplog.records
    assert record.levelname == "ERROR"
    assert expected in record.getMessage()


@pytest.mark.parametrize("seconds", [40, -40])
def test_a_small_skew_is_not_logged(seconds: float, caplog: pytest.LogCaptureFixture) -> None:
    # Made here, because the time of the headers must be that of the test and not of its collection.
    ClockMonitor().check(answered(seconds=seconds))
    assert caplog.records == []


@pytest.mark.parametrize("headers", [{}, {"date": "soon"}, {"date": "Mon, 01 Feb 2027 00:00:00 +99999999999"}], ids=str)
def test_an_invalid_date_is_not_logged(headers: dict[str, str], caplog: pytest.LogCaptureFixture) -> None:
    ClockMonitor().check(headers)
    assert caplog.records == []


def test_the_error_is_logged_once_in_each_interval(caplog: pytest.LogCaptureFixture) -> None:
    seconds = [0.0]
    monitor = ClockMonitor(clock=lambda: seconds[0])
    for now in (0.0, 1.0, WARNING_INTERVAL - 1, WARNING_INTERVAL, WARNING_INTERVAL + 1):
        seconds[0] = now
        monitor.check(answered(seconds=300))
    assert len(caplog.records) == 2


def test_each_post_to_resend_checks_the_clock(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    late = answered(seconds=130)["date"]
    monkeypatch.setattr(PageHandler, "date_time_string", lambda self, timestamp=None: late)
    with publishing() as publisher:
        publisher.pages["/emails"] = Answer(b'{"id": "e-1"}')
        provider = ResendProvider(url=publisher.url, api_key="re_key", webhook_secrets=())
        provider.post_message(message(), key=new_key())
        provider.close()
    assert "our clock is 1" in caplog.text
