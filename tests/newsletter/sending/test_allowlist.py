"""A rehearsal writes to those whom it may write to, and to nobody else by any way (R-135)."""

from __future__ import annotations

import time

import pytest
from pytest_django import Settings

from newsletter.models import Delivery, DeliveryStatus, Issue
from newsletter.providers.allowlist import NOT_ALLOWED_RECIPIENT
from newsletter.providers.base import Message, OutcomeKind, Provider
from newsletter.providers.throttle import post_message
from newsletter.sandbox import SandboxServer
from newsletter.sending.schedule import IssueRefused, dry_run, send_now
from newsletter.sending.test_mail import TestMailRefused, send_test
from tests import people
from tests.publications import address_everybody, post_everything


@pytest.fixture
def rehearsal(issue: Issue, settings: Settings) -> Issue:
    """Ada and everybody at example.net may be written to; ten others are on the list."""
    settings.ALLOWED_RECIPIENTS = (people.ADA, "@example.net")
    people.ada(issue.newsletter)
    people.make_subscription("Team@Example.net", issue.newsletter)
    people.make_subscription("stranger@sub.example.net", issue.newsletter)
    people.make_subscription("team@notexample.net", issue.newsletter)
    people.make_subscriptions(8, issue.newsletter)
    people.finn(issue.newsletter)
    return issue


def test_only_those_on_the_list_get_an_issue_and_the_others_are_counted(
    rehearsal: Issue, provider: Provider, sandbox: SandboxServer
) -> None:
    manifest = dry_run(rehearsal)
    assert (manifest.readers, manifest.excluded) == (2, {"not_allowed": 10, "paused": 1})
    send_now(rehearsal, by="Edda")
    address_everybody()
    post_everything(provider)
    rehearsal.refresh_from_db()
    assert rehearsal.excluded == manifest.excluded
    assert sandbox.ledger.summary()["recipients"] == 2
    assert sandbox.ledger.mails_to(people.ADA, time.time())


def test_who_is_taken_off_the_list_after_the_start_gets_nothing(
    rehearsal: Issue, provider: Provider, sandbox: SandboxServer, settings: Settings
) -> None:
    send_now(rehearsal, by="Edda")
    address_everybody()
    settings.ALLOWED_RECIPIENTS = ("@example.net",)
    post_everything(provider)
    assert not sandbox.ledger.mails_to(people.ADA, time.time())
    skipped = Delivery.objects.get(status=DeliveryStatus.SKIPPED)
    assert skipped.reason == NOT_ALLOWED_RECIPIENT


def test_if_nobody_is_on_the_list_it_is_not_sent_and_says_so(rehearsal: Issue, settings: Settings) -> None:
    settings.ALLOWED_RECIPIENTS = ("@example.com",)
    with pytest.raises(IssueRefused, match="Nobody on the list"):
        send_now(rehearsal, by="Edda")


def test_test_mails_go_to_nobody_else(rehearsal: Issue, provider: Provider, sandbox: SandboxServer) -> None:
    with pytest.raises(TestMailRefused, match=r"it was not sent\. The address is not in ALLOWED_RECIPIENTS"):
        send_test(rehearsal, ["stranger@example.org", people.ADA])
    assert sandbox.ledger.summary()["recipients"] == 1


@pytest.mark.parametrize("to", ["ben@example.org", "no address"])
def test_no_single_mail_goes_to_anybody_else(rehearsal: Issue, provider: Provider, to: str) -> None:
    message = Message(sender="notes@example.org", to=to, subject="Confirm", html="<p>Confirm</p>", text="Confirm")
    outcome = post_message((provider,), message, key="key-1")
    assert (outcome.kind, outcome.reason) == (OutcomeKind.REFUSED, NOT_ALLOWED_RECIPIENT)
