"""The last word is a person's: undo, resume with a reason, try again, waves and slots, each on its page."""

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
    DeliveryStatus,
    Issue,
    IssueStatus,
    RecurringSchedule,
    Weekday,
)
from newsletter.sending.freeze import freeze_edition
from newsletter.sending.recurring import plan_occurrences
from newsletter.sending.schedule import send_now
from subscribers.models import Subscriber
from tests.newsletter.admin.pages import confirm, form_data, page_of, words_on
from tests.publications import address_everybody, content, start_sending

pytestmark = pytest.mark.usefixtures("read_by_ada")


def status_of(issue: Issue) -> str:
    issue.refresh_from_db()
    return issue.status


def test_send_now_can_be_undone_with_one_press_on_the_report(edda: Client, issue: Issue, settings: Settings) -> None:
    settings.UNDO_SECONDS = 60
    send_now(issue, by="edda")
    report = edda.get(page_of(issue, "report"))
    assert "Nothing is out yet" in words_on(report)
    assert f'action="{page_of(issue, "undo")}"' in report.content.decode()
    assert "it is a draft again" in words_on(edda.post(page_of(issue, "undo"), follow=True))
    assert status_of(issue) == IssueStatus.DRAFT


def test_an_undo_that_comes_too_late_changes_nothing_and_says_so(edda: Client, issue: Issue) -> None:
    start_sending(issue)
    address_everybody()
    Batch.objects.update(state=BatchState.CLAIMED, attempts=1, payload=b"frozen")
    assert "cannot be undone any more" in words_on(edda.post(page_of(issue, "undo"), follow=True))
    assert status_of(issue) == IssueStatus.SENDING


def test_a_send_that_paused_itself_asks_for_a_reason(edda: Client, issue: Issue) -> None:
    start_sending(issue)
    issue.move(IssueStatus.PAUSED, by="worker", hold_reason="9 of 200 mails bounced.", is_braked=True)
    page = page_of(issue, "resume")
    assert "9 of 200 mails bounced" in words_on(edda.get(page))
    assert "Say why it may go on" in words_on(edda.post(page))
    assert status_of(issue) == IssueStatus.PAUSED
    edda.post(page, {"reason": "An old list."})
    assert status_of(issue) == IssueStatus.SENDING


def test_the_refused_are_counted_and_tried_again(edda: Client, issue: Issue) -> None:
    start_sending(issue)
    address_everybody()
    Batch.objects.update(state=BatchState.REFUSED, attempts=1)
    Delivery.objects.update(status=DeliveryStatus.FAILED)
    assert "1 reader was refused" in words_on(edda.get(page_of(issue, "report")))
    assert "1 reader was refused" in words_on(edda.get(page_of(issue, "retry_failed")))
    edda.post(page_of(issue, "retry_failed"))
    assert Delivery.objects.get().status == DeliveryStatus.PENDING


def test_a_draft_is_marked_ready_for_the_next_slot(edda: Client, issue: Issue) -> None:
    RecurringSchedule.objects.create(newsletter=issue.newsletter, weekday=Weekday.TUESDAY, time=datetime.time(7))
    plan_occurrences()
    assert "The next slot for it is Tuesdays 07:00" in words_on(edda.get(page_of(issue, "schedule")))
    assert "It goes out then as it is now" in words_on(edda.get(page_of(issue, "ready")))
    confirm(edda, issue, "ready")
    issue.refresh_from_db()
    assert issue.ready_revision == issue.revision
    assert "Ready for a slot" in words_on(edda.get(page_of(issue, "schedule")))
    assert "sent by the recurring schedule Tuesdays 07:00" in words_on(edda.get(page_of(issue)))
    assert "Ready for its slot" in words_on(edda.get(reverse("admin:newsletter_issue_changelist")))
    edda.post(page_of(issue, "not_ready"))
    issue.refresh_from_db()
    assert issue.ready_revision is None


def test_what_somebody_saved_meanwhile_is_not_marked_under_the_old_page(edda: Client, issue: Issue) -> None:
    shown = form_data(edda, page_of(issue, "ready"), "//main//form")
    save_content(issue, content(subject="Half a sente"), by="Emma")
    assert "The issue was saved while you looked at it" in words_on(edda.post(page_of(issue, "ready"), shown))
    issue.refresh_from_db()
    assert issue.ready_revision is None


