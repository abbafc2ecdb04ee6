"""Sending limits of a newsletter: mails per hour, and per day of its warm-up, without delaying other newsletters."""

from __future__ import annotations

import datetime
import zoneinfo
from concurrent.futures import ThreadPoolExecutor

import pytest
from django.db import connection
from django.db.models import F
from django.utils import timezone

from newsletter.models import Batch, BatchState, Delivery, Newsletter, Reason, Send, WarmUpPlan
from newsletter.providers.base import Provider
from newsletter.reports.statistics import report_of
from newsletter.sandbox import Fault, SandboxServer
from newsletter.sending.batch import claim_batch
from newsletter.sending.limits import SENT_STATES, minimum_duration, remaining_of, warm_up_day
from newsletter.sending.reconcile import hold_expired, send_again
from newsletter.sending.warm_up import FIRST_WEEK
from subscribers.models import Subscription, SubscriptionState
from tests import people
from tests.publications import expand_audiences, make_issue, make_newsletter, post_everything, start_sending, today

START = datetime.datetime(2026, 11, 2, 9, 0, tzinfo=datetime.UTC)


def start_limited_send(slug: str, recipients: int, **limits: object) -> Send:
    """A send of a newsletter with these limits to so many recipients."""
    newsletter = make_newsletter(slug)
    Newsletter.objects.filter(pk=newsletter.pk).update(**limits)
    for number in range(recipients):
        people.make_subscription(f"{slug}-{number}@readers.example", newsletter)
    return start_sending(make_issue(newsletter=newsletter))


def pass_hours(hours: int) -> None:
    Batch.objects.update(first_attempt_at=F("first_attempt_at") - datetime.timedelta(hours=hours))


def test_an_hourly_limit_is_used_up_and_never_exceeded(db: None, provider: Provider, sandbox: SandboxServer) -> None:
    send = start_limited_send("harbour-notes", 12, hourly_limit=5)
    expand_audiences(batch_size=4)
    for expected in (5, 10, 12):
        post_everything(provider)
        assert report_of(send).accepted == expected
        pass_hours(1)
    assert sandbox.ledger.summary()["recipients"] == 12
    cut = Batch.objects.filter(state=BatchState.SPLIT)
    assert set(cut.values_list("reason", flat=True)) == {Reason.CUT_FOR_LIMIT}


def test_mails_whose_outcome_is_unknown_count_against_the_limit(
    db: None, provider: Provider, sandbox: SandboxServer
) -> None:
    """They may have been sent: posting as many others would exceed the limit."""
    send = start_limited_send("harbour-notes", 12, hourly_limit=5)
    expand_audiences(batch_size=4)
    sandbox.plan(Fault("invalid_idempotent_request"))
    post_everything(provider)
    assert Batch.objects.get(state=BatchState.HELD).recipients == 4
    assert report_of(send).accepted == 1


@pytest.mark.parametrize("state", SENT_STATES)
def test_each_state_in_which_mails_may_have_been_sent_counts_against_the_limit(
    db: None, provider: Provider, state: BatchState
) -> None:
    start_limited_send("harbour-notes", 4, hourly_limit=5)
    expand_audiences(batch_size=4)
    assert claim_batch(provider) is not None
    Batch.objects.update(state=state)
    assert remaining_of(Newsletter.objects.get(), timezone.now()) == 1


def test_the_states_of_batches_that_count_against_a_limit_are_all_but_those_known_not_to_be_sent() -> None:
    not_sent = {BatchState.READY, BatchState.SPLIT, BatchState.DROPPED, BatchState.REFUSED}
    assert set(SENT_STATES) == set(BatchState) - not_sent


@pytest.fixture
def cut_after_sending_again(db: None, provider: Provider, sandbox: SandboxServer) -> Batch:
    """A batch of four that was sent, held, and sent again by an operator: a limit of two an hour lets half of it wait.

    The waiting half.
    """
    start_limited_send("harbour-notes", 4)
    expand_audiences()
    sandbox.plan(Fault("reset", after_commit=True))
    post_everything(provider)
    Batch.objects.update(first_attempt_at=timezone.now() - provider.key_lifetime)
    hold_expired((provider,))
    send_again(Batch.objects.get(), by="Edda")
    Newsletter.objects.update(hourly_limit=2)
    post_everything(provider)
    assert sandbox.ledger.summary()["messages"] == 4 + 2
    pass_hours(1)
    return Batch.objects.get(state=BatchState.READY)


