"""Sends that are found too late, or after a restore, are held; a due send starts within two seconds."""

from __future__ import annotations

import datetime
import zoneinfo

import pytest
from django.utils import timezone

from newsletter.models import Batch, BatchState, Issue, Reason, Send, SendState, WorkerHeartbeat
from newsletter.providers.base import Provider
from newsletter.sending import schedule as schedule_module
from newsletter.sending.batch import claim_batch
from newsletter.sending.control import pause_send, resume_send
from newsletter.sending.downtime import pause_after_downtime
from newsletter.sending.provider_outage import follow_provider_outages
from newsletter.sending.reconcile import hold_expired
from newsletter.sending.schedule import (
    schedule_issue,
    send_now,
    start_next_due_send,
    unschedule_send,
    update_start_times,
)
from newsletter.worker import STEPS, loop
from tests import people
from tests.publications import expand_audiences, post_everything, send_of, start_sending

NOW = datetime.timedelta(0)


@pytest.fixture
def scheduled(issue: Issue) -> Issue:
    people.ada(issue.newsletter)
    tomorrow = timezone.now() + datetime.timedelta(days=1)
    schedule_issue(issue, wall=tomorrow.replace(tzinfo=None, second=0, microsecond=0), zone="UTC", by="Edda")
    return issue


def found(issue: Issue, *, late: datetime.timedelta) -> Send:
    Send.objects.current().update(scheduled_at=timezone.now() - late)
    start_next_due_send()
    return send_of(issue)


def test_a_schedule_found_an_hour_late_is_held_and_says_why(scheduled: Issue) -> None:
    send = found(scheduled, late=datetime.timedelta(minutes=61))
    assert (send.state, send.hold_reason) == (SendState.SCHEDULED, Reason.OVERDUE)
    assert "Nothing was sent. Send the issue now, or unschedule it" in send.hold_sentence
    note = send.transitions.last()
    assert note is not None
    assert (note.source, note.target, note.reason) == (SendState.SCHEDULED, SendState.SCHEDULED, Reason.OVERDUE)
    assert not start_next_due_send()


def test_a_schedule_found_a_little_late_starts(scheduled: Issue) -> None:
    assert found(scheduled, late=datetime.timedelta(minutes=59)).state == SendState.SENDING


def test_an_operator_sends_an_overdue_issue_now(scheduled: Issue) -> None:
    found(scheduled, late=datetime.timedelta(hours=5))
    send = send_now(scheduled, by="Edda")
    assert (send.state, send.hold_reason) == (SendState.SENDING, "")


def test_an_operator_reschedules_an_overdue_issue(scheduled: Issue) -> None:
    found(scheduled, late=datetime.timedelta(hours=5))
    unschedule_send(send_of(scheduled), by="Edda")
    tomorrow = (timezone.now() + datetime.timedelta(days=1)).replace(tzinfo=None)
    schedule_issue(scheduled, wall=tomorrow, zone="UTC", by="Edda")
    assert found(scheduled, late=NOW).state == SendState.SENDING


# --- Downtime, or a database restored from a backup ----------------------------------------------------------------


@pytest.fixture
def running(issue: Issue) -> Send:
    people.ada(issue.newsletter)
    send = start_sending(issue)
    expand_audiences()
    return send


def last_seen(ago: datetime.timedelta) -> None:
    at = timezone.now() - ago
    WorkerHeartbeat.objects.create(name="host:1", started_at=at, seen_at=at)


def test_a_send_in_a_restored_database_is_paused_and_says_what_to_compare(running: Send, provider: Provider) -> None:
    last_seen(datetime.timedelta(days=2))
    loop.recover()
    running.refresh_from_db()
    assert (running.state, running.hold_reason) == (SendState.PAUSED, Reason.DOWNTIME)
    assert "restored from a backup" in running.hold_sentence
    assert post_everything(provider) == 0
    resume_send(running, by="Edda")
    assert post_everything(provider) == 1


def test_a_send_that_waited_for_its_provider_in_a_restored_database_does_not_resume(
    running: Send, provider: Provider
) -> None:
    running.pause(Reason.PROVIDER_OUTAGE)
    last_seen(datetime.timedelta(days=3))
    assert pause_after_downtime() == 1
    follow_provider_outages((provider,))
    running.refresh_from_db()
    assert (running.state, running.hold_reason) == (SendState.PAUSED, Reason.DOWNTIME)


@pytest.mark.parametrize("ago", [datetime.timedelta(minutes=3), None], ids=["a short stop", "stopped in order"])
def test_a_short_downtime_pauses_nothing(running: Send, ago: datetime.timedelta | None) -> None:
    if ago:
        last_seen(ago)
    assert pause_after_downtime() == 0


def test_a_batch_that_a_backup_shows_as_claimed_long_ago_is_held_and_not_posted(
    running: Send, provider: Provider
) -> None:
    claim_batch(provider)
    long_ago = timezone.now() - datetime.timedelta(days=2)
    Batch.objects.update(first_attempt_at=long_ago, last_attempt_at=long_ago, lease_until=long_ago)
    hold_expired((provider,))
    assert post_everything(provider) == 0
    assert Batch.objects.get().state == BatchState.HELD


# --- Clocks ---------------------------------------------------------------------------------------------------------


def test_a_scheduled_time_follows_new_time_zone_rules(scheduled: Issue, monkeypatch: pytest.MonkeyPatch) -> None:
    before = send_of(scheduled).scheduled_at
    assert before is not None
    update_start_times()
    assert send_of(scheduled).scheduled_at == before
    moved = zoneinfo.ZoneInfo("Europe/Berlin")
    monkeypatch.setattr(schedule_module, "nearest_instant_of", lambda wall, zone: wall.replace(tzinfo=moved))
    update_start_times()
    send = send_of(scheduled)
    assert send.scheduled_at is not None
    assert send.scheduled_at < before
    note = send.transitions.last()
    assert note is not None
    assert note.reason == Reason.RESCHEDULED
    assert "time-zone rules or recipients changed" in note.sentence


def test_a_worker_starts_due_sends_within_two_seconds() -> None:
    every = {step.name: step.every for step in STEPS}
    assert (
        max(every[name] for name in ("plan_occurrences", "start_occurrences", "start_sends")) + loop.IDLE_SECONDS <= 2.0
    )


def test_a_pause_takes_effect_before_the_next_batch(issue: Issue, provider: Provider) -> None:
    people.make_subscriptions(3, issue.newsletter)
    start_sending(issue)
    expand_audiences(batch_size=1)
    assert claim_batch(provider)
    pause_send(send_of(issue), by="Edda", text="A wrong link.")
    assert claim_batch(provider) is None


@pytest.mark.parametrize("hours", [-2, 2], ids=["behind", "ahead"])
def test_a_wrong_clock_of_a_worker_starts_nothing_early_and_holds_nothing(
    scheduled: Issue, monkeypatch: pytest.MonkeyPatch, hours: int
) -> None:
    real = timezone.now
    for minutes, state in ((60, SendState.SCHEDULED), (-1, SendState.SENDING)):
        Send.objects.update(scheduled_at=real() + datetime.timedelta(minutes=minutes))
        with monkeypatch.context() as broken:
            broken.setattr(timezone, "now", lambda: real() + datetime.timedelta(hours=hours))
            start_next_due_send()
        send = send_of(scheduled)
        assert (send.state, send.hold_reason) == (state, "")
