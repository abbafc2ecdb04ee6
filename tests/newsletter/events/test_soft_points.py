"""When repeated soft bounces suppress an address."""

from __future__ import annotations

import datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from newsletter.events.soft_points import WEEKLY_WINDOW, WINDOW, SoftMark, judge
from newsletter.providers.bounce_classes import CLASS_RULES, BounceClass, RecipientEffect
from subscribers.models import SuppressionReason

START = datetime.datetime(2026, 9, 1, 7, tzinfo=datetime.UTC)
POINTS = [kind for kind, rule in CLASS_RULES.items() if rule.recipient is RecipientEffect.POINT]


def after(days: float) -> datetime.datetime:
    return START + datetime.timedelta(days=days)


def marks(*days: float, kind: BounceClass = BounceClass.MAILBOX_FULL) -> list[SoftMark]:
    """One bounce on each of these days, of a send each."""
    return [SoftMark(after(day), number, kind) for number, day in enumerate(days)]


@pytest.mark.parametrize("kind", POINTS)
def test_five_bounces_in_thirty_days_suppress(kind: BounceClass) -> None:
    assert judge(marks(0, 7, 14, 21, kind=kind)) is None or kind is BounceClass.FULL_ABANDONED
    verdict = judge(marks(0, 7, 14, 21, 28, kind=kind))
    assert verdict is not None
    assert (verdict.reason, verdict.detail) == (SuppressionReason.SOFT_BOUNCE, "5/28")


def test_five_bounces_within_two_weeks_may_be_one_fault() -> None:
    assert judge(marks(0, 1, 2, 3, 4, 5, 6, 13)) is None
    assert judge(marks(0, 1, 2, 3, 14)) is not None


def test_several_bounces_of_a_day_are_one_point() -> None:
    assert judge(marks(0, 0.1, 0.2, 7, 14, 14.1)) is None
    assert judge(marks(0, 0.1, 7, 14, 21, 28)) is not None


def test_rare_newsletters_have_a_longer_window() -> None:
    monthly = marks(0, 14, 28, 42, 56)
    assert judge(monthly, window=WINDOW) is None
    verdict = judge(monthly, window=WEEKLY_WINDOW)
    assert verdict is not None
    assert verdict.detail == "5/56"


def test_a_mail_that_arrived_sets_the_points_to_zero() -> None:
    eight = marks(0, 4, 8, 12, 20, 24, 28, 32)
    assert judge(eight) is not None
    assert judge(eight, since=after(16)) is None


def test_a_mailbox_that_is_full_and_unused_counts_twice_two_weeks_apart() -> None:
    kind = BounceClass.FULL_ABANDONED
    assert judge(marks(0, 13, kind=kind)) is None
    assert judge(marks(0, 14, kind=kind)) is not None
    assert judge(marks(0, 14, kind=kind), since=after(1)) is None


def test_a_domain_that_is_still_missing_three_days_later_suppresses() -> None:
    kind = BounceClass.NO_DOMAIN
    assert judge(marks(0, 2.9, kind=kind)) is None
    verdict = judge(marks(0, 3, kind=kind))
    assert verdict is not None
    assert verdict.reason is SuppressionReason.NO_DOMAIN
    assert judge(marks(0, 3, kind=kind), since=after(1)) is None


NO_POINTS = [kind for kind, rule in CLASS_RULES.items() if rule.recipient is RecipientEffect.NOTHING]


@given(st.lists(st.tuples(st.floats(0, 100), st.sampled_from(NO_POINTS)), max_size=30))
def test_bounces_about_the_sender_or_the_mail_never_suppress(rows: list[tuple[float, BounceClass]]) -> None:
    assert judge([SoftMark(after(day), number, kind) for number, (day, kind) in enumerate(rows)]) is None


@given(
    st.lists(st.tuples(st.integers(0, 90), st.sampled_from((*POINTS, BounceClass.NO_DOMAIN))), max_size=12),
    st.randoms(),
)
def test_the_order_does_not_matter(rows: list[tuple[int, BounceClass]], random: object) -> None:
    found = [SoftMark(after(day), number, kind) for number, (day, kind) in enumerate(rows)]
    shuffled = list(found)
    random.shuffle(shuffled)  # type: ignore[attr-defined]
    assert judge(found) == judge(shuffled)


def test_points_lapse_by_themselves_once_the_window_has_passed() -> None:
    """Nothing is stored that would have to be lowered: a later bounce only sees those of its own window."""
    assert judge(marks(0, 8, 16, 24, 29)) is not None
    for later in (31, 60, 100):
        assert judge(marks(0, 8, 16, 24, later)) is None
    assert judge(marks(0, 8, 16, 24, 40, 48, 56)) is None
