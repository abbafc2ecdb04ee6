"""What is found too late, or after a restore, waits for a person; what starts in time starts within two seconds."""

from __future__ import annotations

import datetime
import zoneinfo

import pytest
from django.utils import timezone

from newsletter.models import Batch, BatchState, Issue, IssueStatus, WorkerHeartbeat
from newsletter.providers.base import Provider
from newsletter.sending import schedule as schedule_module
from newsletter.sending.batch import claim_batch
from newsletter.sending.control import pause_issue, resume_issue
from newsletter.sending.downtime import hold_after_downtime
from newsletter.sending.provider_outage import follow_provider_outages
from newsletter.sending.reconcile import hold_expired
from newsletter.sending.schedule import (
    renew_instants,
    schedule_issue,
    send_now,
    start_due_issues,
    unschedule_issue,
)
from newsletter.worker import STEPS, loop
from tests import people
from tests.publications import address_everybody, post_everything, start_sending

NOW = datetime.timedelta(0)


@pytest.fixture
def scheduled(issue: Issue) -> Issue:
    people.ada(issue.newsletter)
    tomorrow = timezone.now() + datetime.timedelta(days=1)
    schedule_issue(issue, wall=tomorrow.replace(tzinfo=None, second=0, microsecond=0), zone="UTC", by="Edda")
    return issue


def found(issue: Issue, *, late: datetime.timedelta) -> Issue:
    Issue.objects.update(scheduled_at=timezone.now() - late)
    start_due_issues()
    issue.refresh_from_db()
    return issue


def test_a_schedule_found_an_hour_late_waits_for_a_person_and_says_so(scheduled: Issue) -> None:
    found(scheduled, late=datetime.timedelta(minutes=61))
    assert scheduled.status == IssueStatus.SCHEDULED
    assert "Nothing was sent. Send it now if that is still right" in scheduled.hold_reason
    step = scheduled.transitions.last()
    assert step is not None
    assert step.reason.startswith("Waits for a person")
    assert not start_due_issues()


def test_a_schedule_found_a_little_late_starts(scheduled: Issue) -> None:
    assert found(scheduled, late=datetime.timedelta(minutes=59)).status == IssueStatus.SENDING


def test_a_person_decides_to_send_it_now(scheduled: Issue) -> None:
    found(scheduled, late=datetime.timedelta(hours=5))
    send_now(scheduled, by="Edda")
    assert (scheduled.status, scheduled.hold_reason) == (IssueStatus.SENDING, "")


def test_a_person_decides_on_another_time(scheduled: Issue) -> None:
    found(scheduled, late=datetime.timedelta(hours=5))
    unschedule_issue(scheduled, by="Edda")
    tomorrow = (timezone.now() + datetime.timedelta(days=1)).replace(tzinfo=None)
    schedule_issue(scheduled, wall=tomorrow, zone="UTC", by="Edda")
    assert found(scheduled, late=NOW).status == IssueStatus.SENDING


# --- Away for long, or restored from a backup (R-137) --------------------------------------------------------------


@pytest.fixture
def under_way(issue: Issue) -> Issue:
    people.ada(issue.newsletter)
    start_sending(issue)
    address_everybody()
    return issue


def last_seen(ago: datetime.timedelta) -> None:
    moment = timezone.now() - ago
    WorkerHeartbeat.objects.create(name="host:1", started_at=moment, seen_at=moment)


def test_a_send_in_a_restored_database_waits_and_says_what_to_compare(under_way: Issue, provider: Provider) -> None:
    last_seen(datetime.timedelta(days=2))
    loop.take_over()
    under_way.refresh_from_db()
    assert under_way.status == IssueStatus.PAUSED
    assert "restored from a backup" in under_way.hold_reason
    assert post_everything(provider) == 0
    resume_issue(under_way, by="Edda")
    assert post_everything(provider) == 1


def test_a_send_that_waited_for_its_provider_in_a_restored_database_does_not_go_on_by_itself(
    under_way: Issue, provider: Provider
) -> None:
    Issue.objects.update(status=IssueStatus.PAUSED, waits_for_provider=True, hold_reason="The quota is used up.")
    last_seen(datetime.timedelta(days=3))
    assert hold_after_downtime() == 1
    follow_provider_outages((provider,))
    under_way.refresh_from_db()
    assert under_way.status == IssueStatus.PAUSED
    assert "restored from a backup" in under_way.hold_reason


@pytest.mark.parametrize("ago", [datetime.timedelta(minutes=3), None], ids=["a short stop", "stopped in order"])
def test_a_worker_that_was_away_for_a_moment_goes_on(under_way: Issue, ago: datetime.timedelta | None) -> None:
    if ago:
        last_seen(ago)
    assert hold_after_downtime() == 0


def test_a_batch_that_a_backup_shows_as_claimed_long_ago_is_held_and_not_posted(
    under_way: Issue, provider: Provider
) -> None:
    claim_batch(provider)
    long_ago = timezone.now() - datetime.timedelta(days=2)
    Batch.objects.update(first_attempt_at=long_ago, last_attempt_at=long_ago, lease_until=long_ago)
    hold_expired((provider,))
    assert post_everything(provider) == 0
    assert Batch.objects.get().state == BatchState.HELD


# --- Clocks ---------------------------------------------------------------------------------------------------------


def test_a_start_follows_the_rules_of_its_zone_when_they_change(
    scheduled: Issue, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = scheduled.scheduled_at
    assert before is not None
    renew_instants()
    scheduled.refresh_from_db()
    assert scheduled.scheduled_at == before
    moved = zoneinfo.ZoneInfo("Europe/Berlin")
    monkeypatch.setattr(schedule_module, "nearest_instant_of", lambda wall, zone: wall.replace(tzinfo=moved))
    renew_instants()
    scheduled.refresh_from_db()
    assert scheduled.scheduled_at < before
    step = scheduled.transitions.last()
    assert step is not None
    assert "clocks or readers moved" in step.reason


def test_a_worker_starts_what_is_due_within_two_seconds() -> None:
    every = {step.name: step.every for step in STEPS}
    assert max(every[name] for name in ("plan_occurrences", "start_occurrences", "start_issues")) + loop.IDLE <= 2.0


def test_a_pause_holds_from_the_very_next_batch(issue: Issue, provider: Provider) -> None:
    people.make_subscriptions(3, issue.newsletter)
    start_sending(issue)
    address_everybody(batch_size=1)
    assert claim_batch(provider)
    pause_issue(issue, by="Edda", reason="A wrong link.")
    assert claim_batch(provider) is None


@pytest.mark.parametrize("hours", [-2, 2], ids=["behind", "ahead"])
def test_the_clock_of_a_worker_that_is_wrong_starts_nothing_early_and_holds_nothing(
    scheduled: Issue, monkeypatch: pytest.MonkeyPatch, hours: int
) -> None:
    real = timezone.now
    for minutes, status in ((60, IssueStatus.SCHEDULED), (-1, IssueStatus.SENDING)):
        Issue.objects.update(scheduled_at=real() + datetime.timedelta(minutes=minutes))
        with monkeypatch.context() as broken:
            broken.setattr(timezone, "now", lambda: real() + datetime.timedelta(hours=hours))
            start_due_issues()
        scheduled.refresh_from_db()
        assert (scheduled.status, scheduled.hold_reason) == (status, "")
