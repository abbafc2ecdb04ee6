"""The first page of the admin, for users who may see issues."""

from __future__ import annotations

import datetime
from collections.abc import Callable

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone
from lxml import html as lxml_html  # type: ignore[import-untyped]

from newsletter.models import (
    Batch,
    BatchState,
    Delivery,
    Issue,
    Newsletter,
    Occurrence,
    Reason,
    RecurringSchedule,
    Send,
    Weekday,
    WorkerHeartbeat,
)
from newsletter.sending.control import pause_send
from newsletter.sending.recurring import approve_issue, plan_occurrences
from newsletter.sending.schedule import schedule_issue, start_next_due_send, unschedule_send
from subscribers.models import Subscription
from tests.newsletter.admin.pages import page_of, words_on
from tests.people import ben, make_subscriptions
from tests.publications import expand_audiences, make_issue, make_newsletter, send_of, start_sending

pytestmark = pytest.mark.usefixtures("read_by_ada")
INDEX = "/admin/"
QUERIES_OF_PROGRESS = 4


def shown(client: Client) -> str:
    return words_on(client.get(INDEX))


def test_the_dashboard_is_the_first_page_of_the_admin() -> None:
    assert reverse("admin:index") == INDEX
    assert Client().get(INDEX)["Location"] == "/admin/login/?next=/admin/"


def test_a_missing_worker_needs_attention(edda: Client) -> None:
    assert "Error No worker is running" in shown(edda)
    now = timezone.now()
    WorkerHeartbeat.objects.create(name="host:1", started_at=now, seen_at=now)
    assert "OK 1 worker is running. The last heartbeat was 0 s ago." in shown(edda)


def test_held_batches_link_to_the_report(edda: Client, issue: Issue) -> None:
    start_sending(issue)
    expand_audiences()
    Batch.objects.update(state=BatchState.HELD, payload=b"frozen", recipients=1)
    page = edda.get(INDEX)
    assert "Warning 1 batch of “Taller cranes” is held, because its outcome is unknown. Recipients: 1." in words_on(
        page
    )
    tree = lxml_html.fromstring(page.content.decode())
    assert tree.xpath("//section[@aria-labelledby='attention']//a/@href") == [page_of(issue, "report")]


def test_the_next_and_the_last_sends_are_listed(edda: Client, issue: Issue) -> None:
    ben(make_newsletter())
    later = timezone.now() + datetime.timedelta(hours=13, minutes=1)
    schedule_issue(issue, wall=later.replace(tzinfo=None), zone="UTC", by="tests")
    sent = start_sending(make_issue("issue-2", title="Quieter ferries"))
    expand_audiences()
    pause_send(sent, by="Sue", text="A check")
    words = shown(edda)
    assert "Active subscribers 1" in words
    assert "Waiting for confirmation 1" in words
    assert "Scheduled Taller cranes Harbour Notes" in words
    assert "in 13 hours" in words
    assert "Quieter ferries" in words
    assert "0 %" in words
    assert "“Quieter ferries” was paused by Sue. Decided by an operator. A check" in words


def test_an_empty_installation_has_a_sentence_for_each_list(edda: Client) -> None:
    assert "Nothing is scheduled." in shown(edda)
    assert "Nothing has been sent yet." in shown(edda)


@pytest.mark.parametrize(("name", "sees"), [("will", True), ("sue", True), ("lou", True), ("norm", False)])
def test_the_dashboard_is_shown_to_users_who_may_see_issues(
    name: str, sees: bool, signed_in: Callable[[str], Client]
) -> None:
    answer = signed_in(name).get(INDEX)
    assert answer.status_code == 200
    assert ("Needs attention" in words_on(answer)) is sees


def test_every_link_opens_for_the_user_who_sees_it(issue: Issue, signed_in: Callable[[str], Client]) -> None:
    start_sending(issue)
    expand_audiences()
    Batch.objects.update(state=BatchState.HELD, payload=b"frozen")
    lou = signed_in("lou")
    tree = lxml_html.fromstring(lou.get(INDEX).content.decode())
    links = set(tree.xpath("//main//a/@href"))
    assert page_of(issue, "report") in links
    assert {link for link in links if lou.get(link).status_code in (403, 404)} == set()


def test_the_page_has_no_inline_script_or_style(edda: Client) -> None:
    answer = edda.get(INDEX)
    assert "unsafe" not in answer["Content-Security-Policy"]
    for inline in ("<style", " style=", " onclick=", "<script>"):
        assert inline not in answer.content.decode()


def test_a_large_list_takes_as_many_queries_as_a_small_one(edda: Client) -> None:
    def queries() -> int:
        with CaptureQueriesContext(connection) as captured:
            edda.get(INDEX)
        return len(captured)

    few = queries()
    make_subscriptions(500, make_newsletter())
    assert queries() == few


