"""Scheduling and starting: what was approved is what is sent, once, when it is due."""

from __future__ import annotations

import datetime
import threading
from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
from django.db import connection
from django.utils import timezone

from newsletter.content.store import IssueIsClosed, save_content
from newsletter.models import (
    Edition,
    InvalidTransition,
    Issue,
    IssueState,
    Reason,
    Send,
    SendState,
    SendTransition,
)
from newsletter.preflight import Severity
from newsletter.sending import schedule as schedule_module
from newsletter.sending.check import findings_of
from newsletter.sending.control import cancel_send, finish_sends, pause_send, resume_send
from newsletter.sending.schedule import (
    IssueRefused,
    schedule_issue,
    send_now,
    start_next_due_send,
    unschedule_send,
)
from newsletter.sending.wall_clock import NoSuchTime
from subscribers.models import Subscription, SubscriptionState
from tests import people
from tests.publications import content, just_now, make_issue, send_of

TOMORROW = datetime.datetime.now(datetime.UTC).replace(tzinfo=None, second=0, microsecond=0) + datetime.timedelta(
    days=1
)


@pytest.fixture
def ready(issue: Issue) -> Issue:
    """A complete draft with one subscriber."""
    people.ada(issue.newsletter)
    return issue


def schedule(issue: Issue, wall: datetime.datetime = TOMORROW, zone: str = "UTC") -> None:
    schedule_issue(issue, wall=wall, zone=zone, by="Edda")


def make_due() -> None:
    Send.objects.filter(state=SendState.SCHEDULED).update(scheduled_at=just_now())


def test_a_scheduled_issue_starts_when_it_is_due_and_not_before(ready: Issue) -> None:
    schedule(ready)
    assert not start_next_due_send()
    make_due()
    assert start_next_due_send()
    ready.refresh_from_db()
    assert ready.status == SendState.SENDING


def test_what_was_approved_is_what_is_sent(ready: Issue) -> None:
    schedule(ready)
    approved = ready.edition
    with pytest.raises(IssueIsClosed):
        save_content(ready, content(title="Something else"), by="tests")
    make_due()
    start_next_due_send()
    ready.refresh_from_db()
    assert ready.edition == approved


def test_a_time_in_the_past_is_refused(ready: Issue) -> None:
    with pytest.raises(IssueRefused, match="is in the past"):
        schedule(ready, wall=TOMORROW - datetime.timedelta(days=2))


def test_a_time_that_does_not_exist_is_refused_and_changes_nothing(ready: Issue) -> None:
    with pytest.raises(NoSuchTime):
        schedule(ready, wall=datetime.datetime(2031, 3, 30, 2, 30), zone="Europe/Berlin")
    ready.refresh_from_db()
    assert (ready.status, Edition.objects.count()) == (IssueState.DRAFT, 0)


def test_every_error_is_named_and_nothing_is_frozen(issue: Issue) -> None:
    issue.newsletter.postal_address = ""
    issue.newsletter.save()
    with pytest.raises(IssueRefused) as refused:
        send_now(issue, by="Edda")
    assert len(refused.value.sentences) == 2  # an empty audience, no postal address
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


def test_an_unscheduled_issue_can_be_edited_and_its_withdrawn_send_stays_on_record(ready: Issue) -> None:
    schedule(ready)
    unschedule_send(send_of(ready), by="Edda", text="Wrong day.")
    assert (ready.status, ready.edition) == (IssueState.DRAFT, None)
    send = Send.objects.get()
    assert (send.state, send.transitions.last().values) == (SendState.WITHDRAWN, {"text": "Wrong day."})  # type: ignore[union-attr]
    assert save_content(ready, content(title="Better"), by="Edda")


def test_a_due_send_without_an_audience_is_withdrawn_with_the_reason(ready: Issue) -> None:
    schedule(ready)
    Subscription.objects.update(state=SubscriptionState.UNSUBSCRIBED)
    make_due()
    start_next_due_send()
    ready.refresh_from_db()
    assert ready.state == IssueState.DRAFT
    assert "The mailing list has no active subscribers." in ready.hold_sentence


