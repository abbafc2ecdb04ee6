"""The recipient allowlist: a rehearsal mails the addresses in ALLOWED_RECIPIENTS and no others."""

from __future__ import annotations

import time

import pytest
from pytest_django import Settings

from newsletter.models import Delivery, DeliveryState, Issue, Reason
from newsletter.providers.base import Message, OutcomeKind, Provider
from newsletter.providers.throttle import post_message
from newsletter.sandbox import SandboxServer
from newsletter.sending.schedule import IssueRefused, dry_run, send_now
from newsletter.sending.test_mail import TestMailRefused, send_test
from tests import people
from tests.publications import expand_audiences, post_everything, send_of


@pytest.fixture
def rehearsal(issue: Issue, settings: Settings) -> Issue:
    """An issue in an installation that may write to Ada and to example.net, with eleven other subscribers."""
    settings.ALLOWED_RECIPIENTS = (people.ADA, "@example.net")
    people.ada(issue.newsletter)
    people.make_subscription("Team@Example.net", issue.newsletter)
    people.make_subscription("stranger@sub.example.net", issue.newsletter)
    people.make_subscription("team@notexample.net", issue.newsletter)
    people.make_subscriptions(8, issue.newsletter)
    people.finn(issue.newsletter)
    return issue


def test_only_allowed_subscribers_get_an_issue_and_the_others_are_counted(
    rehearsal: Issue, provider: Provider, sandbox: SandboxServer
) -> None:
    manifest = dry_run(rehearsal)
    assert (manifest.recipients, manifest.excluded) == (2, {"not_allowed": 10, "paused": 1})
    send_now(rehearsal, by="Edda")
    expand_audiences()
    post_everything(provider)
    assert send_of(rehearsal).excluded == manifest.excluded
    assert sandbox.ledger.summary()["recipients"] == 2
    assert sandbox.ledger.mails_to(people.ADA, time.time())


def test_an_address_that_is_removed_from_the_list_after_the_start_gets_no_mail(
    rehearsal: Issue, provider: Provider, sandbox: SandboxServer, settings: Settings
) -> None:
    send_now(rehearsal, by="Edda")
    expand_audiences()
    settings.ALLOWED_RECIPIENTS = ("@example.net",)
    post_everything(provider)
    assert not sandbox.ledger.mails_to(people.ADA, time.time())
    assert Delivery.objects.get(state=DeliveryState.SKIPPED).reason == Reason.NOT_ALLOWED


def test_an_issue_without_an_allowed_subscriber_is_refused(rehearsal: Issue, settings: Settings) -> None:
    settings.ALLOWED_RECIPIENTS = ("@example.com",)
    with pytest.raises(IssueRefused, match="has no active subscribers"):
        send_now(rehearsal, by="Edda")


def test_test_mails_are_sent_to_allowed_addresses_only(
    rehearsal: Issue, provider: Provider, sandbox: SandboxServer
) -> None:
    with pytest.raises(TestMailRefused, match=r"was not sent\. The address is not in ALLOWED_RECIPIENTS"):
        send_test(rehearsal, ["stranger@example.org", people.ADA])
    assert sandbox.ledger.summary()["recipients"] == 1


@pytest.mark.parametrize("to", ["ben@example.org", "no address"])
def test_transactional_mails_are_sent_to_allowed_addresses_only(rehearsal: Issue, provider: Provider, to: str) -> None:
    message = Message(sender="notes@example.org", to=to, subject="Confirm", html="<p>Confirm</p>", text="Confirm")
    outcome = post_message((provider,), message, key="key-1")
    assert (outcome.kind, outcome.code) == (OutcomeKind.REFUSED, "recipient_not_allowed")
