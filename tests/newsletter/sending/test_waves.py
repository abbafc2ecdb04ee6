"""Sending at local time: in waves, each recipient once, also those who change their zone."""

from __future__ import annotations

import datetime
import zoneinfo
from collections import Counter

import pytest
from django.utils import timezone
from hypothesis import given, settings
from hypothesis import strategies as st

from newsletter.models import Batch, BatchState, Delivery, Issue, Send, SendState
from newsletter.providers.base import Provider
from newsletter.sending.control import cancel_send, finish_sends, pause_send, resume_send
from newsletter.sending.schedule import (
    IssueRefused,
    dry_run,
    schedule_issue,
    send_now,
    start_next_due_send,
    update_start_times,
)
from newsletter.sending.wall_clock import nearest_instant_of
from newsletter.sending.waves import LocalTime
from subscribers.models import Subscriber
from tests import people
from tests.publications import expand_audiences, just_now, post_everything, send_of

SEVEN = datetime.datetime.combine(timezone.now().date() + datetime.timedelta(days=3), datetime.time(7))
#: A part of all zones, with the first and the last of the world.
SOME = sorted(name for name in zoneinfo.available_timezones() if "/" in name)[::4]
ZONES = ("Pacific/Kiritimati", *SOME, "Etc/GMT+12")
BERLIN = "Europe/Berlin"


@pytest.fixture
def world(issue: Issue) -> Issue:
    """Six subscribers: two in Tokyo, one in Auckland, one in Honolulu, two without a zone."""
    people.make_subscriptions(6, issue.newsletter)
    for number, zone in enumerate(("Asia/Tokyo", "Asia/Tokyo", "Pacific/Auckland", "Pacific/Honolulu"), start=1):
        Subscriber.objects.filter(address=f"reader-{number}@example.org").update(time_zone=zone)
    return issue


def start(issue: Issue) -> Send:
    schedule_issue(issue, wall=SEVEN, zone=BERLIN, by="Edda", is_local=True)
    Send.objects.update(scheduled_at=just_now())
    start_next_due_send()
    expand_audiences()
    return send_of(issue)


def make_due(zone: str) -> None:
    """As if the local time had come in this zone."""
    instant = LocalTime(wall=SEVEN, zone=BERLIN).instant_in(zone)
    Batch.objects.filter(not_before=instant).update(not_before=timezone.now())


def test_it_starts_with_the_first_wave_and_each_wave_has_its_batches(world: Issue) -> None:
    send = schedule_issue(world, wall=SEVEN, zone=BERLIN, by="Edda", is_local=True)
    assert send.scheduled_at == nearest_instant_of(SEVEN, "Pacific/Auckland")
    planned = (send.manifest or {})["batches"]
    Send.objects.update(scheduled_at=just_now())
    start_next_due_send()
    expand_audiences()
    assert planned == Batch.objects.count() == 4
    zones = ("Pacific/Auckland", "Asia/Tokyo", BERLIN, "Pacific/Honolulu")
    expected = [nearest_instant_of(SEVEN, zone) for zone in zones]
    assert list(Batch.objects.order_by("pk").values_list("not_before", flat=True)) == expected


def test_each_recipient_gets_it_once_in_their_wave_and_it_is_sending_until_the_last(
    world: Issue, provider: Provider
) -> None:
    send = start(world)
    assert post_everything(provider) == 0
    for zone in ("Pacific/Auckland", "Asia/Tokyo", BERLIN, "Pacific/Honolulu"):
        finish_sends()
        send.refresh_from_db()
        assert send.state == SendState.SENDING
        make_due(zone)
        assert post_everything(provider) == 1
    finish_sends()
    send.refresh_from_db()
    assert send.state == SendState.SENT
    assert Counter(Delivery.objects.values_list("state", flat=True)) == {"accepted": 6}


def test_a_recipient_who_changes_their_zone_meanwhile_gets_it_once(world: Issue, provider: Provider) -> None:
    start(world)
    make_due("Pacific/Auckland")
    assert post_everything(provider) == 1
    Subscriber.objects.update(time_zone="Pacific/Honolulu")
    expand_audiences()
    Batch.objects.update(not_before=timezone.now())
    post_everything(provider)
    assert Delivery.objects.count() == 6
    assert set(Delivery.objects.values_list("state", flat=True)) == {"accepted"}


