"""Scheduling and starting: what was approved is what goes out, once, when its time has come."""

from __future__ import annotations

import datetime
import threading
from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
from django.db import IntegrityError, connection, transaction
from django.utils import timezone

from newsletter.content.store import IssueIsClosed, save_content
from newsletter.models import TRANSITIONS, Edition, InvalidTransition, Issue, IssueStatus, IssueTransition
from newsletter.preflight import Severity
from newsletter.sending import schedule as schedule_module
from newsletter.sending.check import findings_of
from newsletter.sending.control import cancel_issue, finish_issues, pause_issue, resume_issue
from newsletter.sending.freeze import freeze_edition
from newsletter.sending.schedule import (
    IssueRefused,
    schedule_issue,
    send_now,
    start_due_issues,
    unschedule_issue,
)
from newsletter.sending.wall_clock import NoSuchTime
from subscribers.models import Subscription, SubscriptionState
from tests import people
from tests.publications import content, just_now, make_issue

TOMORROW = datetime.datetime.now(datetime.UTC).replace(tzinfo=None, second=0, microsecond=0) + datetime.timedelta(
    days=1
)


@pytest.fixture
def ready(issue: Issue) -> Issue:
    """A complete draft with one reader."""
    people.ada(issue.newsletter)
    return issue


def schedule(issue: Issue, wall: datetime.datetime = TOMORROW, zone: str = "UTC") -> None:
    schedule_issue(issue, wall=wall, zone=zone, by="Edda")


def make_due() -> None:
    Issue.objects.filter(status=IssueStatus.SCHEDULED).update(scheduled_at=just_now())


def test_a_scheduled_issue_starts_when_its_time_has_come_and_not_before(ready: Issue) -> None:
    schedule(ready)
    assert not start_due_issues()
    make_due()
    assert start_due_issues()
    ready.refresh_from_db()
    assert ready.status == IssueStatus.SENDING


def test_what_was_approved_is_what_goes_out(ready: Issue) -> None:
    schedule(ready)
    approved = ready.edition
    with pytest.raises(IssueIsClosed):
        save_content(ready, content(title="Something else"), by="tests")
    make_due()
    start_due_issues()
    ready.refresh_from_db()
    assert ready.edition == approved


def test_a_time_in_the_past_is_refused(ready: Issue) -> None:
    with pytest.raises(IssueRefused, match="is over"):
        schedule(ready, wall=TOMORROW - datetime.timedelta(days=2))


def test_a_time_that_does_not_exist_is_refused_and_changes_nothing(ready: Issue) -> None:
    with pytest.raises(NoSuchTime):
        schedule(ready, wall=datetime.datetime(2031, 3, 30, 2, 30), zone="Europe/Berlin")
    ready.refresh_from_db()
    assert (ready.status, Edition.objects.count()) == (IssueStatus.DRAFT, 0)


def test_every_finding_that_must_be_fixed_is_named_and_nothing_is_frozen(issue: Issue) -> None:
    issue.newsletter.postal_address = ""
    issue.newsletter.save()
    with pytest.raises(IssueRefused) as refused:
        send_now(issue, by="Edda")
    assert len(refused.value.sentences) == 2  # nobody to send to, no postal address
    assert not Edition.objects.exists()


def test_a_rendering_that_fails_is_a_finding(ready: Issue, monkeypatch: pytest.MonkeyPatch) -> None:
    from newsletter.rendering import RenderingError

    def fail(*_: object, **__: object) -> None:
        raise RenderingError("The template is broken.")

    monkeypatch.setattr("newsletter.sending.source.render_issue", fail)
    assert findings_of(ready)[0].message == "The template is broken."
    assert findings_of(ready)[0].severity is Severity.ERROR
    with pytest.raises(IssueRefused, match="broken"):
        send_now(ready, by="Edda")


def test_a_schedule_can_be_taken_off_and_the_issue_edited_again(ready: Issue) -> None:
    schedule(ready)
    unschedule_issue(ready, by="Edda")
    assert (ready.status, ready.edition, ready.scheduled_at) == (IssueStatus.DRAFT, None, None)
    assert save_content(ready, content(title="Better"), by="Edda")


def test_an_issue_that_is_due_without_readers_goes_back_to_draft_with_the_reason(ready: Issue) -> None:
    schedule(ready)
    Subscription.objects.update(state=SubscriptionState.UNSUBSCRIBED)
    make_due()
    start_due_issues()
    ready.refresh_from_db()
    assert ready.status == IssueStatus.DRAFT
    assert "The mailing list has no active subscribers." in ready.hold_reason


