"""What goes wrong before and while an issue is sent, as an editor reads it on its pages."""

from __future__ import annotations

import pytest
from django.test import Client
from django.utils import timezone

from newsletter.models import Delivery, Issue, IssueStatus, Newsletter
from subscribers.models import Subscriber, Subscription, SubscriptionState
from tests.newsletter.admin.pages import confirm, form_data, page_of, words_on
from tests.people import make_subscription, make_subscriptions
from tests.publications import address_everybody, make_newsletter, post_everything, start_sending
from tests.sandboxes import provider_of, running_sandbox

pytestmark = pytest.mark.usefixtures("read_by_ada")

MOMENT = {"date": "2037-07-01", "time": "07:00", "zone": "Europe/Berlin"}


def status_of(issue: Issue) -> str:
    issue.refresh_from_db()
    return issue.status


def test_a_schedule_in_the_past(edda: Client, issue: Issue) -> None:
    refused = edda.post(page_of(issue, "schedule"), MOMENT | {"date": "2020-07-01"})
    assert "That moment is over. Choose one to come, or send it now." in words_on(refused)


@pytest.mark.parametrize("page", ["schedule", "send_now", "check", "ready"])
def test_an_empty_audience(edda: Client, issue: Issue, page: str) -> None:
    Subscription.objects.update(state=SubscriptionState.UNSUBSCRIBED, ended_at=timezone.now())
    assert "Nobody on the list may be mailed now. Add readers" in words_on(edda.get(page_of(issue, page)))


def test_an_audience_that_empties_while_somebody_decides(edda: Client, issue: Issue) -> None:
    shown = form_data(edda, page_of(issue, "send_now"), "//main//form")
    Subscription.objects.update(state=SubscriptionState.UNSUBSCRIBED, ended_at=timezone.now())
    refused = words_on(edda.post(page_of(issue, "send_now"), shown))
    assert "Nothing was changed. Nobody on the list may be mailed now." in refused
    assert status_of(issue) == IssueStatus.DRAFT


@pytest.mark.parametrize("page", ["schedule", "send_now", "check", "ready"])
def test_a_newsletter_without_a_sender(edda: Client, issue: Issue, page: str) -> None:
    Newsletter.objects.update(sender_email="")
    assert "The newsletter has no sender that can be used." in words_on(edda.get(page_of(issue, page)))


def test_a_newsletter_that_loses_its_sender_while_somebody_decides(edda: Client, issue: Issue) -> None:
    shown = form_data(edda, page_of(issue, "send_now"), "//main//form")
    Newsletter.objects.update(sender_email="")
    assert "The newsletter has no sender" in words_on(edda.post(page_of(issue, "send_now"), shown))
    assert status_of(issue) == IssueStatus.DRAFT


def test_a_list_that_grows_while_the_issue_is_sent(edda: Client, issue: Issue) -> None:
    confirm(edda, issue, "send_now")
    make_subscription("late@example.org", confirmed_at=timezone.now())
    address_everybody()
    assert Delivery.objects.count() == 1
    report = words_on(edda.get(page_of(issue, "report")))
    assert "1 reader has joined since it started. They get the next issue." in report


def test_readers_who_leave_or_are_erased_between_freeze_and_post(
    edda: Client, issue: Issue, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_subscriptions(2, make_newsletter())
    confirm(edda, issue, "send_now")
    address_everybody()
    Subscription.objects.filter(subscriber__address="reader-1@example.org").update(
        state=SubscriptionState.UNSUBSCRIBED, ended_at=timezone.now()
    )
    Subscriber.objects.filter(address="reader-2@example.org").delete()
    with running_sandbox() as sandbox:
        post_everything(provider_of(sandbox, monkeypatch))
        assert sandbox.ledger.summary()["recipients"] == 1
    report = words_on(edda.get(page_of(issue, "report")))
    assert "The reader left the newsletter. 1" in report
    assert "The reader was erased. 1" in report


def test_a_wrong_key(edda: Client, issue: Issue, monkeypatch: pytest.MonkeyPatch) -> None:
    start_sending(issue)
    address_everybody()
    with running_sandbox() as sandbox:
        provider = provider_of(sandbox, monkeypatch)
        sandbox.configure(api_key="re_another")
        post_everything(provider)
    assert status_of(issue) == IssueStatus.PAUSED
    report = words_on(edda.get(page_of(issue, "report")))
    assert "Paused: " in report
    assert "key" in issue.hold_reason.lower()
    assert issue.hold_reason in report
    assert issue.hold_reason in words_on(edda.get(page_of(issue, "resume")))
