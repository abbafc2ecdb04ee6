"""What goes wrong before and while an issue is sent: each has a sentence, and nobody gets what they should not."""

from __future__ import annotations

import datetime

import pytest
from django.utils import timezone

from newsletter.models import Delivery, DeliveryStatus, Issue, IssueStatus
from newsletter.providers.base import Provider
from newsletter.sandbox import SandboxServer
from newsletter.sending.schedule import IssueRefused, schedule_issue, send_now
from subscribers.models import Subscriber, Subscription, SubscriptionState
from tests import people
from tests.publications import address_everybody, post_everything, start_sending


def test_a_schedule_in_the_past_says_what_to_do(issue: Issue) -> None:
    people.ada(issue.newsletter)
    with pytest.raises(IssueRefused, match=r"is over\. Choose a time to come, or send it now"):
        schedule_issue(issue, wall=datetime.datetime(2020, 1, 1, 7), zone="UTC", by="Edda")


def test_an_empty_audience_is_named(issue: Issue) -> None:
    people.cleo(issue.newsletter)
    with pytest.raises(IssueRefused, match="Nobody on the list"):
        send_now(issue, by="Edda")


def test_a_newsletter_without_a_sender_is_named(issue: Issue) -> None:
    people.ada(issue.newsletter)
    issue.newsletter.sender_email = ""
    issue.newsletter.save()
    with pytest.raises(IssueRefused, match="sender"):
        send_now(issue, by="Edda")


def test_who_joins_while_it_is_sent_gets_the_next_one(issue: Issue, provider: Provider) -> None:
    people.ada(issue.newsletter)
    start_sending(issue)
    people.make_subscription("late@example.org", confirmed_at=timezone.now() + datetime.timedelta(seconds=1))
    address_everybody()
    assert Delivery.objects.count() == 1
    assert post_everything(provider) == 1


def test_who_unsubscribes_or_is_erased_before_the_post_gets_nothing_and_the_report_says_why(
    issue: Issue, provider: Provider
) -> None:
    people.make_subscriptions(3, issue.newsletter)
    start_sending(issue)
    address_everybody()
    Subscription.objects.filter(subscriber__address="reader-1@example.org").update(
        state=SubscriptionState.UNSUBSCRIBED, ended_at=timezone.now()
    )
    Subscriber.objects.filter(address="reader-2@example.org").delete()
    assert post_everything(provider) == 1
    outcomes = list(Delivery.objects.order_by("pk").values_list("status", "reason"))
    assert outcomes == [
        (DeliveryStatus.SKIPPED, "The reader left the newsletter."),
        (DeliveryStatus.SKIPPED, "The reader was erased."),
        (DeliveryStatus.ACCEPTED, ""),
    ]


def test_a_wrong_key_pauses_the_send_and_says_so(issue: Issue, sandbox: SandboxServer, provider: Provider) -> None:
    people.ada(issue.newsletter)
    start_sending(issue)
    address_everybody()
    sandbox.configure(api_key="re_another")
    post_everything(provider)
    issue.refresh_from_db()
    assert issue.status == IssueStatus.PAUSED
    assert "key" in issue.hold_reason.lower()
    assert Delivery.objects.get().status == DeliveryStatus.PENDING