def test_an_issue_that_cannot_be_started_keeps_no_other_waiting(ready: Issue, monkeypatch: pytest.MonkeyPatch) -> None:
    other = make_issue("issue-2", title="Quieter ferries")
    for one in (ready, other):
        schedule(one)
    make_due()
    approve = schedule_module.approve

    def fail_for_the_first(issue: Issue, *given: Any, **named: Any) -> Any:
        if issue == ready:
            raise RuntimeError("a fault of ours")
        return approve(issue, *given, **named)

    monkeypatch.setattr(schedule_module, "approve", fail_for_the_first)
    assert start_due_issues()
    other.refresh_from_db()
    # First the one that fails, then the other, and then nothing for a minute.
    assert start_due_issues()
    assert not start_due_issues()
    other.refresh_from_db()
    ready.refresh_from_db()
    assert (other.status, ready.status) == (IssueStatus.SENDING, IssueStatus.SCHEDULED)
    assert "could not be started (RuntimeError)" in ready.hold_reason


def test_an_issue_that_failed_to_start_is_tried_again_and_told_once(
    ready: Issue, monkeypatch: pytest.MonkeyPatch
) -> None:
    schedule(ready)
    make_due()
    with monkeypatch.context() as broken:
        broken.setattr(schedule_module, "approve", failing)
        for _ in range(3):
            Issue.objects.update(next_try_at=just_now())
            start_due_issues()
    assert ready.transitions.filter(reason__contains="could not be started").count() == 1
    Issue.objects.update(next_try_at=just_now())
    start_due_issues()
    ready.refresh_from_db()
    assert (ready.status, ready.hold_reason, ready.next_try_at) == (IssueStatus.SENDING, "", None)


def test_an_issue_that_fails_to_start_for_too_long_waits_for_a_person(
    ready: Issue, monkeypatch: pytest.MonkeyPatch
) -> None:
    schedule(ready)
    Issue.objects.update(scheduled_at=timezone.now() - datetime.timedelta(minutes=59))
    with monkeypatch.context() as broken:
        broken.setattr(schedule_module, "approve", failing)
        start_due_issues()
    Issue.objects.update(scheduled_at=timezone.now() - datetime.timedelta(minutes=61), next_try_at=just_now())
    start_due_issues()
    ready.refresh_from_db()
    assert "could not be started until" in ready.hold_reason
    assert not start_due_issues()


@pytest.mark.parametrize("hours", [-2, 2], ids=["behind", "ahead"])
def test_a_failed_start_waits_its_minute_whatever_the_workers_clock_says(
    ready: Issue, monkeypatch: pytest.MonkeyPatch, hours: int
) -> None:
    """Behind, it would fail at each turn and keep all others waiting; ahead, it would wait for hours."""
    schedule(ready)
    make_due()
    real = timezone.now
    with monkeypatch.context() as broken:
        broken.setattr(schedule_module, "approve", failing)
        broken.setattr(timezone, "now", lambda: real() + datetime.timedelta(hours=hours))
        assert start_due_issues()
        assert not start_due_issues()
    ready.refresh_from_db()
    assert ready.next_try_at is not None
    assert ready.next_try_at - real() < datetime.timedelta(minutes=2)


def failing(*given: Any, **named: Any) -> Any:
    raise RuntimeError("a fault of ours")


def test_send_now_works_for_a_scheduled_issue_too(ready: Issue) -> None:
    schedule(ready)
    send_now(ready, by="Edda")
    assert ready.status == IssueStatus.SENDING


def test_pressed_twice_it_starts_once(ready: Issue) -> None:
    send_now(ready, by="Edda")
    again = Issue.objects.get(pk=ready.pk)
    with pytest.raises(InvalidTransition, match="sending, so it cannot"):
        send_now(again, by="Edda")
    assert IssueTransition.objects.count() == 1


def test_a_stale_object_does_not_move_an_issue_that_has_moved(ready: Issue) -> None:
    stale = Issue.objects.get(pk=ready.pk)
    send_now(ready, by="Edda")
    with pytest.raises(InvalidTransition):
        schedule(stale)


def meanwhile(monkeypatch: pytest.MonkeyPatch, act: Callable[[Issue], None]) -> None:
    """Let somebody act on the issue after the worker has found it due and before it holds the row."""
    real_lock = schedule_module.lock

    def act_then_lock(issue: Issue) -> None:
        monkeypatch.setattr(schedule_module, "lock", real_lock)
        act(Issue.objects.get(pk=issue.pk))
        real_lock(issue)

    monkeypatch.setattr(schedule_module, "lock", act_then_lock)


def test_an_issue_taken_off_the_schedule_at_the_last_moment_does_not_start(
    ready: Issue, monkeypatch: pytest.MonkeyPatch
) -> None:
    schedule(ready)
    make_due()
    meanwhile(monkeypatch, lambda issue: unschedule_issue(issue, by="Edda"))
    start_due_issues()
    ready.refresh_from_db()
    assert ready.status == IssueStatus.DRAFT


def test_an_issue_moved_to_another_day_at_the_last_moment_keeps_its_new_time(
    ready: Issue, monkeypatch: pytest.MonkeyPatch
) -> None:
    def move_on(issue: Issue) -> None:
        unschedule_issue(issue, by="Edda")
        save_content(issue, content(subject="Corrected"), by="Edda")
        schedule(issue)

    schedule(ready)
    make_due()
    meanwhile(monkeypatch, move_on)
    start_due_issues()
    ready.refresh_from_db()
    assert ready.status == IssueStatus.SCHEDULED
    assert ready.edition is not None
    assert ready.edition.subject == "Corrected"