def test_ten_sends_that_need_attention_take_as_many_queries_as_two(edda: Client) -> None:
    make_subscriptions(3, make_newsletter())

    def pause(number: int) -> None:
        send = start_sending(make_issue(f"issue-{number}"))
        expand_audiences()
        pause_send(send, by="Sue")
        Delivery.objects.filter(send=send).update(complained_at=timezone.now())

    def queries() -> int:
        edda.get(INDEX)
        with CaptureQueriesContext(connection) as captured:
            edda.get(INDEX)
        return len(captured)

    for number in (1, 2):
        pause(number)
    few = queries()
    for number in range(3, 11):
        pause(number)
    # The list of the last sends shows five, each with its progress.
    assert queries() <= few + 3 * QUERIES_OF_PROGRESS


# --- Recurring schedules and issues on hold --------------------------------------------------------------------------


def tuesdays(newsletter: Newsletter) -> RecurringSchedule:
    return RecurringSchedule.objects.create(newsletter=newsletter, weekday=Weekday.TUESDAY, time=datetime.time(7))


def test_the_next_occurrence_is_listed_with_its_approved_issue(edda: Client, issue: Issue) -> None:
    tuesdays(issue.newsletter)
    plan_occurrences()
    assert "Not approved No issue is approved for it Harbour Notes · Tuesdays 07:00" in shown(edda)
    approve_issue(issue, by="edda")
    assert "Approved Taller cranes Harbour Notes · Tuesdays 07:00: Tuesday, " in shown(edda)


def test_an_occurrence_without_an_approved_issue_needs_attention_until_something_is_sent(
    edda: Client, issue: Issue
) -> None:
    now = timezone.now()
    times = {"date": now.date(), "starts_at": now, "finished_at": now}
    schedule = tuesdays(issue.newsletter)
    occurrence = Occurrence.objects.create(schedule=schedule, reason=Reason.NO_APPROVED_ISSUE, **times)
    warning = f"Warning The occurrence “{occurrence}” of Harbour Notes has passed. No issue was approved"
    assert warning in shown(edda)
    start_sending(issue)
    assert warning not in shown(edda)


def test_recurring_schedules_that_fail_need_attention(edda: Client, issue: Issue) -> None:
    schedule, now = tuesdays(issue.newsletter), timezone.now()
    times = {"date": now.date(), "starts_at": now, "retry_start_at": now}
    failure = {"reason": Reason.OCCURRENCE_FAILED, "values": {"error": "KeyError"}}
    occurrence = Occurrence.objects.create(schedule=schedule, **times, **failure)
    RecurringSchedule.objects.update(problem=Reason.ZONE_UNKNOWN, problem_values={"zone": "Mars/Olympus"})
    words = shown(edda)
    problem = "The next occurrence cannot be planned: this machine does not know the time zone “Mars/Olympus”."
    assert f"Error The recurring schedule “Tuesdays 07:00” of Harbour Notes is not planned. {problem}" in words
    assert f"Error The occurrence “{occurrence}” of Harbour Notes did not start. The start failed (KeyError)" in words


def test_an_issue_that_was_due_and_did_not_start_needs_attention(edda: Client, issue: Issue) -> None:
    schedule_issue(issue, wall=datetime.datetime(2037, 7, 1, 7), zone="UTC", by="edda")
    Subscription.objects.update(state="unsubscribed", ended_at=timezone.now())
    Send.objects.update(scheduled_at=timezone.now())
    start_next_due_send()
    sentence = "The issue was due and did not start. The mailing list has no active subscribers."
    error = f"Error “Taller cranes” was not sent. {sentence}"
    assert error in shown(edda)
    assert "Keep as draft…" in words_on(edda.get(page_of(issue, "schedule")))
    edda.post(page_of(issue, "keep_as_draft"))
    assert error not in shown(edda)


def test_an_unscheduled_issue_needs_no_attention(edda: Client, issue: Issue) -> None:
    schedule_issue(issue, wall=datetime.datetime(2037, 7, 1, 7), zone="UTC", by="edda")
    unschedule_send(send_of(issue), by="edda", text="Not yet.")
    assert "was not sent" not in shown(edda)


def test_an_issue_that_was_not_approved_for_its_occurrence_is_a_warning(edda: Client, issue: Issue) -> None:
    values = {"occurrence_at": "2026-11-24T07:00:00+00:00"}
    Issue.objects.update(hold_reason=Reason.OCCURRENCE_MISSED, hold_values=values)
    assert "Warning “Taller cranes” was not sent. The occurrence of the recurring schedule on" in shown(edda)
