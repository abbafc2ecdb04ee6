"""The page about stories and sources, and its files."""

from __future__ import annotations

import csv
from collections.abc import Callable

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from newsletter.models import (
    CountScope,
    DeliveryState,
    EditionStory,
    Issue,
    Newsletter,
    SendCount,
)
from newsletter.models.send_count import STATE
from tests.newsletter.admin.pages import words_on
from tests.newsletter.engagement.sent import own_links
from tests.newsletter.reports.test_stories import clicked, sent
from tests.people import ada
from tests.publications import make_newsletter

pytestmark = [pytest.mark.django_db, pytest.mark.any_database]

PAGE, STORIES, SOURCES = "/admin/stories/", "/admin/stories/stories.csv", "/admin/stories/sources.csv"


@pytest.fixture
def newsletter() -> Newsletter:
    newsletter = own_links()
    send = sent(newsletter, "issue-1", days_ago=3)
    clicked(send.edition, ("Taller cranes", "Harbour Daily", 12), ("=Formula", "@evil", 5), ("Unread", "Gazette", 0))
    name = f"{STATE}{DeliveryState.ACCEPTED.value}"
    SendCount.objects.create(send=send, scope=CountScope.TOTAL, key="", name=name, value=240)
    return newsletter


def rows_of(client: Client, url: str) -> list[list[str]]:
    answer = client.get(url)
    assert answer.status_code == 200
    assert "no-store" in answer["Cache-Control"]
    return list(csv.reader(answer.content.decode("utf-8-sig").splitlines()))


@pytest.mark.parametrize(("name", "sees"), [("lou", True), ("norm", False)])
def test_it_is_shown_to_users_who_may_see_issues(name: str, sees: bool, signed_in: Callable[[str], Client]) -> None:
    client = signed_in(name)
    assert {client.get(url).status_code for url in (PAGE, STORIES, SOURCES)} == {200 if sees else 403}


def test_it_is_shown_to_nobody_who_is_not_signed_in() -> None:
    assert Client().get(PAGE)["Location"] == "/admin/login/?next=/admin/stories/"


@pytest.mark.usefixtures("newsletter")
def test_stories_and_sources_are_ranked(edda: Client) -> None:
    answer = edda.get(PAGE)
    words = words_on(answer)
    assert "1 Taller cranes Harbour Daily" in words
    assert "12 2 machine hits 5.0%" in words
    assert "1 Harbour Daily 1 12 12.0 Taller cranes 12 human clicks" in words
    assert "Unread" not in words
    assert reverse("admin:newsletter_issue_report", args=[Issue.objects.get().pk]) in answer.content.decode()


def test_what_is_no_story_is_named(edda: Client, newsletter: Newsletter) -> None:
    EditionStory.objects.filter(position=1).update(kind="sponsor")
    assert "1 Taller cranes Sponsor Harbour Daily" in words_on(edda.get(PAGE))


@pytest.mark.usefixtures("newsletter")
def test_the_files_are_safe_in_a_spreadsheet(edda: Client) -> None:
    header, first, second = rows_of(edda, STORIES)
    assert header[:4] == ["rank", "title", "kind", "source"]
    assert first[:4] == ["1", "Taller cranes", "story", "Harbour Daily"]
    assert first[-4:] == ["12", "2", "240", "accepted"]
    assert second[1:4] == ["'=Formula", "story", "'@evil"]
    assert [row[:4] for row in rows_of(edda, SOURCES)] == [
        ["rank", "source", "stories", "human_clicks"],
        ["1", "Harbour Daily", "1", "12"],
        ["2", "'@evil", "1", "5"],
    ]


@pytest.mark.parametrize(("period", "shown"), [("90d", False), ("12m", True), ("all", True)])
def test_a_period_is_chosen(edda: Client, newsletter: Newsletter, period: str, shown: bool) -> None:
    clicked(sent(newsletter, "old", days_ago=200).edition, ("Old ferry", "Gazette", 7))
    query = f"?newsletter={newsletter.pk}&period={period}"
    assert ("Old ferry" in words_on(edda.get(f"{PAGE}{query}"))) == shown
    assert (len(rows_of(edda, f"{STORIES}{query}")) == 4) == shown


def test_a_newsletter_is_chosen(edda: Client, newsletter: Newsletter) -> None:
    other = make_newsletter("zebra", name="Zebra")
    assert "Taller cranes" in words_on(edda.get(PAGE))
    assert "Taller cranes" not in words_on(edda.get(f"{PAGE}?newsletter={other.pk}"))


def test_without_a_source_of_clicks_the_page_says_so(edda: Client) -> None:
    make_newsletter()
    words = words_on(edda.get(PAGE))
    assert "Clicks of this newsletter are not counted" in words
    assert "No clicks were counted yet" not in words


def test_before_the_first_click_the_page_says_so(edda: Client) -> None:
    newsletter = own_links()
    assert "No clicks were counted yet" in words_on(edda.get(PAGE))
    clicked(sent(newsletter, "issue-1").edition, ("Unread", "Gazette", 0))
    assert "No human clicked a story of this period." in words_on(edda.get(PAGE))


def test_without_a_newsletter_the_page_says_so(edda: Client) -> None:
    assert "There is no newsletter yet." in words_on(edda.get(PAGE))
    assert rows_of(edda, STORIES)[1:] == rows_of(edda, SOURCES)[1:] == []


@pytest.mark.parametrize(
    "query", ["period=7d", "period=", "newsletter=x", "newsletter=" + "9" * 40, "newsletter=999", "other=1"]
)
def test_other_questions_are_refused(edda: Client, query: str) -> None:
    assert {edda.get(f"{url}?{query}").status_code for url in (PAGE, STORIES, SOURCES)} == {400}


def test_many_issues_take_as_many_queries_as_one(edda: Client, newsletter: Newsletter) -> None:
    def queries() -> int:
        with CaptureQueriesContext(connection) as captured:
            edda.get(PAGE)
        return len(captured)

    queries()
    few = queries()
    for number in range(5):
        clicked(sent(newsletter, f"more-{number}").edition, *((f"{number}-{n}", f"s{n}", n) for n in range(5)))
    assert queries() == few <= 10


def test_reports_and_growth_lead_to_it(edda: Client, newsletter: Newsletter) -> None:
    ada(newsletter)
    assert PAGE in edda.get("/admin/growth/").content.decode()
    assert "/admin/growth/" in edda.get(PAGE).content.decode()
    assert PAGE in edda.get("/admin/").content.decode()
    report = edda.get(reverse("admin:newsletter_issue_report", args=[Issue.objects.get().pk])).content.decode()
    assert f"{PAGE}?newsletter={newsletter.pk}" in report
