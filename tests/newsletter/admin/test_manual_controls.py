"""Undo, resume with a reason, retry, approve, waves and recurring schedules, each on its page."""

from __future__ import annotations

import datetime

import pytest
from django.test import Client
from django.urls import reverse
from django.utils import timezone
from pytest_django import Settings

from newsletter.content.store import save_content
from newsletter.models import (
    Batch,
    BatchState,
    Delivery,
    DeliveryState,
    Issue,
    IssueState,
    Newsletter,
    Reason,
    RecurringSchedule,
    Send,
    SendState,
    Weekday,
)
from newsletter.models.reasons import iso
from newsletter.sending.recurring import plan_occurrences
from newsletter.sending.schedule import send_now
from subscribers.models import Subscriber
from tests.newsletter.admin.pages import confirm, form_data, page_of, status_of, words_on
from tests.publications import content, schedule_send, send_of

pytestmark = pytest.mark.usefixtures("read_by_ada")

LIST = reverse("admin:newsletter_issue_changelist")


def tuesdays(newsletter: Newsletter) -> RecurringSchedule:
    return RecurringSchedule.objects.create(newsletter=newsletter, weekday=Weekday.TUESDAY, time=datetime.time(7))


# --- A send that was started -----------------------------------------------------------------------------------------


def test_send_now_can_be_undone_with_one_click_on_the_report(edda: Client, issue: Issue, settings: Settings) -> None:
    settings.UNDO_SECONDS = 60
    send_now(issue, by="edda")
    report = edda.get(page_of(issue, "report"))
    assert "Nothing is sent yet" in words_on(report)
    assert f'action="{page_of(issue, "undo")}"' in report.content.decode()
    undone = edda.post(page_of(issue, "undo"), follow=True)
    assert "The start is undone. Nothing was sent, and the issue is a draft again." in words_on(undone)
    assert status_of(issue) == IssueState.DRAFT


def test_an_undo_that_comes_too_late_changes_nothing(edda: Client, running_send: Send) -> None:
    Batch.objects.update(state=BatchState.CLAIMED, attempts=1, payload=b"frozen")
    refused = edda.post(page_of(running_send.issue, "undo"), follow=True)
    assert "the start cannot be undone any more" in words_on(refused)
    assert status_of(running_send.issue) == SendState.SENDING


def test_a_send_that_was_paused_automatically_is_resumed_only_with_a_reason(edda: Client, running_send: Send) -> None:
    rate = {"count": 9, "sample": 200, "percent": 4.5, "limit": 4}
    running_send.pause(Reason.AUTO_PAUSED, values={"reasons": [[Reason.BOUNCE_RATE, rate]]})
    page = page_of(running_send.issue, "resume")
    assert "Paused automatically. 9 of 200 mails bounced permanently: 4.5 %" in words_on(edda.get(page))
    assert "Say why the send may be resumed" in words_on(edda.post(page))
    assert status_of(running_send.issue) == SendState.PAUSED
    edda.post(page, {"reason": "An old list."})
    assert status_of(running_send.issue) == SendState.SENDING


def test_failed_deliveries_are_counted_and_retried(edda: Client, running_send: Send) -> None:
    Batch.objects.update(state=BatchState.REFUSED, attempts=1)
    Delivery.objects.update(state=DeliveryState.FAILED)
    assert "1 failed delivery can be retried" in words_on(edda.get(page_of(running_send.issue, "report")))
    page = page_of(running_send.issue, "retry_failed")
    assert "1 delivery failed: the provider refused it" in words_on(edda.get(page))
    assert "Failed deliveries are retried." in words_on(edda.post(page, follow=True))
    assert Delivery.objects.get().state == DeliveryState.PENDING


# --- Recurring schedules ---------------------------------------------------------------------------------------------


def test_a_draft_is_approved_for_the_next_occurrence(edda: Client, issue: Issue) -> None:
    tuesdays(issue.newsletter)
    plan_occurrences()
    assert "The next free occurrence is Tuesdays 07:00" in words_on(edda.get(page_of(issue, "schedule")))
    assert "The issue is sent as it is now." in words_on(edda.get(page_of(issue, "approve")))
    confirm(edda, issue, "approve")
    issue.refresh_from_db()
    assert (issue.state, issue.approved_revision) == (IssueState.APPROVED, issue.revision)
    assert "This issue is approved and is sent at Tuesdays 07:00" in words_on(edda.get(page_of(issue, "schedule")))
    assert "The recurring schedule Tuesdays 07:00 sends this revision on" in words_on(edda.get(page_of(issue)))
    assert "Approved Approved, edited just now" in words_on(edda.get(LIST))
    edda.post(page_of(issue, "keep_as_draft"))
    issue.refresh_from_db()
    assert (issue.state, issue.approved_revision) == (IssueState.DRAFT, None)


def test_a_further_approved_issue_is_sent_at_a_later_occurrence(edda: Client, issue: Issue) -> None:
    confirm(edda, issue, "approve")
    shown = words_on(edda.get(page_of(issue)))
    assert "The newsletter's recurring schedule sends this revision at its next free occurrence." in shown
    assert "Saving a change withdraws the approval." in shown


