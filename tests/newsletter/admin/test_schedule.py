"""Scheduling and sending now: confirmed on a page of its own, and harmless to click twice."""

from __future__ import annotations

import datetime
import threading
import zoneinfo

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from newsletter.admin import schedule
from newsletter.content.document import SectionContent, StoryContent
from newsletter.content.store import save_content
from newsletter.models import Delivery, Issue, IssueState, Newsletter, PreflightRun, Send, SendState, SendTransition
from newsletter.sending import schedule as sending_schedule
from subscribers.models import Subscription
from tests.newsletter.admin.pages import confirm, form_data, form_on, page_of, status_of, words_on
from tests.people import make_subscriptions
from tests.publications import content, expand_audiences, make_issue, make_newsletter, send_of, start_sending

pytestmark = pytest.mark.usefixtures("read_by_ada")

SUMMER = {"date": "2037-07-01", "time": "07:00", "zone": "Europe/Berlin"}


def test_the_confirmation_page_shows_the_time_in_its_zone_and_in_utc(edda: Client, issue: Issue) -> None:
    shown = words_on(edda.post(page_of(issue, "schedule"), SUMMER))
    assert "Wednesday, 1 July 2037, 07:00" in shown
    assert "Wednesday, 1 July 2037, 05:00 UTC" in shown
    assert "To 1 recipient, as of now." in shown
    assert status_of(issue) == IssueState.DRAFT


def test_the_summary_names_who_is_excluded(edda: Client, issue: Issue) -> None:
    for shown in (edda.get(page_of(issue, "schedule")), edda.get(page_of(issue, "send_now"))):
        assert "Recipients 1 Excluded: 1 unsubscribed" in words_on(shown)


def test_confirming_schedules_the_send_for_that_instant(edda: Client, issue: Issue) -> None:
    answer = confirm(edda, issue, "schedule", given=SUMMER)
    send = send_of(issue)
    assert send.state == SendState.SCHEDULED
    assert send.scheduled_at == datetime.datetime(2037, 7, 1, 5, tzinfo=datetime.UTC)
    assert send.transitions.get().by == "edda"
    assert "Scheduled" in words_on(answer)


def test_the_confirmation_form_carries_what_was_chosen(edda: Client, issue: Issue) -> None:
    page = edda.post(page_of(issue, "schedule"), SUMMER).content.decode()
    for name, value in SUMMER.items():
        assert f'name="{name}" value="{value}' in page


@pytest.mark.parametrize(
    ("chosen", "sentence"),
    [
        ({"date": "2037-03-29", "time": "02:30", "zone": "Europe/Berlin"}, "does not exist in Europe/Berlin"),
        ({"date": "2037-10-25", "time": "02:30", "zone": "Europe/Berlin"}, "exists twice in Europe/Berlin"),
        ({"date": "2020-01-01", "time": "07:00", "zone": "UTC"}, "This time is in the past. Choose a later one"),
        ({"date": "2037-01-01", "time": "07:00", "zone": "Mars/Base"}, "Select a valid choice"),
        ({"date": "", "time": "", "zone": "UTC"}, "This field is required"),
    ],
)
def test_an_impossible_time_is_refused_at_its_field(
    edda: Client, issue: Issue, chosen: dict[str, str], sentence: str
) -> None:
    assert sentence in words_on(edda.post(page_of(issue, "schedule"), chosen | {"confirm": "1"}))
    assert status_of(issue) == IssueState.DRAFT


def test_the_suggested_time_is_a_morning_in_the_newsletters_zone(edda: Client, issue: Issue) -> None:
    suggested = form_data(edda, page_of(issue, "schedule"), "//form[.//input[@name='date']]")
    tomorrow = timezone.now().astimezone(zoneinfo.ZoneInfo("Europe/Berlin")).date() + datetime.timedelta(days=1)
    assert suggested["zone"] == "Europe/Berlin"
    assert suggested["time"] == "07:00"
    assert suggested["date"] >= tomorrow.isoformat()


def test_findings_that_block_are_listed_and_nothing_is_scheduled(edda: Client, issue: Issue) -> None:
    shown = form_on(edda.post(page_of(issue, "schedule"), SUMMER), "//main//form")
    save_content(issue, content(sections=()), by="tests")
    assert "The issue has no content" in words_on(edda.get(page_of(issue, "schedule")))
    for given in (SUMMER, shown | {"confirm": "1", "revision": str(issue.revision)}):
        refused = edda.post(page_of(issue, "schedule"), given)
        assert "The issue has no content" in words_on(refused)
    assert status_of(issue) == IssueState.DRAFT


def test_send_now_names_the_audience_and_acts_only_on_post(edda: Client, issue: Issue) -> None:
    assert "Send to 1 recipient now" in words_on(edda.get(page_of(issue, "send_now")))
    assert status_of(issue) == IssueState.DRAFT
    answer = confirm(edda, issue, "send_now")
    assert answer.redirect_chain == [(page_of(issue, "report"), 302)]
    assert status_of(issue) == SendState.SENDING


