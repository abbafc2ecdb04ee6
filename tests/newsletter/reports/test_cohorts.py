"""Cohorts as pages show them: only ages that are over, small sources added up, and nothing that is not known."""

from __future__ import annotations

import datetime

import pytest

from newsletter.reports.cohorts import OTHERS, Cohort, cohorts_of
from subscribers.models import CohortCount, MailingList
from tests import people

TODAY = datetime.date(2026, 11, 20)


@pytest.fixture
def mailing_list(db: None) -> MailingList:
    return people.make_mailing_list()


def count(mailing_list: MailingList, month: str, source: str = "", **names: int) -> None:
    CohortCount.objects.add({(mailing_list.pk, month, source, name): value for name, value in names.items()})


def subscribed(cohort: Cohort) -> list[int | None]:
    return [age.subscribed if age else None for age in cohort.ages]


@pytest.mark.parametrize(
    ("month", "known"),
    [
        ("2026-11", [None, None, None]),
        ("2026-08", [None, None, None]),
        ("2026-07", [90, None, None]),
        ("2026-04", [90, 70, None]),
        ("2025-10", [90, 70, 40]),
    ],
)
def test_an_age_is_known_when_its_month_is_over(mailing_list: MailingList, month: str, known: list[int | None]) -> None:
    count(mailing_list, month, joined=100, lost_3=10, lost_6=20, lost_12=30, lost_later=5)
    (cohort,) = cohorts_of([mailing_list.pk], TODAY).by_month
    assert (cohort.joined, cohort.source, subscribed(cohort)) == (100, None, known)


def test_what_was_measured_is_shown_at_its_age(mailing_list: MailingList) -> None:
    count(mailing_list, "2026-02", joined=100, measured_3=60, reading_3=33, measured_6=50, reading_6=20)
    (cohort,) = cohorts_of([mailing_list.pk], TODAY).by_month
    assert [age and (age.measured, age.reading) for age in cohort.ages] == [(60, 33), (50, 20), None]


def test_months_and_lists_are_added_up_and_the_newest_is_first(mailing_list: MailingList) -> None:
    other = people.make_mailing_list(slug="tides", name="Tides")
    for each, month, source in (
        (mailing_list, "2026-10", ""),
        (mailing_list, "2026-11", "fair"),
        (other, "2026-11", "fair"),
    ):
        count(each, month, source, joined=2, lost_3=1)
    assert [(row.month.month, row.joined) for row in cohorts_of([mailing_list.pk, other.pk], TODAY).by_month] == [
        (11, 4),
        (10, 2),
    ]
    assert [row.joined for row in cohorts_of([other.pk], TODAY).by_month] == [2]
    assert cohorts_of([], TODAY).by_month == ()


def test_small_sources_are_added_up_and_come_last(mailing_list: MailingList) -> None:
    for source, joined in (("", 5), ("fair", 50), ("radio", 40), ("flyer", 30)):
        count(mailing_list, "2026-10", source, joined=joined)
    rows = cohorts_of([mailing_list.pk], TODAY, sources=2).by_source
    assert [(row.source, row.joined) for row in rows] == [("fair", 50), ("radio", 40), (OTHERS, 35)]


def test_only_the_last_months_are_shown(mailing_list: MailingList) -> None:
    for month in ("2026-09", "2026-10"):
        count(mailing_list, month, joined=1)
    assert [row.month.month for row in cohorts_of([mailing_list.pk], TODAY, months=2).by_month] == [10]


def test_a_cohort_of_which_only_the_end_was_counted_is_left_out(mailing_list: MailingList) -> None:
    count(mailing_list, "2026-02", lost_3=3)
    assert cohorts_of([mailing_list.pk], TODAY).by_month == ()