def test_a_second_worker_does_not_undo_a_pause(ready: Issue, monkeypatch: pytest.MonkeyPatch) -> None:
    def start_and_pause(issue: Issue) -> None:
        send_now(issue, by="another worker")
        pause_issue(issue, by="Edda", reason="A wrong link.")

    schedule(ready)
    make_due()
    meanwhile(monkeypatch, start_and_pause)
    start_due_issues()
    ready.refresh_from_db()
    assert (ready.status, ready.hold_reason) == (IssueStatus.PAUSED, "A wrong link.")


def test_what_was_looked_at_is_what_send_now_starts(ready: Issue) -> None:
    schedule(ready)
    seen = Issue.objects.get(pk=ready.pk)
    unschedule_issue(ready, by="Emma")
    with pytest.raises(InvalidTransition, match="draft by now"):
        send_now(seen, by="Edda")


@pytest.mark.parametrize("now", [True, False], ids=["send now", "schedule"])
def test_what_was_saved_since_somebody_looked_is_not_what_they_confirmed(ready: Issue, now: bool) -> None:
    seen = ready.revision
    save_content(ready, content(subject="Words nobody approved"), by="Emma")
    press: Callable[..., None] = partial(schedule_issue, ready, wall=TOMORROW, zone="UTC")
    if now:
        press = partial(send_now, ready)
    with pytest.raises(IssueRefused, match="saved while you looked"):
        press(by="Edda", revision=seen)
    assert Issue.objects.get().status == IssueStatus.DRAFT
    send_now(ready, by="Edda", revision=ready.revision)


def test_a_draft_cannot_be_resumed(ready: Issue) -> None:
    with pytest.raises(InvalidTransition):
        resume_issue(ready, by="Edda")


@pytest.mark.django_db(transaction=True)
@pytest.mark.postgresql
def test_of_two_who_press_at_the_same_moment_one_wins() -> None:
    issue = make_issue()
    people.ada(issue.newsletter)
    barrier, results = threading.Barrier(2), list[str]()

    def press() -> None:
        mine = Issue.objects.get(pk=issue.pk)
        barrier.wait()
        try:
            send_now(mine, by="Edda")
            results.append("started")
        except InvalidTransition:
            results.append("refused")
        finally:
            connection.close()

    threads = [threading.Thread(target=press) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(results) == ["refused", "started"]


def in_status(issue: Issue, status: str) -> Issue:
    """Put an issue into any state, past all arrows, as a test's starting point."""
    changes: dict[str, Any] = {"status": status, "edition": freeze_edition(issue)}
    now = timezone.now()
    changes |= {"scheduled_at": now, "started_at": now, "expanded_at": now, "finished_at": now}
    Issue.objects.filter(pk=issue.pk).update(**changes)
    issue.refresh_from_db()
    return issue


@pytest.mark.parametrize("source", IssueStatus.values)
@pytest.mark.parametrize("target", IssueStatus.values)
def test_an_issue_moves_along_the_arrows_of_the_table_and_no_others(issue: Issue, source: str, target: str) -> None:
    in_status(issue, source)
    if target in TRANSITIONS[source]:
        issue.move(target, by="Edda", reason="Because.")
        step = IssueTransition.objects.get()
        assert (issue.status, step.source, step.target, step.by) == (target, source, target, "Edda")
    else:
        with pytest.raises(InvalidTransition):
            issue.move(target, by="Edda")
        assert not IssueTransition.objects.exists()


@pytest.mark.parametrize(
    "bad",
    [
        {"status": "lost"},
        {"status": IssueStatus.SCHEDULED},
        {"status": IssueStatus.SENDING},
        {"status": IssueStatus.SENT},
    ],
    ids=str,
)
def test_the_database_refuses_rows_that_must_not_be(issue: Issue, bad: dict[str, str]) -> None:
    with pytest.raises(IntegrityError), transaction.atomic():
        Issue.objects.filter(pk=issue.pk).update(**bad)


def test_pause_and_resume_keep_the_reason_for_as_long_as_it_holds(ready: Issue) -> None:
    send_now(ready, by="Edda")
    pause_issue(ready, by="Edda", reason="A wrong link.")
    assert ready.hold_reason == "A wrong link."
    finish_issues()
    ready.refresh_from_db()
    assert ready.status == IssueStatus.PAUSED
    resume_issue(ready, by="Edda")
    assert ready.hold_reason == ""


def test_a_cancelled_send_is_over(ready: Issue) -> None:
    send_now(ready, by="Edda")
    cancel_issue(ready, by="Edda", reason="Wrong issue.")
    assert ready.finished_at
    with pytest.raises(InvalidTransition, match="cancelled"):
        resume_issue(ready, by="Edda")
