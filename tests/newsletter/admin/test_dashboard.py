"""The first page of the admin, for users who may see issues."""

from __future__ import annotations

import datetime
import io
from collections.abc import Callable

import pytest
from django.core.management import call_command
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
    SendCount,
    SendState,
    Weekday,
    WorkerHeartbeat,
)
from newsletter.monitoring.metrics import metrics_text
from newsletter.sending.control import pause_send
from newsletter.sending.recurring import approve_issue, plan_occurrences
from newsletter.sending.schedule import schedule_issue, start_next_due_send, unschedule_send
from subscribers.models import Consent, Growth, Subscription, SubscriptionCount
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


# --- Numbers, growth and last issues ---------------------------------------------------------------------------------


def count(send: Send, **counts: int) -> None:
    names = {"accepted": "state.accepted", "reached": "reached", "clicked": "event.clicked"}
    names |= {"complained": "event.complained", "audience": "audience"}
    for name, value in counts.items():
        SendCount.objects.create(send=send, name=names[name], value=value)
    if "reached" in counts:
        SendCount.objects.create(send=send, name="place.reached", value=counts["reached"])


def finished(number: int, **counts: int) -> Send:
    send = start_sending(make_issue(f"issue-{number}", title=f"Issue {number}"))
    Send.objects.filter(pk=send.pk).update(expanded_at=timezone.now())
    send.refresh_from_db()
    send.move(SendState.SENT, by="tests", finished_at=timezone.now())
    count(send, **counts)
    return send


def test_numbers_have_their_trend_in_words(edda: Client) -> None:
    make_subscriptions(40, make_newsletter())
    yesterday = timezone.now().astimezone(datetime.UTC).date() - datetime.timedelta(days=1)
    SubscriptionCount.objects.create(mailing_list=make_newsletter(), day=str(yesterday), name=Growth.LEFT, value=50)
    finished(1, audience=1_000, accepted=1_000, reached=1_000, clicked=118, complained=2)
    words = shown(edda)
    assert "Active subscribers 41 ▼ −9 in 7 days" in words
    assert "Waiting for confirmation 0 0 sign-ups in 7 days" in words
    assert "Click rate, last 5 issues 11.8%" in words
    assert "Complaint rate, 30 days 0.20% warning at 0.10%" in words


def test_without_clicks_the_rate_of_delivered_mails_is_shown_and_named(edda: Client) -> None:
    finished(1, accepted=1_000, reached=995)
    assert "Delivered, last 5 issues 99.5% clicks are not measured" in shown(edda)


def test_a_complaint_rate_above_the_warning_level_is_marked(edda: Client) -> None:
    finished(1, reached=1_000, accepted=1_000, complained=1)
    mark = '<div class="warn-card"><dt><a href="/admin/newsletter/issue/">Complaint rate'
    assert mark not in edda.get(INDEX).content.decode()
    finished(2, reached=1_000, accepted=1_000, complained=2)
    assert mark in edda.get(INDEX).content.decode()


def test_small_lines_are_hidden_from_screen_readers_and_the_chart_has_a_sentence(edda: Client) -> None:
    tree = lxml_html.fromstring(edda.get(INDEX).content.decode())
    small, (chart,) = tree.xpath("//dl//svg"), tree.xpath("//section//svg")
    assert {svg.get("aria-hidden") for svg in small} == {"true"}
    assert (chart.get("role"), chart.get("aria-label").startswith("Active subscribers: 0 at the end of")) == (
        "img",
        True,
    )


@pytest.mark.parametrize(("chosen", "rows"), [("30", 30), ("90", 90), ("12m", 12), ("x", 90)])
def test_the_growth_is_a_table_on_request(edda: Client, chosen: str, rows: int) -> None:
    def table_of(query: str) -> int:
        tree = lxml_html.fromstring(edda.get(f"{INDEX}?growth={chosen}{query}").content.decode())
        return len(tree.xpath("//table[contains(@class, 'growth')]/tbody/tr"))

    assert table_of("") == 0
    assert table_of("&table=1") == rows


