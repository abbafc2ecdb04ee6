"""The best day and hour: never more certain than the sends are."""

from __future__ import annotations

import datetime
import zoneinfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from newsletter.models import (
    WHOLE_MAIL,
    ClickHour,
    CountScope,
    DeliveryState,
    EditionStory,
    Newsletter,
    Send,
    SendCount,
)
from newsletter.models.send_count import STATE
from newsletter.reports.best_times import (
    MIN_IN_PART,
    MIN_SENDS,
    BestTimes,
    Finding,
    PartOfDay,
    TimedSend,
    WeekPart,
    best_times,
    compare,
    spread_of,
    week_part_of,
)
from tests.publications import make_issue, make_newsletter, start_sending

TUESDAY, FRIDAY, SUNDAY = (1, PartOfDay.MORNING), (4, PartOfDay.MORNING), (6, PartOfDay.EVENING)
BERLIN = zoneinfo.ZoneInfo("Europe/Berlin")
NOW = datetime.datetime(2026, 11, 20, 12, tzinfo=datetime.UTC)


def timed(week_part: WeekPart, *clicks: float) -> list[TimedSend]:
    return [TimedSend(week_part=week_part, clicks=each) for each in clicks]


def test_seven_sends_say_nothing() -> None:
    found = compare(timed(TUESDAY, 9, 9, 9, 9) + timed(FRIDAY, 1, 1, 1))
    assert (found.finding, found.sends, found.best) == (Finding.TOO_FEW, 7, None)
    assert [week_part for week_part, _spread in found.week_parts] == [TUESDAY, FRIDAY]


def test_sends_at_one_time_cannot_be_compared() -> None:
    assert compare(timed(TUESDAY, *range(9))).finding is Finding.ONE_PART


@pytest.mark.parametrize("others", [[FRIDAY] * 2, []])
def test_a_part_of_the_week_with_two_sends_is_compared_with_nothing(others: list[WeekPart]) -> None:
    each_once = [send for day in range(7) for send in timed((day, PartOfDay.NIGHT), 5, 6)]
    alone = timed(TUESDAY, *[5.0] * 8) + [TimedSend(week_part=week_part, clicks=1) for week_part in others]
    found = compare(alone if others else each_once)
    assert (found.finding, found.best) == (Finding.TOO_SPREAD, None)


def test_a_clear_difference_is_called_clear() -> None:
    found = compare(timed(TUESDAY, 9, 10, 11) + timed(FRIDAY, 3, 4, 5) + timed(SUNDAY, 2, 3))
    assert (found.finding, found.best) == (Finding.CLEAR, TUESDAY)
    assert found.best_spread
    assert (found.best_spread.median, found.best_spread.sends) == (10, 3)
    assert found.others
    assert (found.others.median, found.others.lowest, found.others.highest) == (3, 2, 5)


def test_a_difference_within_the_spread_is_not_called_clear() -> None:
    found = compare(timed(TUESDAY, 2, 6, 11) + timed(FRIDAY, 3, 5, 9, 2, 4))
    assert (found.finding, found.best) == (Finding.UNCLEAR, TUESDAY)


def test_one_lucky_send_makes_no_best_part_of_the_week() -> None:
    found = compare(timed(SUNDAY, 90) + timed(TUESDAY, 5, 6, 7) + timed(FRIDAY, 4, 4, 4, 4))
    assert found.best == TUESDAY
    assert found.week_parts[0][0] == SUNDAY


@given(st.lists(st.tuples(st.sampled_from([TUESDAY, FRIDAY, SUNDAY]), st.floats(0, 100)), max_size=30))
def test_a_best_part_of_the_week_is_never_named_for_few_sends(rows: list[tuple[WeekPart, float]]) -> None:
    found = compare([TimedSend(week_part=week_part, clicks=clicks) for week_part, clicks in rows])
    assert sum(spread.sends for _slot, spread in found.week_parts) == found.sends == len(rows)
    if found.best is not None:
        assert found.best_spread
        assert found.others
        assert len(rows) >= MIN_SENDS
        assert min(found.best_spread.sends, found.others.sends) >= MIN_IN_PART
        assert found.best_spread.sends + found.others.sends == len(rows)
        if found.finding is Finding.CLEAR:
            assert found.best_spread.median > found.others.median