def test_content_that_was_saved_after_the_page_was_loaded_is_not_approved(edda: Client, issue: Issue) -> None:
    shown = form_data(edda, page_of(issue, "approve"), "//main//form")
    save_content(issue, content(subject="Half a sente"), by="Emma")
    refused = edda.post(page_of(issue, "approve"), shown)
    assert "The issue was saved since this page was loaded" in words_on(refused)
    assert status_of(issue) == IssueState.DRAFT


@pytest.mark.parametrize("given", ["", "two", "²", "9" * 5_000])
def test_an_approval_without_the_revision_that_was_shown_is_refused(edda: Client, issue: Issue, given: str) -> None:
    refused = edda.post(page_of(issue, "approve"), {"revision": given})
    assert "The form is incomplete. Reload the page and confirm again." in words_on(refused)
    assert status_of(issue) == IssueState.DRAFT


def test_an_issue_with_errors_cannot_be_approved(edda: Client, issue: Issue) -> None:
    save_content(issue, content(sections=()), by="tests")
    shown = edda.get(page_of(issue, "approve"))
    assert "The issue has no content" in words_on(shown)
    assert "disabled" in shown.content.decode()


def test_a_draft_that_was_only_approved_can_be_deleted(edda: Client, issue: Issue) -> None:
    confirm(edda, issue, "approve")
    edda.post(page_of(issue, "keep_as_draft"))
    assert issue.transitions.count() == 2
    assert "Delete draft" in words_on(edda.get(page_of(issue)))
    edda.post(page_of(issue, "delete"), {"post": "yes"})
    assert not Issue.objects.exists()


def test_a_draft_whose_start_was_undone_keeps_its_history(edda: Client, issue: Issue) -> None:
    send_now(issue, by="edda")
    edda.post(page_of(issue, "undo"))
    shown = words_on(edda.get(page_of(issue)))
    assert "This draft cannot be deleted, because it was scheduled or sent before" in shown


def test_a_draft_that_missed_its_occurrence_says_so_in_the_form_and_in_the_list(edda: Client, issue: Issue) -> None:
    values = {"occurrence_at": "2026-11-24T07:00:00+00:00"}
    Issue.objects.update(hold_reason=Reason.OCCURRENCE_MISSED, hold_values=values)
    sentence = "The occurrence of the recurring schedule on 24 November 2026, 07:00 UTC came, and this issue was not"
    assert f"Needs attention: {sentence}" in words_on(edda.get(page_of(issue)))
    assert f"Needs attention {sentence}" in words_on(edda.get(page_of(issue, "schedule")))
    assert "Needs attention, edited just now" in words_on(edda.get(LIST))


def test_recurring_schedules_are_edited_on_the_page_of_the_newsletter(edda: Client, issue: Issue) -> None:
    url = reverse("admin:newsletter_newsletter_change", args=[issue.newsletter.pk])
    tuesdays(issue.newsletter)
    assert "Not planned yet" in words_on(edda.get(url))
    plan_occurrences()
    assert "Next: " in words_on(edda.get(url))
    RecurringSchedule.objects.update(problem=Reason.ZONE_UNKNOWN, problem_values={"zone": "Mars/Olympus"})
    assert "this machine does not know the time zone “Mars/Olympus”. Next: " in words_on(edda.get(url))


# --- Schedules -------------------------------------------------------------------------------------------------------


def test_the_waves_of_a_send_by_local_time_are_shown_before_it_is_confirmed(edda: Client, issue: Issue) -> None:
    assert "in each recipient's time zone" not in words_on(edda.get(page_of(issue, "schedule")))
    Subscriber.objects.filter(address="ada@example.org").update(time_zone="Asia/Tokyo")
    assert "At this time in each recipient's time zone" in words_on(edda.get(page_of(issue, "schedule")))
    day = (timezone.now() + datetime.timedelta(days=3)).date().isoformat()
    chosen = {"date": day, "time": "07:00", "zone": "Europe/Berlin", "is_local": "on"}
    shown = words_on(edda.post(page_of(issue, "schedule"), chosen))
    assert "in 1 wave" in shown
    assert "Tokyo 1" in shown
    scheduled = confirm(edda, issue, "schedule", given=chosen)
    assert "is sent to the first recipients" in words_on(scheduled)
    assert send_of(issue).is_local


def test_a_scheduled_send_on_hold_says_so_on_its_page_and_in_the_list(edda: Client, issue: Issue) -> None:
    due = timezone.now() - datetime.timedelta(hours=5)
    values = {"due_at": iso(due), "found_at": iso(timezone.now())}
    send = schedule_send(issue, at=due, hold_reason=Reason.OVERDUE, hold_values=values)
    assert "Needs attention: The send was due on" in words_on(edda.get(page_of(issue, "schedule")))
    assert "Needs attention, due 5 hours ago" in words_on(edda.get(LIST))
    assert "Needs attention Taller cranes" in words_on(edda.get(reverse("admin:index")))
    failed = {"hold_reason": Reason.START_FAILED, "hold_values": {"error": "KeyError"}}
    Send.objects.filter(pk=send.pk).update(**failed, retry_start_at=timezone.now())
    assert "Did not start: The start failed (KeyError)" in words_on(edda.get(page_of(issue, "schedule")))
    assert "Start retried, due 5 hours ago" in words_on(edda.get(LIST))
    assert "Start retried Taller cranes" in words_on(edda.get(reverse("admin:index")))