def test_checks_that_are_ok_are_folded_and_at_most_seven_problems_are_listed(edda: Client) -> None:
    for number in range(10):
        pause_send(start_sending(make_issue(f"issue-{number}")), by="Sue")
    now = timezone.now()
    WorkerHeartbeat.objects.create(name="host:1", started_at=now, seen_at=now)
    tree = lxml_html.fromstring(edda.get(INDEX).content.decode())
    (section,) = tree.xpath("//section[@aria-labelledby='attention']")
    assert len(section.xpath("./ul/li")) == 7
    assert "OK" not in {pill.text for pill in section.xpath("./ul/li/span[contains(@class, 'pill')]")}
    assert section.xpath("./details/summary")[0].text == "1 check is OK"
    assert "3 more are listed by manage.py doctor." in words_on(edda.get(INDEX))


def test_with_nothing_to_do_the_page_says_so(edda: Client) -> None:
    now = timezone.now()
    WorkerHeartbeat.objects.create(name="host:1", started_at=now, seen_at=now)
    assert "Needs attention Everything is OK." in shown(edda)


def test_the_last_drafts_stand_before_the_last_sends(edda: Client) -> None:
    for number in range(3):
        make_issue(f"draft-{number}", title=f"Draft {number}")
    finished(1, audience=100, accepted=90, reached=81, clicked=9)
    words = shown(edda)
    assert "Draft 2 Harbour Notes Draft Edited just now" in words
    assert "Draft 1 Harbour Notes Draft Edited just now" in words
    assert "Draft 0" not in words
    assert "100 90.0% 11.1%" in words


@pytest.mark.parametrize(
    ("name", "buttons"),
    [
        ("edda", {"Import…", "Add subscriber", "Empty", "From a template", "Import Markdown…"}),
        ("will", {"Empty", "From a template", "Import Markdown…"}),
        ("sue", set()),
        ("lou", set()),
    ],
)
def test_buttons_are_those_that_the_user_may_use(
    name: str, buttons: set[str], signed_in: Callable[[str], Client]
) -> None:
    client = signed_in(name)
    tree = lxml_html.fromstring(client.get(INDEX).content.decode())
    found = {link.text: link.get("href") for link in tree.xpath("//main//div[contains(@class, 'with-menu')]//a")}
    assert set(found) == buttons
    assert {client.get(url).status_code for url in found.values()} <= {200}


def test_a_running_send_may_be_paused_by_users_who_may_send(
    running_send: Send, signed_in: Callable[[str], Client]
) -> None:
    pause = page_of(running_send.issue, "pause")
    for name, may in (("sue", True), ("will", False)):
        assert (pause in signed_in(name).get(INDEX).content.decode()) is may


def test_the_first_page_metrics_and_status_count_no_deliveries_events_or_subscriptions(
    edda: Client, running_send: Send
) -> None:
    Batch.objects.update(state=BatchState.ACCEPTED, recipients=1, finished_at=timezone.now())
    large = ("newsletter_delivery", "newsletter_event", "subscribers_subscription", "subscribers_subscriber")
    with CaptureQueriesContext(connection) as captured:
        edda.get(INDEX)
        metrics_text()
        call_command("status", stdout=io.StringIO())
    # Those that wait, and those that fit no delivery, have an index with nothing else in it.
    indexed = ("'new'", "'orphan'")
    counts = [
        query["sql"]
        for query in captured
        if "COUNT(" in query["sql"] or "SUM(" in query["sql"]
        if any(f'FROM "{table}"' in query["sql"] for table in large)
        if not any(state in query["sql"] for state in indexed)
    ]
    assert counts == []


def test_the_first_page_looks_through_no_events_for_refusals_that_were_not_counted(
    edda: Client, running_send: Send
) -> None:
    with CaptureQueriesContext(connection) as captured:
        edda.get(INDEX)
    read = [query["sql"] for query in captured if 'FROM "newsletter_event"' in query["sql"]]
    assert read != []
    assert [sql for sql in read if '"bounce" =' in sql] == []


def test_the_page_of_a_running_send_counts_no_subscriptions_by_the_time_of_their_confirmation(
    edda: Client, running_send: Send
) -> None:
    Consent.objects.create(kind="confirmed", form="confirm", list_name="Harbour Notes")
    with CaptureQueriesContext(connection) as captured:
        edda.get(page_of(running_send.issue, "report"))
    read = [query["sql"] for query in captured if '"confirmed_at" >' in query["sql"]]
    assert len(read) == 1
    assert 'FROM "subscribers_consent"' in read[0]


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
