"""Each reader at their own hour: in waves, everybody once, whoever moves."""

from __future__ import annotations

import datetime
import zoneinfo
from collections import Counter

import pytest
from django.utils import timezone
from hypothesis import given, settings
from hypothesis import strategies as st

from newsletter.models import Batch, BatchState, Delivery, Issue, IssueStatus
from newsletter.providers.base import Provider
from newsletter.sending.control import cancel_issue, finish_issues, pause_issue, resume_issue
from newsletter.sending.schedule import (
    IssueRefused,
    dry_run,
    renew_instants,
    schedule_issue,
    send_now,
    start_due_issues,
)
from newsletter.sending.wall_clock import nearest_instant_of
from newsletter.sending.waves import LocalTime
from subscribers.models import Subscriber
from tests import people
from tests.publications import address_everybody, just_now, post_everything

SEVEN = datetime.datetime.combine(timezone.now().date() + datetime.timedelta(days=3), datetime.time(7))
#: A part of all zones, with the first and the last of the world.
SOME = sorted(name for name in zoneinfo.available_timezones() if "/" in name)[::4]
ZONES = ("Pacific/Kiritimati", *SOME, "Etc/GMT+12")
BERLIN = "Europe/Berlin"


@pytest.fixture
def world(issue: Issue) -> Issue:
    """Six readers: two in Tokyo, one in Auckland, one in Honolulu, two who said nothing."""
    people.make_subscriptions(6, issue.newsletter)
    for number, zone in enumerate(("Asia/Tokyo", "Asia/Tokyo", "Pacific/Auckland", "Pacific/Honolulu"), start=1):
        Subscriber.objects.filter(address=f"reader-{number}@example.org").update(time_zone=zone)
    return issue


def start(issue: Issue) -> Issue:
    schedule_issue(issue, wall=SEVEN, zone=BERLIN, by="Edda", is_local=True)
    Issue.objects.update(scheduled_at=just_now())
    start_due_issues()
    address_everybody()
    issue.refresh_from_db()
    return issue


def let_come(issue: Issue, zone: str) -> None:
    """The hour has come in this zone."""
    instant = LocalTime(wall=SEVEN, zone=BERLIN).instant_in(zone)
    Batch.objects.filter(not_before=instant).update(not_before=timezone.now())


def test_it_starts_with_the_first_wave_and_each_wave_has_its_batches(world: Issue) -> None:
    schedule_issue(world, wall=SEVEN, zone=BERLIN, by="Edda", is_local=True)
    assert world.scheduled_at == nearest_instant_of(SEVEN, "Pacific/Auckland")
    planned = (world.manifest or {})["batches"]
    Issue.objects.update(scheduled_at=just_now())
    start_due_issues()
    address_everybody()
    assert planned == Batch.objects.count() == 4
    zones = ("Pacific/Auckland", "Asia/Tokyo", BERLIN, "Pacific/Honolulu")
    expected = [nearest_instant_of(SEVEN, zone) for zone in zones]
    assert list(Batch.objects.order_by("pk").values_list("not_before", flat=True)) == expected


def test_everybody_gets_it_once_in_their_wave_and_it_is_sending_until_the_last(
    world: Issue, provider: Provider
) -> None:
    start(world)
    assert post_everything(provider) == 0
    for zone in ("Pacific/Auckland", "Asia/Tokyo", BERLIN, "Pacific/Honolulu"):
        finish_issues()
        world.refresh_from_db()
        assert world.status == IssueStatus.SENDING
        let_come(world, zone)
        assert post_everything(provider) == 1
    finish_issues()
    world.refresh_from_db()
    assert world.status == IssueStatus.SENT
    assert Counter(Delivery.objects.values_list("status", flat=True)) == {"accepted": 6}


def test_who_moves_while_it_is_sent_gets_it_once(world: Issue, provider: Provider) -> None:
    start(world)
    let_come(world, "Pacific/Auckland")
    assert post_everything(provider) == 1
    Subscriber.objects.update(time_zone="Pacific/Honolulu")
    address_everybody()
    Batch.objects.update(not_before=timezone.now())
    post_everything(provider)
    assert Delivery.objects.count() == 6
    assert set(Delivery.objects.values_list("status", flat=True)) == {"accepted"}