def test_pause_and_cancel_apply_to_later_waves(world: Issue, provider: Provider) -> None:
    send = start(world)
    pause_send(send, by="Edda", text="A wrong link.")
    Batch.objects.update(not_before=timezone.now())
    assert post_everything(provider) == 0
    resume_send(send, by="Edda")
    cancel_send(send, by="Edda")
    assert post_everything(provider) == 0
    assert set(Batch.objects.values_list("state", flat=True)) == {BatchState.DROPPED}


def test_a_time_that_is_over_for_some_recipients_is_refused(world: Issue) -> None:
    berlin = timezone.now().astimezone(zoneinfo.ZoneInfo(BERLIN)).replace(tzinfo=None, second=0, microsecond=0)
    with pytest.raises(IssueRefused, match="in the past for 1 of the recipients \\(Pacific/Auckland\\)"):
        schedule_issue(world, wall=berlin + datetime.timedelta(hours=2), zone=BERLIN, by="Edda", is_local=True)


def test_send_now_sends_to_all_zones_at_once(world: Issue, provider: Provider) -> None:
    schedule_issue(world, wall=SEVEN, zone=BERLIN, by="Edda", is_local=True)
    send = send_now(world, by="Edda")
    expand_audiences()
    assert post_everything(provider) == 1
    assert not send.is_local


def test_an_unknown_zone_counts_as_none(world: Issue) -> None:
    Subscriber.objects.filter(address="reader-1@example.org").update(time_zone="Mars/Olympus")
    local = LocalTime(wall=SEVEN, zone=BERLIN)
    assert local.instant_in("Mars/Olympus") == local.instant_in(BERLIN)
    assert dry_run(world, local=local).recipients == 6


@settings(max_examples=15, deadline=None)
@given(st.datetimes(datetime.datetime(2026, 1, 1), datetime.datetime(2035, 12, 31)))
def test_all_waves_of_the_world_are_over_in_26_hours(wall: datetime.datetime) -> None:
    local = LocalTime(wall=wall.replace(second=0, microsecond=0), zone="UTC")
    instants = list(local.by_instant(ZONES))
    assert instants == sorted(instants)
    # A time that clocks skip comes up to an hour later there.
    assert instants[-1] - instants[0] <= datetime.timedelta(hours=27)


# --- The list changes between schedule and start ----------------------------------------------------------------------


def scheduled_for(world: Issue, wall: datetime.datetime) -> Send:
    return schedule_issue(world, wall=wall, zone=BERLIN, by="Edda", is_local=True)


def test_a_subscriber_who_joins_further_east_brings_the_start_forward(world: Issue) -> None:
    wall = timezone.now().replace(tzinfo=None, second=0, microsecond=0) + datetime.timedelta(hours=22)
    scheduled_for(world, wall)
    people.make_subscription("kiri@example.org")
    Subscriber.objects.filter(address="kiri@example.org").update(time_zone="Pacific/Kiritimati")
    update_start_times()
    assert send_of(world).scheduled_at == nearest_instant_of(wall, "Pacific/Kiritimati")


def test_a_recipient_whose_local_time_is_over_does_not_delay_others(world: Issue) -> None:
    """The send starts with the next wave, and they get it with that one; it is not overdue."""
    Subscriber.objects.filter(time_zone="Pacific/Auckland").update(time_zone="")
    tokyo = timezone.now().astimezone(zoneinfo.ZoneInfo("Asia/Tokyo")).replace(tzinfo=None, second=0, microsecond=0)
    scheduled_for(world, tokyo + datetime.timedelta(hours=1))
    before = send_of(world).scheduled_at
    people.make_subscription("kiri@example.org")
    Subscriber.objects.filter(address="kiri@example.org").update(time_zone="Pacific/Kiritimati")
    update_start_times()
    send = send_of(world)
    assert (send.scheduled_at, send.hold_reason) == (before, "")
    Send.objects.update(scheduled_at=just_now())
    assert start_next_due_send()
    expand_audiences()
    late = Delivery.objects.get(subscriber__address="kiri@example.org")
    assert Batch.objects.get(first_delivery__lte=late.pk, last_delivery__gte=late.pk).not_before <= timezone.now()