def test_send_now_starts_a_scheduled_send(edda: Client, issue: Issue) -> None:
    confirm(edda, issue, "schedule", given=SUMMER)
    confirm(edda, issue, "send_now")
    send = Send.objects.get()
    assert send.state == SendState.SENDING
    assert list(send.transitions.values_list("target", flat=True)) == [SendState.SCHEDULED, SendState.SENDING]


def test_clicking_send_twice_starts_one_send(edda: Client, issue: Issue) -> None:
    shown = form_data(edda, page_of(issue, "send_now"), "//main//form")
    edda.post(page_of(issue, "send_now"), shown)
    again = edda.post(page_of(issue, "send_now"), shown, follow=True)
    assert "The status of this issue is “Sending”, so it cannot be scheduled or sent." in words_on(again)
    assert SendTransition.objects.filter(target=SendState.SENDING).count() == 1


def test_send_now_is_refused_with_every_finding(edda: Client, issue: Issue) -> None:
    save_content(issue, content(sections=()), by="tests")
    assert "The issue has no content" in words_on(edda.post(page_of(issue, "send_now")))
    assert status_of(issue) == IssueState.DRAFT


def test_a_large_audience_is_confirmed_by_typing_its_size(
    edda: Client, issue: Issue, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_subscriptions(4, make_newsletter())
    monkeypatch.setattr(schedule, "TYPED_ABOVE", 4)
    assert "Type 5 to confirm" in words_on(edda.get(page_of(issue, "send_now")))
    refusal = "The audience is 5 recipients. Type 5 to confirm."
    for typed in ("", "4", "five"):
        assert refusal in words_on(confirm(edda, issue, "send_now", typed_count=typed))
        assert refusal in words_on(confirm(edda, issue, "schedule", given=SUMMER, typed_count=typed))
    assert status_of(issue) == IssueState.DRAFT
    confirm(edda, issue, "send_now", typed_count=" 5 ")
    assert status_of(issue) == SendState.SENDING


def test_more_than_a_thousand_recipients_are_a_large_audience() -> None:
    assert not schedule.AudienceView(1_000, ()).requires_typed_count
    assert schedule.AudienceView(1_001, ()).requires_typed_count


def test_an_unscheduled_issue_can_be_edited_again(edda: Client, issue: Issue) -> None:
    confirm(edda, issue, "schedule", given=SUMMER)
    assert "This issue is scheduled." in words_on(edda.get(page_of(issue)))
    edda.post(page_of(issue, "unschedule"), {"reason": "A better lead"})
    assert status_of(issue) == IssueState.DRAFT
    withdrawn = SendTransition.objects.get(target=SendState.WITHDRAWN)
    assert (withdrawn.by, withdrawn.sentence) == ("edda", "The schedule was removed. A better lead")
    assert 'id="issue_form"' in edda.get(page_of(issue)).content.decode()


# --- What was shown is what is confirmed -----------------------------------------------------------------------------


@pytest.mark.parametrize("missing", ["manifest", "revision"])
@pytest.mark.parametrize("page", ["send_now", "schedule"])
def test_a_confirmation_without_what_its_page_showed_is_refused(
    edda: Client, issue: Issue, page: str, missing: str
) -> None:
    url = page_of(issue, page)
    shown = edda.post(url, SUMMER) if page == "schedule" else edda.get(url)
    sent = form_on(shown, "//main//form") | {"confirm": "1"}
    refused = edda.post(url, {name: value for name, value in sent.items() if name != missing})
    assert "The form is incomplete. Reload the page and confirm again." in words_on(refused)
    assert status_of(issue) == IssueState.DRAFT


def test_content_that_was_saved_after_the_page_was_loaded_is_not_sent(edda: Client, issue: Issue) -> None:
    shown = form_data(edda, page_of(issue, "send_now"), "//main//form")
    save_content(issue, content(subject="Half a sente"), by="Emma")
    refused = edda.post(page_of(issue, "send_now"), shown)
    assert "The issue was saved since this page was loaded" in words_on(refused)
    assert status_of(issue) == IssueState.DRAFT


def test_a_second_tab_cannot_schedule_a_scheduled_issue(edda: Client, issue: Issue) -> None:
    other_tab = form_on(edda.post(page_of(issue, "schedule"), SUMMER | {"time": "09:00"}), "//main//form")
    confirm(edda, issue, "schedule", given=SUMMER)
    refused = edda.post(page_of(issue, "schedule"), other_tab | {"confirm": "1"}, follow=True)
    assert "This issue is scheduled already, as shown here, and nothing was changed." in words_on(refused)
    assert send_of(issue).scheduled_wall == "2037-07-01T07:00"


@pytest.mark.django_db(transaction=True)
@pytest.mark.postgresql
def test_of_twenty_clicks_at_once_one_starts_the_send(edda: Client, issue: Issue) -> None:
    shown = form_data(edda, page_of(issue, "send_now"), "//main//form")
    barrier, answers = threading.Barrier(20), list[tuple[int, str]]()

    def click() -> None:
        tab = Client()
        tab.cookies = edda.cookies
        try:
            barrier.wait()
            answer = tab.post(page_of(issue, "send_now"), shown)
            answers.append((answer.status_code, answer.get("Location", "")))
        finally:
            connection.close()

    tabs = [threading.Thread(target=click) for _ in range(20)]
    for tab in tabs:
        tab.start()
    for tab in tabs:
        tab.join()
    assert answers == [(302, page_of(issue, "report"))] * 20
    assert SendTransition.objects.filter(target=SendState.SENDING).count() == 1
    expand_audiences()
    assert Delivery.objects.count() == 1


def test_the_schedule_page_shows_that_the_start_was_moved_automatically(
    edda: Client, issue: Issue, monkeypatch: pytest.MonkeyPatch
) -> None:
    confirm(edda, issue, "schedule", given=SUMMER)
    assert "Changes since" not in words_on(edda.get(page_of(issue, "schedule")))
    an_hour_later = datetime.datetime(2037, 7, 1, 6, tzinfo=datetime.UTC)
    monkeypatch.setattr(sending_schedule, "nearest_instant_of", lambda wall, zone: an_hour_later)
    sending_schedule.update_start_times()
    shown = words_on(edda.get(page_of(issue, "schedule")))
    assert "Starts on 1 July 2037, 06:00 UTC instead of 1 July 2037, 05:00 UTC: time-zone rules" in shown


# --- Cost ------------------------------------------------------------------------------------------------------------


def audience_queries(client: Client, url: str, given: dict[str, str] | None = None) -> int:
    """How many queries a request makes that read the audience, which is large."""
    with CaptureQueriesContext(connection) as captured:
        answer = client.post(url, given) if given else client.get(url)
    assert answer.status_code in (200, 302)
    table = Subscription._meta.db_table
    return sum(f'FROM "{table}"' in query["sql"] and '"confirmed_at" <=' in query["sql"] for query in captured)


def test_each_page_computes_the_audience_once_a_request(edda: Client, issue: Issue) -> None:
    make_subscriptions(4, make_newsletter())
    assert audience_queries(edda, page_of(issue, "schedule")) == 1
    assert audience_queries(edda, page_of(issue, "schedule"), SUMMER) == 1
    assert audience_queries(edda, page_of(issue, "schedule"), SUMMER | {"confirm": "1"}) == 1
    assert audience_queries(edda, page_of(issue, "send_now")) == 1
    assert audience_queries(edda, page_of(issue, "send_now"), {"revision": "1"}) == 1
    confirm(edda, issue, "schedule", given=SUMMER)
    assert audience_queries(edda, page_of(issue, "schedule")) == 1
    assert audience_queries(edda, page_of(issue, "send_now")) == 1


@pytest.mark.parametrize("page", ["schedule", "send_now"])
def test_a_confirmation_that_succeeds_computes_the_audience_once(edda: Client, issue: Issue, page: str) -> None:
    url = page_of(issue, page)
    given = SUMMER | {"confirm": "1"} if page == "schedule" else {}
    sent = form_on(edda.post(url, SUMMER) if given else edda.get(url), "//main//form[.//button[@type='submit']]")
    assert audience_queries(edda, url, sent | given) == 1
    assert status_of(issue) == {"schedule": SendState.SCHEDULED, "send_now": SendState.SENDING}[page]


def test_the_issue_is_checked_for_the_time_that_was_chosen(edda: Client, issue: Issue) -> None:
    start_sending(make_issue("issue-0"))
    confirm(edda, issue, "schedule", given=SUMMER)
    codes = {finding["code"] for finding in PreflightRun.objects.get().findings}
    assert "sent_recently" not in codes
    confirm(edda, issue, "send_now")
    codes = {finding["code"] for finding in PreflightRun.objects.latest("pk").findings}
    assert "sent_recently" in codes


def test_a_blocked_issue_computes_the_audience_once_a_request(edda: Client, issue: Issue) -> None:
    save_content(issue, content(sections=()), by="tests")
    for page in ("schedule", "send_now"):
        assert audience_queries(edda, page_of(issue, page)) == 1
    # The edition cannot be made at all.
    Newsletter.objects.update(sender_email="nonsense")
    for page in ("schedule", "send_now"):
        assert audience_queries(edda, page_of(issue, page)) == 1


def test_the_confirmation_of_a_long_issue_carries_less_than_a_kilobyte(edda: Client) -> None:
    stories = tuple(
        StoryContent(
            title=f"Quay {number} gets a taller crane",
            url=f"https://harbour.example/cranes/{number}?{'a long address ' * 20}".replace(" ", "-"),
            source="Harbour Daily",
            body="The crane lifts *forty* tonnes.",
        )
        for number in range(31)
    )
    issue = make_issue(sections=(SectionContent(title="Deep dives", stories=stories),))
    for shown in (edda.get(page_of(issue, "send_now")), edda.post(page_of(issue, "schedule"), SUMMER)):
        carried = form_on(shown, "//main//form")["manifest"]
        assert 0 < len(carried.encode()) < 1_000
    confirm(edda, issue, "send_now")
    assert status_of(issue) == SendState.SENDING
