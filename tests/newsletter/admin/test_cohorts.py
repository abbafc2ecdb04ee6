"""Cohorts on the page of growth, and their file."""

from __future__ import annotations

import csv
from collections.abc import Callable

import pytest
from django.test import Client

from subscribers.models import CohortCount, MailingList
from tests.newsletter.admin.pages import words_on
from tests.publications import make_newsletter
from tests.subscribers.test_cohort import month

pytestmark = [pytest.mark.django_db, pytest.mark.any_database]

PAGE, FILE = "/admin/growth/", "/admin/growth/cohorts.csv"


def count(mailing_list: MailingList, ago: int, source: str = "", **names: int) -> None:
    CohortCount.objects.add({(mailing_list.pk, month(ago), source, name): value for name, value in names.items()})


def rows_of(client: Client, query: str = "") -> list[list[str]]:
    answer = client.get(f"{FILE}{query}")
    assert answer.status_code == 200
    return list(csv.reader(answer.content.decode("utf-8-sig").splitlines()))


@pytest.mark.parametrize(("name", "status"), [("lou", 200), ("norm", 403)])
def test_the_file_is_for_users_who_may_see_issues(name: str, status: int, signed_in: Callable[[str], Client]) -> None:
    assert signed_in(name).get(FILE).status_code == status


def test_a_cohort_shows_who_stayed_and_who_still_reads(edda: Client) -> None:
    count(make_newsletter(), 8, joined=200, lost_3=20, lost_6=40, measured_3=90, reading_3=45)
    words = words_on(edda.get(PAGE))
    assert "200 180 90.0% 45 of 90 read (50.0%) 140 70.0%" in words
    assert "Reading means a human click" in words
    assert "not reached yet" in words


def test_small_cohorts_have_numbers_and_no_rates(edda: Client) -> None:
    count(make_newsletter(), 4, joined=19, lost_3=4, measured_3=12, reading_3=3)
    words = words_on(edda.get(PAGE))
    assert "19 15 3 of 12 read –" in words


def test_without_a_measurement_the_page_says_so(edda: Client) -> None:
    count(make_newsletter(), 4, joined=19)
    assert "Whether they read is not measured" in words_on(edda.get(PAGE))


def test_without_subscribers_the_page_says_so(edda: Client) -> None:
    assert "No subscriber has joined yet." in words_on(edda.get(PAGE))


def test_sources_are_named(edda: Client) -> None:
    newsletter = make_newsletter()
    for source, joined in (("", 4), ("import", 3), ("admin", 2), ("fair", 1)):
        count(newsletter, 1, source, joined=joined)
    words = words_on(edda.get(PAGE))
    for label in ("Sign-up page 4", "Import 3", "Added by an editor 2", "fair 1"):
        assert label in words


def test_the_file_has_every_source_and_is_safe_in_a_spreadsheet(edda: Client) -> None:
    newsletter = make_newsletter()
    count(newsletter, 4, "=1+1", joined=30, lost_3=10)
    count(newsletter, 14, joined=50, lost_3=1, lost_6=2, lost_12=3, measured_12=20, reading_12=5)
    header, old, new = rows_of(edda)
    assert header[:4] == ["month", "source", "joined", "subscribed_after_3_months"]
    assert old == [month(14), "sign-up", "50", "49", "", "", "47", "", "", "44", "20", "5"]
    assert new == [month(4), "'=1+1", "30", "20", "", "", "", "", "", "", "", ""]


def test_one_list_is_shown_by_itself(edda: Client) -> None:
    newsletter, other = make_newsletter(), make_newsletter("tides", name="Tides")
    count(newsletter, 4, joined=30)
    count(other, 4, joined=12)
    assert [row[2] for row in rows_of(edda)[1:]] == ["42"]
    assert [row[2] for row in rows_of(edda, f"?list={other.pk}")[1:]] == ["12"]


def test_other_questions_are_refused(edda: Client) -> None:
    assert {edda.get(f"{FILE}?{query}").status_code for query in ("list=x", "other=1")} == {400}
