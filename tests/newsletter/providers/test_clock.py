"""The clock: an answer that is far from our time raises an alarm, and not at every answer (R-131)."""

from __future__ import annotations

import datetime
from email.utils import format_datetime

import pytest

from newsletter.providers.clock import ALARM_EVERY, ClockWatch
from newsletter.providers.resend.provider import ResendProvider
from tests.newsletter.providers.contract import message, new_key
from tests.publisher import Answer, PageHandler, publishing


def answered(*, seconds: float) -> dict[str, str]:
    """The headers of an answer from a server whose clock is so far ahead of ours."""
    moment = datetime.datetime.now(datetime.UTC) + datetime.timedelta(seconds=seconds)
    return {"date": format_datetime(moment)}


@pytest.mark.parametrize(("seconds", "said"), [(95, "behind the provider's"), (-95, "ahead of the provider's")])
def test_a_clock_that_is_wrong_raises_an_alarm(seconds: float, said: str, caplog: pytest.LogCaptureFixture) -> None:
    ClockWatch().look(answered(seconds=seconds))
    (record,) = caplog.records
    assert record.levelname == "ERROR"
    assert said in record.getMessage()


@pytest.mark.parametrize("seconds", [40, -40])
def test_a_clock_that_is_nearly_right_raises_none(seconds: float, caplog: pytest.LogCaptureFixture) -> None:
    # The headers are of now, not of when the tests were collected.
    ClockWatch().look(answered(seconds=seconds))
    assert caplog.records == []


@pytest.mark.parametrize("headers", [{}, {"date": "soon"}, {"date": "Mon, 01 Feb 2027 00:00:00 +99999999999"}], ids=str)
def test_a_time_that_is_not_told_raises_none(headers: dict[str, str], caplog: pytest.LogCaptureFixture) -> None:
    ClockWatch().look(headers)
    assert caplog.records == []


def test_the_alarm_comes_again_after_a_while_and_not_before(caplog: pytest.LogCaptureFixture) -> None:
    seconds = [0.0]
    watch = ClockWatch(clock=lambda: seconds[0])
    for moment in (0.0, 1.0, ALARM_EVERY - 1, ALARM_EVERY, ALARM_EVERY + 1):
        seconds[0] = moment
        watch.look(answered(seconds=300))
    assert len(caplog.records) == 2


def test_each_post_to_resend_looks_at_the_clock(
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
