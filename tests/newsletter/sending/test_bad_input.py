"""Mistakes before and during a send: each is refused or paused with a reason, and no unwanted mail is sent."""

from __future__ import annotations

import datetime

import pytest
from django.utils import timezone

from newsletter.models import Delivery, DeliveryState, Issue, Reason, SendState
from newsletter.providers.base import Provider
from newsletter.sandbox import SandboxServer
from newsletter.sending.schedule import IssueRefused, schedule_issue, send_now
from subscribers.models import Subscriber, Subscription, SubscriptionState
from tests import people
from tests.publications import expand_audiences, post_everything, send_of, start_sending


def test_a_schedule_in_the_past_is_refused_with_what_to_do(issue: Issue) -> None:
    people.ada(issue.newsletter)
    with pytest.raises(IssueRefused, match=r"is in the past\. Choose a later time, or send the issue now"):
        schedule_issue(issue, wall=datetime.datetime(2020, 1, 1, 7), zone="UTC", by="Edda")


def test_an_empty_audience_is_refused(issue: Issue) -> None:
    people.cleo(issue.newsletter)
    with pytest.raises(IssueRefused, match="has no active subscribers"):
        send_now(issue, by="Edda")


def test_a_newsletter_without_a_sender_is_refused(issue: Issue) -> None:
    people.ada(issue.newsletter)
    issue.newsletter.sender_email = ""
    issue.newsletter.save()
    with pytest.raises(IssueRefused, match="sender"):
        send_now(issue, by="Edda")


def test_a_subscriber_who_joins_during_the_send_gets_the_next_issue(issue: Issue, provider: Provider) -> None:
    people.ada(issue.newsletter)
    start_sending(issue)
    people.make_subscription("late@example.org", confirmed_at=timezone.now() + datetime.timedelta(seconds=1))
    expand_audiences()
    assert Delivery.objects.count() == 1
    assert post_everything(provider) == 1


def test_a_subscriber_who_unsubscribes_or_is_erased_before_the_post_is_skipped_with_the_reason(
    issue: Issue, provider: Provider
) -> None:
    people.make_subscriptions(3, issue.newsletter)
    start_sending(issue)
    expand_audiences()
    Subscription.objects.filter(subscriber__address="reader-1@example.org").update(
        state=SubscriptionState.UNSUBSCRIBED, ended_at=timezone.now()
    )
    Subscriber.objects.filter(address="reader-2@example.org").delete()
    assert post_everything(provider) == 1
    assert list(Delivery.objects.order_by("pk").values_list("state", "reason")) == [
        (DeliveryState.SKIPPED, Reason.UNSUBSCRIBED),
        (DeliveryState.SKIPPED, Reason.ERASED),
        (DeliveryState.ACCEPTED, ""),
    ]


def test_a_wrong_api_key_pauses_the_send_with_the_reason(
    issue: Issue, sandbox: SandboxServer, provider: Provider
) -> None:
    people.ada(issue.newsletter)
    start_sending(issue)
    expand_audiences()
    sandbox.configure(api_key="re_another")
    post_everything(provider)
    send = send_of(issue)
    assert (send.state, send.hold_reason) == (SendState.PAUSED, Reason.PROVIDER_OUTAGE)
    assert "The provider does not accept the API key." in send.hold_sentence
    assert Delivery.objects.get().state == DeliveryState.PENDING
