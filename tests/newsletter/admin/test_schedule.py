"""Scheduling and sending: said back before it counts, and harmless to press twice."""

from __future__ import annotations

import datetime
import threading
import zoneinfo

import pytest
from django.db import connection
from django.test import Client
from django.utils import timezone

from newsletter.admin import schedule
from newsletter.content.store import save_content
from newsletter.models import Delivery, Issue, IssueStatus, IssueTransition
from newsletter.sending import schedule as sending_schedule
from tests.newsletter.admin.pages import confirm, form_data, form_on, page_of, words_on
from tests.people import make_subscriptions
from tests.publications import address_everybody, content, make_newsletter

pytestmark = pytest.mark.usefixtures("read_by_ada")

SUMMER = {"date": "2037-07-01", "time": "07:00", "zone": "Europe/Berlin"}


def test_the_moment_is_said_back_in_words_and_in_utc(edda: Client, issue: Issue) -> None:
    shown = words_on(edda.post(page_of(issue, "schedule"), SUMMER))
    assert "Wednesday, 1 July 2037, 07:00" in shown
    assert "Wednesday, 1 July 2037, 05:00 UTC" in shown
    assert "To 1 reader" in shown
    issue.refresh_from_db()
    assert issue.status == IssueStatus.DRAFT


def test_confirming_schedules_the_issue_at_that_instant(edda: Client, issue: Issue) -> None:
    answer = confirm(edda, issue, "schedule", given=SUMMER)
    issue.refresh_from_db()
    assert issue.status == IssueStatus.SCHEDULED
    assert issue.scheduled_at == datetime.datetime(2037, 7, 1, 5, tzinfo=datetime.UTC)
    assert issue.transitions.get().by == "edda"
    assert "Scheduled" in words_on(answer)


def test_the_confirmation_page_sends_what_was_chosen(edda: Client, issue: Issue) -> None:
    page = edda.post(page_of(issue, "schedule"), SUMMER).content.decode()
    for name, value in SUMMER.items():
        assert f'name="{name}" value="{value}' in page


@pytest.mark.parametrize(
    ("moment", "sentence"),
    [
        ({"date": "2037-03-29", "time": "02:30", "zone": "Europe/Berlin"}, "does not exist in Europe/Berlin"),
        ({"date": "2037-10-25", "time": "02:30", "zone": "Europe/Berlin"}, "comes twice in Europe/Berlin"),
        ({"date": "2020-01-01", "time": "07:00", "zone": "UTC"}, "That moment is over"),
        ({"date": "2037-01-01", "time": "07:00", "zone": "Mars/Base"}, "Select a valid choice"),
        ({"date": "", "time": "", "zone": "UTC"}, "This field is required"),
    ],
)
def test_a_moment_that_cannot_be_is_refused_at_its_field(
    edda: Client, issue: Issue, moment: dict[str, str], sentence: str
) -> None:
    assert sentence in words_on(edda.post(page_of(issue, "schedule"), moment | {"confirm": "1"}))
    issue.refresh_from_db()
    assert issue.status == IssueStatus.DRAFT


def test_the_suggested_moment_is_a_morning_in_the_zone_of_the_newsletter(edda: Client, issue: Issue) -> None:
    suggested = form_data(edda, page_of(issue, "schedule"), "//form[.//input[@name='date']]")
    tomorrow = timezone.now().astimezone(zoneinfo.ZoneInfo("Europe/Berlin")).date() + datetime.timedelta(days=1)
    assert suggested["zone"] == "Europe/Berlin"
    assert suggested["time"] == "07:00"
    assert suggested["date"] >= tomorrow.isoformat()


def test_findings_that_block_are_listed_and_nothing_is_scheduled(edda: Client, issue: Issue) -> None:
    shown = form_on(edda.post(page_of(issue, "schedule"), SUMMER), "//main//form")
    save_content(issue, content(sections=()), by="tests")
    assert "The issue has no stories" in words_on(edda.get(page_of(issue, "schedule")))
    for given in (SUMMER, shown | {"confirm": "1", "revision": str(issue.revision)}):
        refused = edda.post(page_of(issue, "schedule"), given)
        assert "Nothing was changed" in words_on(refused)
    issue.refresh_from_db()
    assert issue.status == IssueStatus.DRAFT


def test_send_now_names_the_audience_and_acts_only_on_post(edda: Client, issue: Issue) -> None:
    assert "1 reader" in words_on(edda.get(page_of(issue, "send_now")))
    issue.refresh_from_db()
    assert issue.status == IssueStatus.DRAFT
    answer = confirm(edda, issue, "send_now")
    issue.refresh_from_db()
    assert answer.redirect_chain == [(page_of(issue, "report"), 302)]
    assert issue.status == IssueStatus.SENDING


def test_pressing_send_twice_starts_one_run(edda: Client, issue: Issue) -> None:
    shown = form_data(edda, page_of(issue, "send_now"), "//main//form")
    edda.post(page_of(issue, "send_now"), shown)
    again = edda.post(page_of(issue, "send_now"), shown, follow=True)
    assert "This issue is sending already" in words_on(again)
    assert IssueTransition.objects.filter(target=IssueStatus.SENDING).count() == 1


def test_send_now_is_refused_with_every_finding(edda: Client, issue: Issue) -> None:
    save_content(issue, content(sections=()), by="tests")
    assert "The issue has no stories" in words_on(edda.post(page_of(issue, "send_now")))
    issue.refresh_from_db()
    assert issue.status == IssueStatus.DRAFT