def test_a_send_that_cannot_start_does_not_block_others(ready: Issue, monkeypatch: pytest.MonkeyPatch) -> None:
    other = make_issue("issue-2", title="Quieter ferries")
    for one in (ready, other):
        schedule(one)
    make_due()
    check = schedule_module.check_and_store_edition

    def fail_for_the_first(issue: Issue, *given: Any, **named: Any) -> Any:
        if issue == ready:
            raise RuntimeError("a fault of ours")
        return check(issue, *given, **named)

    monkeypatch.setattr(schedule_module, "check_and_store_edition", fail_for_the_first)
    assert start_next_due_send()
    other.refresh_from_db()
    # First the one that fails, then the other, and then nothing for a minute.
    assert start_next_due_send()
    assert not start_next_due_send()
    other.refresh_from_db()
    ready.refresh_from_db()
    assert (other.status, ready.status) == (SendState.SENDING, SendState.SCHEDULED)
    held = send_of(ready)
    assert (held.hold_reason, held.hold_values) == (Reason.START_FAILED, {"error": "RuntimeError"})


def test_a_failed_start_is_retried_and_noted_once(ready: Issue, monkeypatch: pytest.MonkeyPatch) -> None:
    schedule(ready)
    make_due()
    with monkeypatch.context() as broken:
        broken.setattr(schedule_module, "check_and_store_edition", failing)
        for _ in range(3):
            Send.objects.update(retry_start_at=just_now())
            start_next_due_send()
    assert SendTransition.objects.filter(reason=Reason.START_FAILED).count() == 1
    Send.objects.update(retry_start_at=just_now())
    start_next_due_send()
    send = send_of(ready)
    assert (send.state, send.hold_reason, send.retry_start_at) == (SendState.SENDING, "", None)


def test_a_start_that_fails_for_too_long_is_held_for_an_operator(ready: Issue, monkeypatch: pytest.MonkeyPatch) -> None:
    schedule(ready)
    Send.objects.update(scheduled_at=timezone.now() - datetime.timedelta(minutes=59))
    with monkeypatch.context() as broken:
        broken.setattr(schedule_module, "check_and_store_edition", failing)
        start_next_due_send()
    Send.objects.update(scheduled_at=timezone.now() - datetime.timedelta(minutes=61), retry_start_at=just_now())
    start_next_due_send()
    assert send_of(ready).hold_reason == Reason.OVERDUE
    assert not start_next_due_send()


@pytest.mark.parametrize("hours", [-2, 2], ids=["behind", "ahead"])
def test_a_failed_start_waits_a_minute_also_if_the_workers_clock_is_wrong(
    ready: Issue, monkeypatch: pytest.MonkeyPatch, hours: int
) -> None:
    """Behind, it would fail in each round and block all others; ahead, it would wait for hours."""
    schedule(ready)
    make_due()
    real = timezone.now
    with monkeypatch.context() as broken:
        broken.setattr(schedule_module, "check_and_store_edition", failing)
        broken.setattr(timezone, "now", lambda: real() + datetime.timedelta(hours=hours))
        assert start_next_due_send()
        assert not start_next_due_send()
    retry_at = send_of(ready).retry_start_at
    assert retry_at is not None
    assert retry_at - real() < datetime.timedelta(minutes=2)


def failing(*given: Any, **named: Any) -> Any:
    raise RuntimeError("a fault of ours")


def test_send_now_starts_a_scheduled_issue(ready: Issue) -> None:
    schedule(ready)
    send_now(ready, by="Edda")
    assert ready.status == SendState.SENDING


def test_a_second_click_does_not_start_it_again(ready: Issue) -> None:
    send_now(ready, by="Edda")
    again = Issue.objects.get(pk=ready.pk)
    with pytest.raises(InvalidTransition, match="started already"):
        send_now(again, by="Edda")
    assert (Send.objects.count(), SendTransition.objects.count()) == (1, 1)


def test_an_issue_that_was_started_meanwhile_cannot_be_scheduled(ready: Issue) -> None:
    stale = Issue.objects.get(pk=ready.pk)
    send_now(ready, by="Edda")
    with pytest.raises(InvalidTransition):
        schedule(stale)