def test_an_event_proves_that_a_waiting_half_of_a_batch_that_was_sent_again_had_been_sent(
    cut_after_sending_again: Batch, provider: Provider, sandbox: SandboxServer
) -> None:
    Delivery.objects.filter(pk=cut_after_sending_again.last_delivery).update(delivered_at=timezone.now())
    post_everything(provider)
    cut_after_sending_again.refresh_from_db()
    assert cut_after_sending_again.state == BatchState.ACCEPTED
    assert sandbox.ledger.summary()["messages"] == 4 + 2


def test_a_waiting_half_of_a_batch_that_was_sent_again_may_have_reached_its_recipients_and_the_reason_says_so(
    cut_after_sending_again: Batch, provider: Provider
) -> None:
    last = Delivery.objects.get(pk=cut_after_sending_again.last_delivery)
    Subscription.objects.filter(subscriber=last.subscriber_id).update(state=SubscriptionState.UNSUBSCRIBED)
    post_everything(provider)
    last.refresh_from_db()
    assert last.reason == Reason.UNSUBSCRIBED_AFTER_ATTEMPT


def test_a_newsletter_at_its_limit_does_not_delay_another(db: None, provider: Provider) -> None:
    limited = start_limited_send("slow-notes", 6, hourly_limit=2)
    unlimited = start_limited_send("quick-notes", 6)
    expand_audiences(batch_size=3)
    post_everything(provider)
    assert (report_of(limited).accepted, report_of(unlimited).accepted) == (2, 6)
    assert Batch.objects.filter(state=BatchState.READY).exists()


def test_the_first_day_of_a_warm_up_ends_at_its_cap(db: None, provider: Provider) -> None:
    send = start_limited_send("harbour-notes", 160, warm_up_since=today())
    expand_audiences(batch_size=100)
    post_everything(provider)
    assert report_of(send).accepted == FIRST_WEEK[WarmUpPlan.NEW][0]


def test_the_time_that_limits_take_is_estimated(db: None) -> None:
    newsletter = make_newsletter()
    assert minimum_duration(newsletter, 10_000, start=START) == datetime.timedelta(0)
    newsletter.hourly_limit = 1_000
    assert minimum_duration(newsletter, 10_000, start=START) == datetime.timedelta(hours=9)
    newsletter.hourly_limit, newsletter.warm_up_since = None, START.date()
    assert minimum_duration(newsletter, 150, start=START) == datetime.timedelta(0)
    assert 1 < minimum_duration(newsletter, 700, start=START) / datetime.timedelta(days=1) < 2
    # Day 4 begins after 800 mails, and has 70 an hour.
    hours_of_day_4 = minimum_duration(newsletter, 800 + 141, start=START) - minimum_duration(
        newsletter, 800 + 70, start=START
    )
    assert hours_of_day_4 == datetime.timedelta(hours=2)


def test_a_day_of_a_warm_up_starts_at_midnight_in_the_newsletters_time_zone(db: None, provider: Provider) -> None:
    start_limited_send("harbour-notes", 3)
    expand_audiences()
    post_everything(provider)
    zone = zoneinfo.ZoneInfo("Pacific/Apia")
    Batch.objects.update(first_attempt_at=datetime.datetime(2026, 11, 3, 12, 0, tzinfo=zone))
    newsletter = Newsletter.objects.get()
    newsletter.time_zone, newsletter.warm_up_since = zone.key, datetime.date(2026, 11, 2)
    for wall, number, used in (("2026-11-03 23:59", 2, 3), ("2026-11-04 00:01", 3, 0)):
        day = warm_up_day(newsletter, datetime.datetime.fromisoformat(wall).replace(tzinfo=zone))
        assert day is not None
        assert (day.number, day.used) == (number, used)


@pytest.mark.django_db(transaction=True)
@pytest.mark.postgresql
def test_four_concurrent_workers_use_the_rest_of_a_limit_once(provider: Provider) -> None:
    start_limited_send("harbour-notes", 24, hourly_limit=7)
    expand_audiences(batch_size=2)

    def claim(_number: int) -> int:
        try:
            claimed = claim_batch(provider)
            return claimed.size if claimed else 0
        finally:
            connection.close()

    with ThreadPoolExecutor(4) as workers:
        sizes = list(workers.map(claim, range(12)))
    assert sum(sizes) == 7
