"""Who still reads: measured once for each month that is over, of those who agree, whatever happens later."""

from __future__ import annotations

import datetime
from typing import Any

import pytest

from newsletter.engagement.reading import first_of_month, measure_reading, month_number
from newsletter.engagement.story_counters import list_stories
from newsletter.models import ConsentMode, Delivery, EngagementSource, Newsletter, ReadingMeasurement, Send
from newsletter.worker.steps import STEPS
from subscribers.models import CohortCount, Subscription, SubscriptionState
from tests import people
from tests.newsletter.engagement.sent import AGREED, own_links, send_to

NOW = datetime.datetime(2026, 10, 2, 9, tzinfo=datetime.UTC)
"""September 2026 is measured: those who joined in June 2026, March 2026 and September 2025."""


def at(year: int, month: int, day: int = 10) -> datetime.datetime:
    return datetime.datetime(year, month, day, 12, tzinfo=datetime.UTC)


def joined(name: str, newsletter: Newsletter, when: datetime.datetime, **fields: Any) -> Subscription:
    fields.setdefault("tracking_agreed_at", AGREED)
    return people.make_subscription(f"{name}@example.org", newsletter, confirmed_at=when, **fields)


def clicked(send: Send, name: str, when: datetime.datetime) -> None:
    assert Delivery.objects.filter(send=send, subscriber__canonical=f"{name}@example.org").update(clicked_at=when)


def measured() -> dict[tuple[str, str, str], int]:
    rows = CohortCount.objects.filter(name__regex="^(measured|reading)_")
    return {(month, source, name): value for month, source, name, value in rows.values_list(*COLUMNS)}


COLUMNS = ("month", "source", "name", "value")


def measure_all(limit: int = 5_000, now: datetime.datetime = NOW) -> None:
    while measure_reading(now, limit):
        pass


@pytest.fixture
def newsletter(db: None) -> Newsletter:
    return own_links()


@pytest.fixture
def send(newsletter: Newsletter) -> Send:
    """An issue of August 2026 to subscribers of several cohorts."""
    joined("ann", newsletter, at(2026, 6), source="fair")
    joined("bea", newsletter, at(2026, 6), source="fair")
    joined("cyd", newsletter, at(2026, 3))
    joined("dov", newsletter, at(2025, 9, 30), tracking_agreed_at=None)
    joined("eve", newsletter, at(2026, 5))
    joined("fay", newsletter, at(2025, 9))
    send = send_to(newsletter=newsletter)
    Send.objects.filter(pk=send.pk).update(started_at=at(2026, 8))
    list_stories()
    return send


def test_the_worker_measures() -> None:
    assert [step.run for step in STEPS if step.name == "measure_reading"] == [measure_reading]


@pytest.mark.parametrize("limit", [1, 2, 5_000])
def test_readers_are_counted_at_three_six_and_twelve_months(send: Send, limit: int) -> None:
    for name in ("ann", "cyd", "dov", "eve"):
        clicked(send, name, at(2026, 8, 11))
    measure_all(limit)
    assert measured() == {
        ("2026-06", "fair", "measured_3"): 2,
        ("2026-06", "fair", "reading_3"): 1,
        ("2026-03", "", "measured_6"): 1,
        ("2026-03", "", "reading_6"): 1,
        ("2025-09", "", "measured_12"): 1,
    }


def test_a_piece_that_was_not_committed_is_counted_once(send: Send, monkeypatch: pytest.MonkeyPatch) -> None:
    clicked(send, "ann", at(2026, 8, 11))

    def fail(*args: Any, **options: Any) -> None:
        raise RuntimeError("killed")

    with monkeypatch.context() as killed:
        killed.setattr(ReadingMeasurement, "save", fail)
        with pytest.raises(RuntimeError):
            measure_reading(NOW, 2)
    assert measured() == {}
    measure_all(2)
    assert measured()["2026-06", "fair", "reading_3"] == 1
    assert measured()["2026-06", "fair", "measured_3"] == 2


def test_what_happens_after_the_measurement_changes_nothing(send: Send) -> None:
    clicked(send, "ann", at(2026, 8, 11))
    measure_all()
    before = measured()
    clicked(send, "bea", at(2026, 8, 12))
    Subscription.objects.filter(subscriber__canonical="cyd@example.org").update(state=SubscriptionState.UNSUBSCRIBED)
    Subscription.objects.filter(subscriber__canonical="ann@example.org").delete()
    measure_all()
    assert measured() == before
    assert ReadingMeasurement.objects.get().finished_at == NOW


@pytest.mark.parametrize("when", [at(2026, 6, 27), at(2026, 10, 1)])
def test_a_click_outside_the_three_months_does_not_count(send: Send, when: datetime.datetime) -> None:
    clicked(send, "ann", when)
    measure_all()
    assert ("2026-06", "fair", "reading_3") not in measured()
    assert measured()["2026-06", "fair", "measured_3"] == 2


def test_those_who_left_are_not_measured(send: Send) -> None:
    Subscription.objects.filter(subscriber__canonical="bea@example.org").update(state=SubscriptionState.UNSUBSCRIBED)
    measure_all()
    assert measured()["2026-06", "fair", "measured_3"] == 1


@pytest.mark.parametrize(
    "changes",
    [
        {"consent_mode": ConsentMode.AGGREGATE},
        {"consent_mode": ConsentMode.NONE, "engagement_source": EngagementSource.NONE, "measures_opens": False},
    ],
)
def test_without_consent_nothing_is_measured(send: Send, changes: dict[str, Any]) -> None:
    Newsletter.objects.update(**changes)
    measure_all()
    assert measured() == {}
    assert ReadingMeasurement.objects.get().finished_at == NOW


def test_without_an_issue_in_the_three_months_nothing_is_measured(send: Send) -> None:
    Send.objects.update(started_at=at(2026, 6, 27))
    measure_all()
    assert measured() == {}


def test_the_next_month_is_measured_by_itself(send: Send) -> None:
    measure_all()
    measure_all(now=at(2026, 11, 1))
    assert measured()["2026-06", "fair", "measured_3"] == 2
    assert set(ReadingMeasurement.objects.values_list("month", flat=True)) == {"2026-09", "2026-10"}


def test_months_are_those_of_utc() -> None:
    late = datetime.datetime(2027, 1, 1, 0, 30, tzinfo=datetime.timezone(datetime.timedelta(hours=2)))
    assert first_of_month(month_number(late)) == datetime.datetime(2026, 12, 1, tzinfo=datetime.UTC)
    assert first_of_month(month_number(late) + 1) == datetime.datetime(2027, 1, 1, tzinfo=datetime.UTC)