def meanwhile(monkeypatch: pytest.MonkeyPatch, act: Callable[[Issue], None]) -> None:
    """Let a user act on the issue after the worker has found its send due and before it locks the row."""
    real_lock = schedule_module.lock

    def act_then_lock(issue: Issue) -> None:
        monkeypatch.setattr(schedule_module, "lock", real_lock)
        act(Issue.objects.get(pk=issue.pk))
        real_lock(issue)

    monkeypatch.setattr(schedule_module, "lock", act_then_lock)


def test_a_send_that_is_unscheduled_at_the_last_moment_does_not_start(
    ready: Issue, monkeypatch: pytest.MonkeyPatch
) -> None:
    schedule(ready)
    make_due()
    meanwhile(monkeypatch, lambda issue: unschedule_send(send_of(issue), by="Edda"))
    start_next_due_send()
    ready.refresh_from_db()
    assert ready.status == IssueState.DRAFT


def test_an_issue_rescheduled_at_the_last_moment_keeps_its_new_time(
    ready: Issue, monkeypatch: pytest.MonkeyPatch
) -> None:
    def move_on(issue: Issue) -> None:
        unschedule_send(send_of(issue), by="Edda")
        save_content(issue, content(subject="Corrected"), by="Edda")
        schedule(issue)

    schedule(ready)
    make_due()
    meanwhile(monkeypatch, move_on)
    start_next_due_send()
    ready.refresh_from_db()
    assert ready.status == SendState.SCHEDULED
    assert ready.edition is not None
    assert ready.edition.subject == "Corrected"


def test_a_second_worker_does_not_resume_a_paused_send(ready: Issue, monkeypatch: pytest.MonkeyPatch) -> None:
    def start_and_pause(issue: Issue) -> None:
        send_now(issue, by="another worker")
        pause_send(send_of(issue), by="Edda", text="A wrong link.")

    schedule(ready)
    make_due()
    meanwhile(monkeypatch, start_and_pause)
    start_next_due_send()
    send = send_of(ready)
    assert (send.state, send.hold_values) == (SendState.PAUSED, {"text": "A wrong link."})


def test_send_now_refuses_an_issue_whose_schedule_changed_since_it_was_read(ready: Issue) -> None:
    schedule(ready)
    seen = Issue.objects.with_send().get(pk=ready.pk)
    unschedule_send(send_of(ready), by="Emma")
    with pytest.raises(InvalidTransition, match="changed meanwhile"):
        send_now(seen, by="Edda")


@pytest.mark.parametrize("now", [True, False], ids=["send now", "schedule"])
def test_content_that_was_saved_after_the_page_was_loaded_is_not_sent(ready: Issue, now: bool) -> None:
    seen = ready.revision
    save_content(ready, content(subject="An unapproved subject"), by="Emma")
    press: Callable[..., Send] = partial(schedule_issue, ready, wall=TOMORROW, zone="UTC")
    if now:
        press = partial(send_now, ready)
    with pytest.raises(IssueRefused, match="saved since this page was loaded"):
        press(by="Edda", revision=seen)
    assert Issue.objects.get().status == IssueState.DRAFT
    send_now(ready, by="Edda", revision=ready.revision)


def test_a_scheduled_send_cannot_be_resumed(ready: Issue) -> None:
    schedule(ready)
    with pytest.raises(InvalidTransition):
        resume_send(send_of(ready), by="Edda")


@pytest.mark.django_db(transaction=True)
@pytest.mark.postgresql
def test_of_two_simultaneous_starts_one_wins() -> None:
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


def test_a_paused_send_keeps_its_reason_until_it_is_resumed(ready: Issue) -> None:
    send = send_now(ready, by="Edda")
    pause_send(send, by="Edda", text="A wrong link.")
    assert (send.hold_reason, send.hold_values) == (Reason.OPERATOR, {"text": "A wrong link."})
    assert send.hold_sentence == "Decided by an operator. A wrong link."
    finish_sends()
    assert send_of(ready).state == SendState.PAUSED
    resume_send(send, by="Edda")
    assert (send.hold_reason, send.hold_values) == ("", {})


def test_a_cancelled_send_is_over(ready: Issue) -> None:
    send = send_now(ready, by="Edda")
    cancel_send(send, by="Edda", text="Wrong issue.")
    assert send.finished_at
    with pytest.raises(InvalidTransition, match="Cancelled"):
        resume_send(send, by="Edda")