def test_a_large_audience_is_confirmed_by_typing_its_number(
    edda: Client, issue: Issue, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_subscriptions(4, make_newsletter())
    monkeypatch.setattr(schedule, "TYPED_ABOVE", 4)
    assert "Type 5 to confirm" in words_on(edda.get(page_of(issue, "send_now")))
    for typed in ("", "4", "five"):
        assert "Type 5 if that is right" in words_on(edda.post(page_of(issue, "send_now"), {"typed": typed}))
        confirmed = SUMMER | {"confirm": "1", "typed": typed}
        assert "Type 5 if that is right" in words_on(edda.post(page_of(issue, "schedule"), confirmed))
    issue.refresh_from_db()
    assert issue.status == IssueStatus.DRAFT
    confirm(edda, issue, "send_now", typed=" 5 ")
    issue.refresh_from_db()
    assert issue.status == IssueStatus.SENDING


def test_more_than_a_thousand_readers_are_a_large_audience() -> None:
    assert not schedule.Audience(1_000, ()).is_typed
    assert schedule.Audience(1_001, ()).is_typed


def test_the_schedule_can_be_taken_off_and_the_issue_edited_again(edda: Client, issue: Issue) -> None:
    confirm(edda, issue, "schedule", given=SUMMER)
    assert "This issue is scheduled." in words_on(edda.get(page_of(issue)))
    edda.post(page_of(issue, "unschedule"), {"reason": "A better lead"})
    issue.refresh_from_db()
    assert issue.status == IssueStatus.DRAFT
    assert issue.transitions.last().reason == "A better lead"  # type: ignore[union-attr]
    assert 'id="issue_form"' in edda.get(page_of(issue)).content.decode()


# --- What was shown is what is confirmed -----------------------------------------------------------------------------


@pytest.mark.parametrize("missing", ["manifest", "revision"])
@pytest.mark.parametrize("page", ["send_now", "schedule"])
def test_a_confirmation_that_does_not_bring_what_was_shown_is_refused_with_a_sentence(
    edda: Client, issue: Issue, page: str, missing: str
) -> None:
    url = page_of(issue, page)
    shown = edda.post(url, SUMMER) if page == "schedule" else edda.get(url)
    sent = form_on(shown, "//main//form") | {"confirm": "1"}
    refused = edda.post(url, {name: value for name, value in sent.items() if name != missing})
    assert "The page did not say what it showed" in words_on(refused)
    issue.refresh_from_db()
    assert issue.status == IssueStatus.DRAFT


def test_what_somebody_saved_meanwhile_is_not_sent_under_the_old_page(edda: Client, issue: Issue) -> None:
    shown = form_data(edda, page_of(issue, "send_now"), "//main//form")
    save_content(issue, content(subject="Half a sente"), by="Emma")
    refused = edda.post(page_of(issue, "send_now"), shown)
    assert "The issue was saved while you looked at it" in words_on(refused)
    issue.refresh_from_db()
    assert issue.status == IssueStatus.DRAFT


def test_a_second_tab_that_schedules_a_scheduled_issue_is_told_that_nothing_was_changed(
    edda: Client, issue: Issue
) -> None:
    other_tab = form_on(edda.post(page_of(issue, "schedule"), SUMMER | {"time": "09:00"}), "//main//form")
    confirm(edda, issue, "schedule", given=SUMMER)
    told = edda.post(page_of(issue, "schedule"), other_tab | {"confirm": "1"}, follow=True)
    assert "scheduled already, as it says here, and nothing was changed" in words_on(told)
    issue.refresh_from_db()
    assert issue.scheduled_wall == "2037-07-01T07:00"


@pytest.mark.django_db(transaction=True)
@pytest.mark.postgresql
def test_of_twenty_presses_at_once_one_starts_and_the_others_are_told(edda: Client, issue: Issue) -> None:
    shown = form_data(edda, page_of(issue, "send_now"), "//main//form")
    barrier, answers = threading.Barrier(20), list[tuple[int, str]]()

    def press() -> None:
        tab = Client()
        tab.cookies = edda.cookies
        try:
            barrier.wait()
            answer = tab.post(page_of(issue, "send_now"), shown)
            answers.append((answer.status_code, answer.get("Location", "")))
        finally:
            connection.close()

    tabs = [threading.Thread(target=press) for _ in range(20)]
    for tab in tabs:
        tab.start()
    for tab in tabs:
        tab.join()
    assert answers == [(302, page_of(issue, "report"))] * 20
    assert IssueTransition.objects.filter(target=IssueStatus.SENDING).count() == 1
    address_everybody()
    assert Delivery.objects.count() == 1


def test_a_start_that_moved_by_itself_is_told_on_the_page_of_the_schedule(
    edda: Client, issue: Issue, monkeypatch: pytest.MonkeyPatch
) -> None:
    confirm(edda, issue, "schedule", given=SUMMER)
    assert "What happened since" not in words_on(edda.get(page_of(issue, "schedule")))
    an_hour_later = datetime.datetime(2037, 7, 1, 6, tzinfo=datetime.UTC)
    monkeypatch.setattr(sending_schedule, "nearest_instant_of", lambda wall, zone: an_hour_later)
    sending_schedule.renew_instants()
    shown = words_on(edda.get(page_of(issue, "schedule")))
    assert "Starts at 2037-07-01 06:00 UTC, not at 2037-07-01 05:00 UTC: clocks or readers moved." in shown