@pytest.mark.parametrize("given", ["", "two", "²", "9" * 5_000])
def test_a_mark_that_does_not_say_what_was_seen_is_refused(edda: Client, issue: Issue, given: str) -> None:
    refused = edda.post(page_of(issue, "ready"), {"revision": given})
    assert "did not say which revision" in words_on(refused)
    issue.refresh_from_db()
    assert issue.ready_revision is None


def test_what_cannot_go_out_cannot_be_marked_and_says_why(edda: Client, issue: Issue) -> None:
    save_content(issue, content(sections=()), by="tests")
    shown = edda.get(page_of(issue, "ready"))
    assert "The issue has no stories" in words_on(shown)
    assert "disabled" in shown.content.decode()


def test_a_draft_that_was_only_marked_can_be_deleted(edda: Client, issue: Issue) -> None:
    confirm(edda, issue, "ready")
    edda.post(page_of(issue, "not_ready"))
    assert issue.transitions.count() == 2
    assert "Delete draft" in words_on(edda.get(page_of(issue)))
    edda.post(page_of(issue, "delete"), {"post": "yes"})
    assert not Issue.objects.exists()


def test_a_draft_whose_start_was_undone_keeps_its_history(edda: Client, issue: Issue) -> None:
    send_now(issue, by="edda")
    edda.post(page_of(issue, "undo"))
    assert "This draft cannot be deleted" in words_on(edda.get(page_of(issue)))


def test_a_draft_that_missed_its_slot_says_so_where_it_is_composed_and_in_the_list(edda: Client, issue: Issue) -> None:
    Issue.objects.update(hold_reason="Its slot came, and it was not marked ready.")
    assert "Held: Its slot came" in words_on(edda.get(page_of(issue)))
    assert "Waits for you" in words_on(edda.get(reverse("admin:newsletter_issue_changelist")))


def test_slots_are_set_on_the_page_of_the_newsletter(edda: Client, issue: Issue) -> None:
    url = reverse("admin:newsletter_newsletter_change", args=[issue.newsletter.pk])
    RecurringSchedule.objects.create(newsletter=issue.newsletter, weekday=Weekday.TUESDAY, time=datetime.time(7))
    assert "Not planned yet" in words_on(edda.get(url))
    plan_occurrences()
    assert "Next: " in words_on(edda.get(url))
    RecurringSchedule.objects.update(problem="This machine knows no time zone “Mars/Olympus”.")
    assert "This machine knows no time zone “Mars/Olympus”. Next: " in words_on(edda.get(url))


def test_the_waves_are_said_back_before_they_count(edda: Client, issue: Issue) -> None:
    assert "where each reader is" not in words_on(edda.get(page_of(issue, "schedule")))
    Subscriber.objects.filter(address="ada@example.org").update(time_zone="Asia/Tokyo")
    assert "where each reader is" in words_on(edda.get(page_of(issue, "schedule")))
    day = (timezone.now() + datetime.timedelta(days=3)).date().isoformat()
    moment = {"date": day, "time": "07:00", "zone": "Europe/Berlin", "is_local": "on"}
    said = edda.post(page_of(issue, "schedule"), moment)
    assert "in 1 wave" in words_on(said)
    assert "Tokyo 1" in words_on(said)
    manifest = said.context["manifest_json"]
    confirmed = moment | {"confirm": "1", "revision": str(issue.revision), "manifest": manifest}
    assert "the first readers" in words_on(edda.post(page_of(issue, "schedule"), confirmed, follow=True))
    issue.refresh_from_db()
    assert issue.is_local


def test_a_schedule_that_waits_says_so_on_its_page_and_in_the_list(edda: Client, issue: Issue) -> None:
    moment = timezone.now() - datetime.timedelta(hours=5)
    issue.move(
        IssueStatus.SCHEDULED,
        by="edda",
        scheduled_at=moment,
        scheduled_zone="UTC",
        hold_reason="Found too late.",
    )
    issue.edition = freeze_edition(issue)
    issue.save()
    assert "Waits for you: Found too late." in words_on(edda.get(page_of(issue, "schedule")))
    assert "Waits for you" in words_on(edda.get(reverse("admin:newsletter_issue_changelist")))
    Issue.objects.update(hold_reason="The worker's log says why.", next_try_at=timezone.now())
    assert "Did not start: The worker's log says why." in words_on(edda.get(page_of(issue, "schedule")))
    assert "Tried again" in words_on(edda.get(reverse("admin:newsletter_issue_changelist")))
    assert "Tried again" in words_on(edda.get(reverse("admin:index")))