def test_pause_and_cancel_hold_for_the_waves_to_come(world: Issue, provider: Provider) -> None:
    start(world)
    pause_issue(world, by="Edda", reason="A wrong link.")
    Batch.objects.update(not_before=timezone.now())
    assert post_everything(provider) == 0
    resume_issue(world, by="Edda")
    cancel_issue(world, by="Edda")
    assert post_everything(provider) == 0
    assert set(Batch.objects.values_list("state", flat=True)) == {BatchState.DROPPED}


def test_a_time_that_is_over_for_some_is_refused_with_where(world: Issue) -> None:
    berlin = timezone.now().astimezone(zoneinfo.ZoneInfo(BERLIN)).replace(tzinfo=None, second=0, microsecond=0)
    with pytest.raises(IssueRefused, match="is over where 1 of your readers are \\(Pacific/Auckland\\)"):
        schedule_issue(world, wall=berlin + datetime.timedelta(hours=2), zone=BERLIN, by="Edda", is_local=True)


def test_send_now_means_everybody_at_once(world: Issue, provider: Provider) -> None:
    schedule_issue(world, wall=SEVEN, zone=BERLIN, by="Edda", is_local=True)
    send_now(world, by="Edda")
    address_everybody()
    assert post_everything(provider) == 1
    assert not world.is_local


def test_a_zone_that_nobody_knows_any_more_counts_as_none(world: Issue) -> None:
    Subscriber.objects.filter(address="reader-1@example.org").update(time_zone="Mars/Olympus")
    local = LocalTime(wall=SEVEN, zone=BERLIN)
    assert local.instant_in("Mars/Olympus") == local.instant_in(BERLIN)
    assert dry_run(world, local=local).readers == 6


@settings(max_examples=15, deadline=None)
@given(st.datetimes(datetime.datetime(2026, 1, 1), datetime.datetime(2035, 12, 31)))
def test_all_waves_of_the_world_are_over_in_26_hours(wall: datetime.datetime) -> None:
    local = LocalTime(wall=wall.replace(second=0, microsecond=0), zone="UTC")
    instants = list(local.by_instant(ZONES))
    assert instants == sorted(instants)
    # A time that clocks skip comes up to an hour later there.
    assert instants[-1] - instants[0] <= datetime.timedelta(hours=27)


# --- The list moves between schedule and start -----------------------------------------------------------------------


def scheduled_for(world: Issue, wall: datetime.datetime) -> Issue:
    schedule_issue(world, wall=wall, zone=BERLIN, by="Edda", is_local=True)
    return world


def test_a_reader_who_joins_far_in_the_east_brings_the_start_forward(world: Issue) -> None:
    wall = timezone.now().replace(tzinfo=None, second=0, microsecond=0) + datetime.timedelta(hours=22)
    scheduled_for(world, wall)
    people.make_subscription("kiri@example.org")
    Subscriber.objects.filter(address="kiri@example.org").update(time_zone="Pacific/Kiritimati")
    renew_instants()
    world.refresh_from_db()
    assert world.scheduled_at == nearest_instant_of(wall, "Pacific/Kiritimati")


def test_a_reader_whose_hour_is_over_already_holds_up_nobody(world: Issue) -> None:
    """It starts with the first wave to come, and they get it with that one; it is not found hours too late."""
    Subscriber.objects.filter(time_zone="Pacific/Auckland").update(time_zone="")
    tokyo = timezone.now().astimezone(zoneinfo.ZoneInfo("Asia/Tokyo")).replace(tzinfo=None, second=0, microsecond=0)
    scheduled_for(world, tokyo + datetime.timedelta(hours=1))
    before = world.scheduled_at
    people.make_subscription("kiri@example.org")
    Subscriber.objects.filter(address="kiri@example.org").update(time_zone="Pacific/Kiritimati")
    renew_instants()
    world.refresh_from_db()
    assert (world.scheduled_at, world.hold_reason) == (before, "")
    Issue.objects.update(scheduled_at=just_now())
    assert start_due_issues()
    address_everybody()
    late = Delivery.objects.get(subscriber__address="kiri@example.org")
    assert Batch.objects.get(first_delivery__lte=late.pk, last_delivery__gte=late.pk).not_before <= timezone.now()
