"""The zone of the admin: lists, pages and forms show and read times in one zone, and name it."""

from __future__ import annotations

import datetime

import pytest
from django.db import connection
from django.db.models.functions import TruncDay
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone

from newsletter.admin.time_zone import AdminZone
from newsletter.models import Newsletter
from subscribers.models import Tag
from tests.newsletter.admin.pages import words_on
from tests.publications import make_newsletter

pytestmark = pytest.mark.django_db

TAGS = reverse("admin:subscribers_tag_changelist")
SUMMER = datetime.datetime(2026, 7, 1, 13, 24, tzinfo=datetime.UTC)


@pytest.fixture
def newsletter() -> Newsletter:
    newsletter = make_newsletter(time_zone="Europe/Berlin")
    tag = Tag.objects.create(mailing_list=newsletter.mailing_list, name="Sailors")
    Tag.objects.filter(pk=tag.pk).update(created_at=SUMMER)
    return newsletter


@pytest.mark.any_database
def test_a_stock_list_shows_the_clocks_of_the_newsletter(edda: Client, newsletter: Newsletter) -> None:
    words = words_on(edda.get(TAGS))
    assert "1 July 2026, 15:24" in words
    assert "Times without a time zone are in Europe/Berlin." in words


@pytest.mark.any_database
def test_newsletters_in_several_zones_are_shown_in_utc(edda: Client, newsletter: Newsletter) -> None:
    make_newsletter("tide-tables", time_zone="Asia/Tokyo")
    words = words_on(edda.get(TAGS))
    assert "1 July 2026, 13:24" in words
    assert "Times without a time zone are in UTC." in words


def test_a_database_cuts_days_in_that_zone(newsletter: Newsletter) -> None:
    Tag.objects.update(created_at=SUMMER.replace(hour=23))
    with timezone.override(AdminZone()):
        (day,) = Tag.objects.annotate(day=TruncDay("created_at")).values_list("day", flat=True)
    assert (day.date(), str(day.tzinfo)) == (datetime.date(2026, 7, 2), "Europe/Berlin")


@pytest.mark.any_database
def test_an_answer_without_times_asks_for_no_zone(edda: Client, newsletter: Newsletter) -> None:
    with CaptureQueriesContext(connection) as captured:
        edda.get(reverse("admin:newsletter_issue_token"))
    assert not [query["sql"] for query in captured if "time_zone" in query["sql"]]


@pytest.mark.any_database
def test_public_pages_keep_their_own_zone(client: Client, newsletter: Newsletter) -> None:
    client.get(newsletter.get_absolute_url())
    assert timezone.get_current_timezone_name() == "UTC"


@pytest.mark.any_database
def test_the_login_page_asks_for_no_zone_so_that_it_is_shown_without_a_database(
    client: Client, newsletter: Newsletter
) -> None:
    with CaptureQueriesContext(connection) as captured:
        assert client.get(reverse("admin:login")).status_code == 200
    assert not captured.captured_queries
