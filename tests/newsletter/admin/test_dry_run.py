"""The page of the dry run, and the manifest that confirmation pages carry."""

from __future__ import annotations

import json
from decimal import Decimal
from typing import Any

import pytest
from django.test import Client

from newsletter.content.store import save_content
from newsletter.models import Edition, Issue, IssueState, Reason, Send, SendState
from newsletter.sending.manifest import read_manifest
from newsletter.sending.schedule import dry_run, send_now, start_next_due_send
from tests.newsletter.admin.pages import form_data, form_on, page_of, words_on
from tests.people import make_subscription
from tests.publications import content, just_now, send_of

pytestmark = pytest.mark.usefixtures("read_by_ada")

SUMMER = {"date": "2037-07-01", "time": "07:00", "zone": "Europe/Berlin"}
FORM = "//form[.//input[@name='revision']]"


def add_subscriber(issue: Issue) -> None:
    make_subscription("new@example.org", issue.newsletter)


def confirmation_of(edda: Client, issue: Issue, **chosen: str) -> dict[str, str]:
    """What the form of the confirmation page submits."""
    return form_on(edda.post(page_of(issue, "schedule"), SUMMER | chosen), FORM) | {"confirm": "1"}


def test_the_page_shows_content_and_audience_and_changes_nothing(edda: Client, issue: Issue) -> None:
    shown = words_on(edda.get(page_of(issue, "dry_run")))
    manifest = dry_run(issue)
    for part in (
        "Taller cranes, quieter ferries",
        "1 unsubscribed",
        "https://harbour.example/cranes/2",
        "Cost unknown",
    ):
        assert part in shown
    assert manifest.sha256 in shown
    assert not Edition.objects.exists()


def test_the_manifest_is_downloaded_as_the_command_prints_it(edda: Client, issue: Issue) -> None:
    answer = edda.get(page_of(issue, "dry_run_manifest"))
    assert answer["Content-Type"].startswith("application/json")
    assert 'filename="issue-1-manifest.json"' in answer["Content-Disposition"]
    assert answer.content.decode() == dry_run(issue).as_text()


def test_an_issue_that_cannot_be_sent_has_reasons_instead(edda: Client, issue: Issue) -> None:
    save_content(issue, content(sections=()), by="tests")
    assert "no content" in words_on(edda.get(page_of(issue, "dry_run")))
    answer = edda.get(page_of(issue, "dry_run_manifest"), follow=True)
    assert "no content" in words_on(answer)


def test_after_the_start_the_page_shows_the_recorded_manifest(edda: Client, issue: Issue) -> None:
    send_now(issue, by="Edda")
    add_subscriber(issue)
    shown = words_on(edda.get(page_of(issue, "dry_run")))
    assert "The manifest with which the send started." in shown
    assert read_manifest(send_of(issue).manifest).sha256 in shown
    assert json.loads(edda.get(page_of(issue, "dry_run_manifest")).content)["recipients"] == 1


def test_send_now_sends_what_its_page_showed(edda: Client, issue: Issue) -> None:
    shown = form_data(edda, page_of(issue, "send_now"), FORM)
    edda.post(page_of(issue, "send_now"), shown)
    issue.refresh_from_db()
    assert issue.status == SendState.SENDING
    assert send_of(issue).approved_sha256 == json.loads(shown["manifest"])["sha256"]


def test_send_now_is_refused_if_the_audience_changed_since_its_page_was_loaded(edda: Client, issue: Issue) -> None:
    shown = form_data(edda, page_of(issue, "send_now"), FORM)
    add_subscriber(issue)
    refused = edda.post(page_of(issue, "send_now"), shown)
    assert "The audience changed from 1 to 2 recipients since the approval." in words_on(refused)
    issue.refresh_from_db()
    assert issue.status == IssueState.DRAFT
    edda.post(page_of(issue, "send_now"), form_data(edda, page_of(issue, "send_now"), FORM))
    issue.refresh_from_db()
    assert issue.status == SendState.SENDING


@pytest.mark.parametrize("given", ["{}", "no manifest", '{"version": 1}', "[1"])
def test_a_confirmation_with_a_forged_manifest_sends_nothing(edda: Client, issue: Issue, given: str) -> None:
    refused = words_on(edda.post(page_of(issue, "send_now"), {"manifest": given, "revision": str(issue.revision)}))
    assert "Nothing was sent or scheduled. Review the page and confirm again." in refused
    issue.refresh_from_db()
    assert issue.status == IssueState.DRAFT


def test_subscribers_may_join_after_an_issue_was_scheduled(edda: Client, issue: Issue) -> None:
    shown = confirmation_of(edda, issue)
    add_subscriber(issue)
    edda.post(page_of(issue, "schedule"), shown)
    issue.refresh_from_db()
    assert (issue.status, send_of(issue).approved_sha256) == (SendState.SCHEDULED, "")


def test_a_schedule_for_the_same_audience_is_withdrawn_when_the_audience_changed(edda: Client, issue: Issue) -> None:
    chosen = SUMMER | {"same_audience": "on"}
    assert "Only to this audience:" in words_on(edda.post(page_of(issue, "schedule"), chosen))
    edda.post(page_of(issue, "schedule"), confirmation_of(edda, issue, same_audience="on"))
    assert "It starts only for the approved audience of 1 recipient." in words_on(edda.get(page_of(issue, "schedule")))
    add_subscriber(issue)
    Send.objects.update(scheduled_at=just_now())
    start_next_due_send()
    issue.refresh_from_db()
    assert issue.status == IssueState.DRAFT
    assert issue.hold_reason == Reason.NOT_STARTED
    assert "The audience changed from 1 to 2 recipients since the approval." in issue.hold_sentence
    assert issue.hold_sentence in words_on(edda.get(page_of(issue, "schedule")))


def test_a_schedule_for_the_same_audience_is_refused_if_it_changed_meanwhile(edda: Client, issue: Issue) -> None:
    shown = confirmation_of(edda, issue, same_audience="on")
    add_subscriber(issue)
    assert "The audience changed from 1 to 2 recipients" in words_on(edda.post(page_of(issue, "schedule"), shown))
    issue.refresh_from_db()
    assert issue.status == IssueState.DRAFT


def test_the_summary_shows_duration_and_cost(edda: Client, issue: Issue, settings: Any) -> None:
    settings.PRICE_PER_THOUSAND, settings.PRICE_CURRENCY = Decimal("1000"), "EUR"
    shown = words_on(edda.get(page_of(issue, "schedule")))
    assert "less than a minute" in shown
    assert "EUR 1.00" in shown


@pytest.mark.parametrize(
    ("tiers", "sentence"),
    [
        ("100=10,500=25", "EUR 0.10 the part of these mails in EUR 10.00 a month for up to 100 mails"),
        ("contacts:100=10", "EUR 0.00 included in EUR 10.00 a month for up to 100 contacts"),
    ],
    ids=["mails", "contacts"],
)
def test_the_summary_shows_the_tier_of_the_month(
    edda: Client, issue: Issue, settings: Any, tiers: str, sentence: str
) -> None:
    settings.PRICE_TIERS, settings.PRICE_CURRENCY = tiers, "EUR"
    assert sentence in words_on(edda.get(page_of(issue, "schedule")))
