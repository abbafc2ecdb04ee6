"""The first page of the admin: what needs attention, for those who may see it."""

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
    Issue,
    Newsletter,
    Occurrence,
    RecurringSchedule,
    Weekday,
    WorkerHeartbeat,
)
from newsletter.sending.control import pause_issue
from newsletter.sending.recurring import NOBODY_READY, mark_ready, plan_occurrences
from newsletter.sending.schedule import schedule_issue, start_due_issues, unschedule_issue
from subscribers.models import Subscription
from tests.newsletter.admin.pages import page_of, words_on
from tests.people import ben, make_subscriptions
from tests.publications import address_everybody, make_issue, make_newsletter, start_sending

pytestmark = pytest.mark.usefixtures("read_by_ada")
INDEX = "/admin/"


def shown(client: Client) -> str:
    return words_on(client.get(INDEX))


def test_it_is_where_the_admins_first_page_is() -> None:
    assert reverse("admin:index") == INDEX
    assert Client().get(INDEX)["Location"] == "/admin/login/?next=/admin/"


def test_a_worker_that_does_not_run_needs_attention(edda: Client) -> None:
    assert "Broken No worker runs" in shown(edda)
    now = timezone.now()
    WorkerHeartbeat.objects.create(name="host:1", started_at=now, seen_at=now)
    assert "Fine 1 worker runs, last seen 0 s ago." in shown(edda)


def test_held_batches_lead_to_the_report(edda: Client, issue: Issue) -> None:
    start_sending(issue)
    address_everybody()
    Batch.objects.update(state=BatchState.HELD, payload=b"frozen", recipients=1)
    page = edda.get(INDEX)
    assert "Look 1 batch of “Taller cranes” (1 reader) may or may not be out" in words_on(page)
    tree = lxml_html.fromstring(page.content.decode())
    assert tree.xpath("//section[@aria-labelledby='attention']//a/@href") == [page_of(issue, "report")]


def test_what_comes_next_and_what_went_out_last(edda: Client, issue: Issue) -> None:
    ben(make_newsletter())
    later = timezone.now() + datetime.timedelta(hours=13, minutes=1)
    schedule_issue(issue, wall=later.replace(tzinfo=None), zone="UTC", by="tests")
    sent = start_sending(make_issue("issue-2", title="Quieter ferries"))
    address_everybody()
    pause_issue(sent, by="Sue", reason="A look")
    words = shown(edda)
    assert "Active readers 1" in words
    assert "To be confirmed 1" in words
    assert "Scheduled Taller cranes Harbour Notes" in words
    assert "in 13 hours" in words
    assert "Quieter ferries" in words
    assert "0 %" in words
    assert "is paused by Sue: A look" in words


def test_nothing_yet_is_said_kindly(edda: Client) -> None:
    assert "Nothing is scheduled." in shown(edda)
    assert "Nothing has been sent yet." in shown(edda)


@pytest.mark.parametrize(("name", "sees"), [("will", True), ("sue", True), ("lou", True), ("norm", False)])
def test_it_is_for_those_who_may_see_issues(name: str, sees: bool, signed_in: Callable[[str], Client]) -> None:
    answer = signed_in(name).get(INDEX)
    assert answer.status_code == 200
    assert ("Needs attention" in words_on(answer)) is sees


def test_every_link_on_it_opens_for_who_sees_it(issue: Issue, signed_in: Callable[[str], Client]) -> None:
    start_sending(issue)
    address_everybody()
    Batch.objects.update(state=BatchState.HELD, payload=b"frozen")
    lou = signed_in("lou")
    tree = lxml_html.fromstring(lou.get(INDEX).content.decode())
    links = set(tree.xpath("//main//a/@href"))
    assert page_of(issue, "report") in links
    assert {link for link in links if lou.get(link).status_code in (403, 404)} == set()


def test_it_has_no_inline_script_or_style(edda: Client) -> None:
    answer = edda.get(INDEX)
    assert "unsafe" not in answer["Content-Security-Policy"]
    for inline in ("<style", " style=", " onclick=", "<script>"):
        assert inline not in answer.content.decode()


def test_it_asks_as_much_of_a_large_list_as_of_a_small_one(edda: Client) -> None:
    def queries() -> int:
        with CaptureQueriesContext(connection) as asked:
            edda.get(INDEX)
        return len(asked)

    few = queries()
    make_subscriptions(500, make_newsletter())
    assert queries() == few


# --- Slots -----------------------------------------------------------------------------------------------------------


def tuesdays(newsletter: Newsletter) -> RecurringSchedule:
    return RecurringSchedule.objects.create(newsletter=newsletter, weekday=Weekday.TUESDAY, time=datetime.time(7))


def test_the_next_slot_stands_there_with_its_draft_or_that_none_is_ready(edda: Client, issue: Issue) -> None:
    tuesdays(issue.newsletter)
    plan_occurrences()
    assert "Not ready No draft is ready for it Harbour Notes · slot Tuesdays 07:00" in shown(edda)
    mark_ready(issue, by="edda")
    assert "Ready Taller cranes Harbour Notes · slot Tuesdays 07:00: Tuesday, " in shown(edda)


def test_a_slot_that_came_with_nothing_to_send_needs_attention_until_something_is_sent(
    edda: Client, issue: Issue
) -> None:
    now = timezone.now()
    run = Occurrence.objects.create(
        schedule=tuesdays(issue.newsletter), date=now.date(), starts_at=now, finished_at=now
    )
    Occurrence.objects.update(outcome=NOBODY_READY)
    told = f"Look The slot {run} of Harbour Notes has come: No draft was marked ready"
    assert told in shown(edda)
    start_sending(issue)
    assert told not in shown(edda)


def test_slots_that_fail_need_attention(edda: Client, issue: Issue) -> None:
    slot, now = tuesdays(issue.newsletter), timezone.now()
    run = Occurrence.objects.create(schedule=slot, date=now.date(), starts_at=now, next_try_at=now, outcome="KeyError.")
    RecurringSchedule.objects.update(problem="It has no zone.")
    words = shown(edda)
    assert "Broken The slot Tuesdays 07:00 of Harbour Notes is not planned. It has no zone." in words
    assert f"Broken The slot {run} of Harbour Notes did not start. KeyError." in words


def test_an_issue_that_went_back_to_draft_when_it_was_due_needs_attention(edda: Client, issue: Issue) -> None:
    schedule_issue(issue, wall=datetime.datetime(2037, 7, 1, 7), zone="UTC", by="edda")
    Subscription.objects.update(state="unsubscribed", ended_at=timezone.now())
    Issue.objects.update(scheduled_at=timezone.now())
    start_due_issues()
    told = "Broken “Taller cranes” waits for you: It was due, and did not start. Nobody on the list"
    assert told in shown(edda)
    assert "Leave it a draft" in words_on(edda.get(page_of(issue, "schedule")))
    edda.post(page_of(issue, "not_ready"))
    assert told not in shown(edda)


def test_a_draft_that_a_person_took_off_the_schedule_waits_for_nothing(edda: Client, issue: Issue) -> None:
    schedule_issue(issue, wall=datetime.datetime(2037, 7, 1, 7), zone="UTC", by="edda")
    unschedule_issue(issue, by="edda", reason="Not yet.")
    assert "waits for you" not in shown(edda)


def test_a_draft_that_nobody_had_approved_when_its_slot_came_is_named_and_nothing_is_broken(
    edda: Client, issue: Issue
) -> None:
    Issue.objects.update(hold_reason="Its slot came, and it was not marked ready.")
    assert "Look “Taller cranes” waits for you: Its slot came" in shown(edda)
