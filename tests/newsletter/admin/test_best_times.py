"""The page about the best day and hour."""

from __future__ import annotations

import datetime
from collections.abc import Callable, Sequence

import pytest
from django.test import Client
from django.utils import timezone

from newsletter.admin.best_times import sentences_of, week_part_name
from newsletter.models import Newsletter
from newsletter.reports.best_times import compare
from tests.newsletter.admin.pages import words_on
from tests.newsletter.engagement.sent import own_links
from tests.newsletter.reports.test_best_times import FRIDAY, SUNDAY, TUESDAY, sent, timed
from tests.publications import make_newsletter

pytestmark = [pytest.mark.django_db, pytest.mark.any_database]

PAGE = "/admin/best-times/"


def sentences(clicks: Sequence[float], others: Sequence[float]) -> str:
    return " ".join(sentences_of(compare(timed(TUESDAY, *clicks) + timed(FRIDAY, *others))))


def test_a_part_of_the_week_has_a_name() -> None:
    assert [week_part_name(week_part) for week_part in (TUESDAY, SUNDAY)] == [
        "Tuesday, 06:00–12:00",
        "Sunday, 18:00–24:00",
    ]


@pytest.mark.parametrize(
    ("clicks", "others", "said"),
    [
        ([4], [], "Not enough sends to tell: 1 send whose clicks were counted, and at least 8 are needed."),
        ([4, 5], [3, 3], "Not enough sends to tell: 4 sends whose clicks were counted, and at least 8 are needed."),
        ([4.0] * 9, [], "All 9 sends started on Tuesday, 06:00–12:00, so there is nothing to compare."),
        ([4.0] * 9, [3], "Not enough sends to tell: no two parts of the week have 3 sends each."),
        (
            [4, 4.2, 4.2, 4.3],
            [3, 3.2, 3.2, 3.3],
            "Sends on Tuesday, 06:00–12:00 got 4.2 clicks for each 100 mails (median of 4 sends, from 4.0 to 4.3); "
            "other sends 3.2 (median of 4 sends, from 3.0 to 3.3). Three in four of these sends got more clicks",
        ),
        ([1, 4.1, 9, 9], [2, 4, 4, 8], "The sends differ among themselves by more than that"),
    ],
)
def test_the_sentence_is_as_sure_as_the_sends(clicks: list[float], others: list[float], said: str) -> None:
    assert said in sentences(clicks, others)


@pytest.mark.parametrize(("name", "status"), [("lou", 200), ("norm", 403)])
def test_it_is_shown_to_users_who_may_see_issues(name: str, status: int, signed_in: Callable[[str], Client]) -> None:
    assert signed_in(name).get(PAGE).status_code == status


def test_the_page_shows_parts_of_the_week_and_hours(edda: Client) -> None:
    newsletter = own_links()
    monday = timezone.now().replace(hour=8, minute=10, second=0, microsecond=0) - datetime.timedelta(days=7)
    for week in range(1, 9):
        at = monday - datetime.timedelta(days=7 * week + week % 2)
        sent(newsletter, at, {0: 2 * week, 3: 1})
    words = words_on(edda.get(PAGE))
    assert "clicks for each 100 mails (median of 4 sends, from" in words
    assert "Most clicks came on" in words
    assert "Times are in Europe/Berlin." in words
    assert "00 01 02 03" in words


def test_without_a_source_of_clicks_there_is_no_ranking(edda: Client) -> None:
    make_newsletter()
    words = words_on(edda.get(PAGE))
    assert "Only deliveries are known, which say nothing about what is read." in words
    assert "Not enough sends" not in words


def test_without_sends_the_page_says_so(edda: Client) -> None:
    own_links()
    assert "Not enough sends to tell: 0 sends" in words_on(edda.get(PAGE))


def test_without_a_newsletter_the_page_says_so(edda: Client) -> None:
    assert "There is no newsletter yet." in words_on(edda.get(PAGE))


@pytest.mark.parametrize("query", ["newsletter=x", "newsletter=999", "period=all", "other=1"])
def test_other_questions_are_refused(edda: Client, query: str) -> None:
    assert edda.get(f"{PAGE}?{query}").status_code == 400


def test_a_newsletter_is_chosen(edda: Client) -> None:
    newsletter = own_links()
    sent(newsletter, timezone.now() - datetime.timedelta(days=5), {0: 2})
    other: Newsletter = make_newsletter("zebra", name="Zebra")
    assert "1 send whose clicks" in words_on(edda.get(PAGE))
    assert "1 send whose clicks" not in words_on(edda.get(f"{PAGE}?newsletter={other.pk}"))
