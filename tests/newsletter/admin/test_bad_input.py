"""Errors before and during a send, as an editor reads them on the pages of the issue."""

from __future__ import annotations

import pytest
from django.test import Client
from django.utils import timezone

from newsletter.models import Delivery, Issue, IssueState, Newsletter, Send, SendState
from subscribers.models import Subscriber, Subscription, SubscriptionState
from tests.newsletter.admin.pages import confirm, form_data, page_of, status_of, words_on
from tests.newsletter.reports.test_joined import join
from tests.people import make_subscriptions
from tests.publications import expand_audiences, make_newsletter, post_everything, send_of
from tests.sandboxes import provider_of, running_sandbox

pytestmark = pytest.mark.usefixtures("read_by_ada")

SUMMER = {"date": "2037-07-01", "time": "07:00", "zone": "Europe/Berlin"}


def test_a_schedule_in_the_past(edda: Client, issue: Issue) -> None:
    refused = edda.post(page_of(issue, "schedule"), SUMMER | {"date": "2020-07-01"})
    assert "This time is in the past. Choose a later one, or send the issue now." in words_on(refused)


@pytest.mark.parametrize("page", ["schedule", "send_now", "check", "approve"])
def test_an_empty_audience(edda: Client, issue: Issue, page: str) -> None:
    Subscription.objects.update(state=SubscriptionState.UNSUBSCRIBED, ended_at=timezone.now())
    assert "The mailing list has no active subscribers. Add subscribers" in words_on(edda.get(page_of(issue, page)))


def test_an_audience_that_becomes_empty_before_the_confirmation(edda: Client, issue: Issue) -> None:
    shown = form_data(edda, page_of(issue, "send_now"), "//main//form")
    Subscription.objects.update(state=SubscriptionState.UNSUBSCRIBED, ended_at=timezone.now())
    refused = words_on(edda.post(page_of(issue, "send_now"), shown))
    assert "Nothing was changed. The mailing list has no active subscribers." in refused
    assert status_of(issue) == IssueState.DRAFT


@pytest.mark.parametrize("page", ["schedule", "send_now", "check", "approve"])
def test_a_newsletter_without_a_sender(edda: Client, issue: Issue, page: str) -> None:
    Newsletter.objects.update(sender_email="")
    assert "The newsletter has no valid sender." in words_on(edda.get(page_of(issue, page)))


def test_a_newsletter_that_loses_its_sender_before_the_confirmation(edda: Client, issue: Issue) -> None:
    shown = form_data(edda, page_of(issue, "send_now"), "//main//form")
    Newsletter.objects.update(sender_email="")
    assert "The newsletter has no sender" in words_on(edda.post(page_of(issue, "send_now"), shown))
    assert status_of(issue) == IssueState.DRAFT


def test_a_list_that_grows_during_the_send(edda: Client, issue: Issue) -> None:
    confirm(edda, issue, "send_now")
    join("late@example.org")
    expand_audiences()
    assert Delivery.objects.count() == 1
    report = words_on(edda.get(page_of(issue, "report")))
    assert "1 subscriber joined since the start and gets the next issue." in report


def test_subscribers_who_leave_or_are_erased_before_the_post(
    edda: Client, issue: Issue, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_subscriptions(2, make_newsletter())
    confirm(edda, issue, "send_now")
    expand_audiences()
    Subscription.objects.filter(subscriber__address="reader-1@example.org").update(
        state=SubscriptionState.UNSUBSCRIBED, ended_at=timezone.now()
    )
    Subscriber.objects.filter(address="reader-2@example.org").delete()
    with running_sandbox() as sandbox:
        post_everything(provider_of(sandbox, monkeypatch))
        assert sandbox.ledger.summary()["recipients"] == 1
    report = words_on(edda.get(page_of(issue, "report")))
    assert "The subscriber was erased. 1 The subscriber unsubscribed. 1" in report


def test_a_wrong_api_key(edda: Client, running_send: Send, monkeypatch: pytest.MonkeyPatch) -> None:
    issue = running_send.issue
    with running_sandbox() as sandbox:
        provider = provider_of(sandbox, monkeypatch)
        sandbox.configure(api_key="re_another")
        post_everything(provider)
    send = send_of(issue)
    assert send.state == SendState.PAUSED
    assert "key" in send.hold_sentence.lower()
    assert f"Paused: {send.hold_sentence}" in words_on(edda.get(page_of(issue, "report")))
    assert send.hold_sentence in words_on(edda.get(page_of(issue, "resume")))
