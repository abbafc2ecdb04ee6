"""The page of growth and its CSV."""

from __future__ import annotations

import csv
from collections.abc import Callable

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone

from subscribers.models import Subscription
from tests.newsletter.admin.pages import words_on
from tests.people import ben, dina, make_subscriptions
from tests.publications import make_newsletter

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("read_by_ada")]

PAGE, FILE = "/admin/growth/", "/admin/growth.csv"


def rows_of(client: Client, query: str = "") -> list[list[str]]:
    answer = client.get(f"{FILE}{query}")
    assert answer.status_code == 200
    return list(csv.reader(answer.content.decode().splitlines()))


@pytest.mark.parametrize(("name", "sees"), [("lou", True), ("norm", False)])
def test_growth_is_shown_to_users_who_may_see_issues(name: str, sees: bool, signed_in: Callable[[str], Client]) -> None:
    client = signed_in(name)
    assert {client.get(PAGE).status_code, client.get(FILE).status_code} == {200 if sees else 403}


def test_growth_is_shown_to_nobody_who_is_not_signed_in() -> None:
    assert Client().get(PAGE)["Location"] == "/admin/login/?next=/admin/growth/"


def test_the_page_has_a_chart_with_its_words_and_a_table(edda: Client) -> None:
    make_subscriptions(4, make_newsletter())
    Subscription.objects.filter(subscriber__canonical="reader-1@example.org").update(
        state="unsubscribed", ended_at=timezone.now()
    )
    answer = edda.get(f"{PAGE}?by=day")
    words, body = words_on(answer), answer.content.decode()
    # Ada and Cleo are there already; Cleo has left before she was counted as active.
    assert "+5 joined · −1 unsubscribed" in words
    assert 'aria-label="Active subscribers: 0 at the end of' in body
    assert "4 now." in body
    assert "Period Active Joined Imported Unsubscribed Suppressed Removed" in words
    assert f"{timezone.now():%-d %B %Y} 4 5 0 1 0 0" in words


@pytest.mark.parametrize(("by", "rows"), [("day", 30), ("week", 26), ("month", 24)])
def test_the_csv_has_a_row_for_each_period_with_fixed_names(edda: Client, by: str, rows: int) -> None:
    ben(make_newsletter())
    found = rows_of(edda, f"?by={by}")
    assert found[0] == ["from", "to", "active", "joined", "imported", "left", "suppressed", "removed", "requested"]
    assert len(found) == 1 + rows
    today = timezone.now().date().isoformat()
    assert found[-1][1:] == [today, "1", "1", "0", "0", "0", "0", "1"]
    assert found[1][2] == "0"


def test_one_list_is_shown_by_itself(edda: Client) -> None:
    other = make_newsletter("tide-tables", name="Tide Tables")
    make_subscriptions(3, other)
    dina(other)
    assert rows_of(edda, "?by=day")[-1][2] == "4"
    assert rows_of(edda, f"?by=day&list={other.pk}")[-1][2] == "3"
    assert rows_of(edda, "?by=day&list=999999")[-1][2] == "0"
    words = words_on(edda.get(f"{PAGE}?list={other.pk}"))
    assert "spam 1" in words
    assert "spam 1" not in words_on(edda.get(f"{PAGE}?list={make_newsletter().pk}"))


@pytest.mark.parametrize("query", ["by=year", "by=", "list=x", "list=" + "9" * 40, "other=1", "list=%00", "list=-1"])
def test_other_questions_are_refused(edda: Client, query: str) -> None:
    assert {edda.get(f"{url}?{query}").status_code for url in (PAGE, FILE)} == {400}


def test_a_large_list_takes_as_many_queries_as_a_small_one(edda: Client) -> None:
    def queries() -> int:
        with CaptureQueriesContext(connection) as captured:
            edda.get(PAGE)
        return len(captured)

    few = queries()
    make_subscriptions(300, make_newsletter())
    assert queries() == few <= 10


def test_the_first_page_and_the_page_of_growth_lead_to_each_other(edda: Client) -> None:
    assert reverse("growth") in edda.get("/admin/").content.decode()
    assert 'href="/admin/"' in edda.get(PAGE).content.decode()
