"""The allowance of a newsletter: so many an hour, so many on each day of its warm-up, and nobody else waits for it."""

from __future__ import annotations

import datetime
import zoneinfo
from concurrent.futures import ThreadPoolExecutor

import pytest
from django.db import connection
from django.db.models import F
from django.utils import timezone

from newsletter.models import Batch, BatchState, Issue, Newsletter
from newsletter.providers.base import Provider
from newsletter.reports.statistics import report_of
from newsletter.sandbox import SandboxServer
from newsletter.sending.batch import claim_batch
from newsletter.sending.limits import WARM_UP, cap_of, time_for, warm_up_day
from tests import people
from tests.publications import address_everybody, make_issue, make_newsletter, post_everything, start_sending

START = datetime.datetime(2026, 11, 2, 9, 0, tzinfo=datetime.UTC)


def under_way(slug: str, readers: int, **limits: object) -> Issue:
    newsletter = make_newsletter(slug)
    Newsletter.objects.filter(pk=newsletter.pk).update(**limits)
    for number in range(readers):
        people.make_subscription(f"{slug}-{number}@readers.example", newsletter)
    return start_sending(make_issue(newsletter=newsletter))


def hours_pass(hours: int) -> None:
    Batch.objects.update(first_attempt_at=F("first_attempt_at") - datetime.timedelta(hours=hours))


def test_no_more_than_so_many_go_out_in_an_hour_to_the_mail(
    db: None, provider: Provider, sandbox: SandboxServer
) -> None:
    issue = under_way("harbour-notes", 12, hourly_limit=5)
    address_everybody(batch_size=4)
    for expected in (5, 10, 12):
        post_everything(provider)
        assert report_of(issue).accepted == expected
        hours_pass(1)
    assert sandbox.ledger.summary()["recipients"] == 12


def test_a_newsletter_without_room_holds_up_no_other(db: None, provider: Provider) -> None:
    slow, quick = under_way("slow-notes", 6, hourly_limit=2), under_way("quick-notes", 6)
    address_everybody(batch_size=3)
    post_everything(provider)
    assert (report_of(slow).accepted, report_of(quick).accepted) == (2, 6)
    assert Batch.objects.filter(state=BatchState.READY).exists()


def test_a_warm_up_grows_by_the_day_and_ends_after_a_week(db: None) -> None:
    newsletter = make_newsletter()
    newsletter.warm_up_since = START.date()
    caps = [cap_of(newsletter, START.date() + datetime.timedelta(days=day)) for day in range(14)]
    assert caps == [*WARM_UP, *[None] * 7]


def test_the_first_day_of_a_warm_up_ends_at_its_cap(db: None, provider: Provider, monkeypatch: object) -> None:
    issue = under_way("harbour-notes", 160, warm_up_since=timezone.localdate())
    address_everybody(batch_size=100)
    post_everything(provider)
    assert report_of(issue).accepted == WARM_UP[0]


def test_the_time_that_limits_take_is_told_beforehand(db: None) -> None:
    newsletter = make_newsletter()
    assert time_for(newsletter, 10_000, start=START) == datetime.timedelta(0)
    newsletter.hourly_limit = 1_000
    assert time_for(newsletter, 10_000, start=START) == datetime.timedelta(hours=9)
    newsletter.hourly_limit, newsletter.warm_up_since = None, START.date()
    assert time_for(newsletter, 150, start=START) == datetime.timedelta(0)
    assert 1 < time_for(newsletter, 700, start=START) / datetime.timedelta(days=1) < 2


def test_a_days_mails_are_counted_from_midnight_where_the_newsletter_is(db: None, provider: Provider) -> None:
    under_way("harbour-notes", 3)
    address_everybody()
    post_everything(provider)
    zone = zoneinfo.ZoneInfo("Pacific/Apia")
    Batch.objects.update(first_attempt_at=datetime.datetime(2026, 11, 3, 12, 0, tzinfo=zone))
    newsletter = Newsletter.objects.get()
    newsletter.time_zone, newsletter.warm_up_since = zone.key, datetime.date(2026, 11, 2)
    for moment, number, used in (("2026-11-03 23:59", 2, 3), ("2026-11-04 00:01", 3, 0)):
        day = warm_up_day(newsletter, datetime.datetime.fromisoformat(moment).replace(tzinfo=zone))
        assert day is not None
        assert (day.number, day.used) == (number, used)


@pytest.mark.django_db(transaction=True)
@pytest.mark.postgresql
def test_four_workers_at_once_use_the_room_once(provider: Provider) -> None:
    under_way("harbour-notes", 24, hourly_limit=7)
    address_everybody(batch_size=2)

    def claim(_number: int) -> int:
        try:
            claimed = claim_batch(provider)
            return claimed.size if claimed else 0
        finally:
            connection.close()

    with ThreadPoolExecutor(4) as workers:
        sizes = list(workers.map(claim, range(12)))
    assert sum(sizes) == 7