@given(st.lists(st.floats(0, 100), min_size=1, max_size=12))
def test_a_spread_is_in_order(clicks: list[float]) -> None:
    found = spread_of(clicks)
    assert found.lowest <= found.lower <= found.median + 1e-9
    assert found.median <= found.upper + 1e-9
    assert found.upper <= found.highest + 1e-9


@pytest.mark.parametrize(
    ("at", "week_part"),
    [
        ("2026-11-17T00:00", (1, PartOfDay.NIGHT)),
        ("2026-11-17T06:00", TUESDAY),
        ("2026-11-17T11:59", TUESDAY),
        ("2026-11-22T23:59", SUNDAY),
    ],
)
def test_a_day_has_four_parts(at: str, week_part: WeekPart) -> None:
    assert week_part_of(datetime.datetime.fromisoformat(at)) == week_part


# --- From the database


def sent(
    newsletter: Newsletter, at: datetime.datetime, hours: dict[int, int], *, mails: int = 200, source: str = "own"
) -> Send:
    """A send with clicks in these hours after the one in which it started."""
    send = start_sending(make_issue(f"issue-{Send.objects.count()}", newsletter))
    Send.objects.filter(pk=send.pk).update(started_at=at)
    name = f"{STATE}{DeliveryState.ACCEPTED.value}"
    SendCount.objects.create(send=send, scope=CountScope.TOTAL, key="", name=name, value=mails)
    EditionStory.objects.create(
        edition=send.edition, position=WHOLE_MAIL, source=source, first_number=3, last_number=99
    )
    start = at.replace(minute=0)
    for hour, humans in hours.items():
        ClickHour.objects.create(edition=send.edition, hour=start + datetime.timedelta(hours=hour), humans=humans)
    return send


def found_for(newsletter: Newsletter) -> BestTimes:
    return best_times(newsletter.pk, BERLIN, NOW)


@pytest.fixture
def newsletter(db: None) -> Newsletter:
    return make_newsletter()


def test_clicks_of_48_hours_are_counted_on_the_clock_of_the_newsletter(newsletter: Newsletter) -> None:
    # 23:30 in UTC on a Monday is Tuesday night in Berlin.
    sent(newsletter, datetime.datetime(2026, 11, 9, 23, 30, tzinfo=datetime.UTC), {-1: 100, 0: 4, 47: 6, 48: 100})
    found = found_for(newsletter)
    ((week_part, spread),) = found.comparison.week_parts
    assert (week_part, spread.median) == ((1, PartOfDay.NIGHT), 5.0)
    assert found.by_hour == {(1, 0): 4, (2, 23): 6}


@pytest.mark.parametrize(
    ("at", "changes"),
    [
        (NOW - datetime.timedelta(hours=47), {}),
        (NOW - datetime.timedelta(days=5), {"source": ""}),
        (NOW - datetime.timedelta(days=5), {"mails": 19}),
    ],
)
def test_sends_that_are_young_untracked_or_small_are_not_compared(
    newsletter: Newsletter, at: datetime.datetime, changes: dict[str, int]
) -> None:
    sent(newsletter, at, {0: 4}, **changes)  # type: ignore[arg-type]
    assert found_for(newsletter).comparison.sends == 0


def test_sends_of_another_newsletter_are_not_compared(newsletter: Newsletter) -> None:
    sent(make_newsletter("tides", name="Tides"), NOW - datetime.timedelta(days=5), {0: 4})
    assert found_for(newsletter).comparison.sends == 0
    assert found_for(newsletter).by_hour == {}


def test_many_sends_take_three_queries(newsletter: Newsletter, django_assert_num_queries: type) -> None:
    for days in range(3, 12):
        sent(newsletter, NOW - datetime.timedelta(days=days), {0: days, 5: 1})
    with django_assert_num_queries(3):
        assert found_for(newsletter).comparison.sends == 9
