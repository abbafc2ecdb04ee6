"""Gmail's spam rate: at the limit no send starts and running ones are paused, until an operator acknowledges it."""

from __future__ import annotations

import datetime

import pytest
from django.db import IntegrityError, transaction
from django.utils import timezone
from pytest_django import Settings

from newsletter.models import Issue, PostmasterDay, Reason, SendState, SpamRateAcknowledgement
from newsletter.monitoring.deliverability_diagnostics import spam_rate_diagnostics
from newsletter.monitoring.diagnostic import Severity
from newsletter.sending.auto_pause import auto_pause_sends
from newsletter.sending.control import ReasonNeeded, resume_send
from newsletter.sending.schedule import IssueRefused, send_now, start_next_due_send
from newsletter.sending.spam_rate import (
    ACKNOWLEDGED_FOR,
    MAX_AGE,
    acknowledge_spam_rate,
    domains_above,
    last_spam_rate,
)
from tests import people
from tests.publications import just_now, schedule_send, send_of, start_sending

pytestmark = pytest.mark.django_db

SENDER = "notes@mail.example.org"


def report(rate: float, *, days: int = 1, domain: str = "mail.example.org") -> None:
    """Gmail's rate of a day."""
    day = timezone.now().astimezone(datetime.UTC).date() - datetime.timedelta(days=days)
    PostmasterDay.objects.update_or_create(domain=domain, day=day, defaults={"spam_rate": rate})


def accept_rate(text: str = "A mail that was sent by mistake.") -> None:
    rate = last_spam_rate(SENDER, timezone.now())
    assert rate is not None
    acknowledge_spam_rate(rate, by="edda", text=text)


@pytest.fixture
def recipients(issue: Issue) -> None:
    people.make_subscriptions(3, issue.newsletter)


def test_the_last_known_day_of_the_longest_domain_counts() -> None:
    now = timezone.now()
    assert last_spam_rate(SENDER, now) is None
    report(0.004, days=3, domain="example.org")
    assert last_spam_rate(SENDER, now).rate == 0.004  # type: ignore[union-attr]
    report(0.001, days=5)
    report(0.002, days=4)
    rate = last_spam_rate(SENDER, now)
    assert rate is not None
    assert (rate.domain, rate.rate) == ("mail.example.org", 0.002)
    assert last_spam_rate("notes@other.example", now) is None
    assert last_spam_rate("", now) is None


def test_an_old_rate_says_nothing(recipients: None) -> None:
    report(0.5, days=MAX_AGE.days + 1)
    assert last_spam_rate(SENDER, timezone.now()) is None


def test_no_top_level_domain_is_asked_for() -> None:
    assert domains_above("a.mail.example.org") == ["a.mail.example.org", "mail.example.org", "example.org"]
    assert domains_above("localhost") == ["localhost"]


@pytest.mark.parametrize(("rate", "starts"), [(0.0029, True), (0.003, False)])
def test_send_now_is_refused_at_the_limit_with_the_numbers(
    issue: Issue, recipients: None, rate: float, starts: bool
) -> None:
    report(rate)
    if starts:
        assert send_now(issue, by="edda").state == SendState.SENDING
        return
    with pytest.raises(IssueRefused, match=r"reported 0\.3 % of the mails from mail\.example\.org as spam on .*0\.3 %"):
        send_now(issue, by="edda")
    assert issue.current_send is None


def test_the_limit_is_a_setting(issue: Issue, recipients: None, settings: Settings) -> None:
    settings.SPAM_RATE_LIMIT = 0.01
    report(0.009)
    assert send_now(issue, by="edda").state == SendState.SENDING


def test_a_due_send_is_held_and_starts_once_the_rate_is_acknowledged(issue: Issue, recipients: None) -> None:
    report(0.005)
    schedule_send(issue, at=just_now())
    assert start_next_due_send()
    send = send_of(issue)
    assert (send.state, send.hold_reason) == (SendState.SCHEDULED, Reason.SPAM_RATE)
    assert "0.5 %" in send.hold_sentence
    assert "Deliverability page" in send.hold_sentence
    assert not start_next_due_send()  # not before a minute has passed
    type(send).objects.update(retry_start_at=just_now())
    assert start_next_due_send()
    assert send.transitions.filter(reason=Reason.SPAM_RATE).count() == 1
    accept_rate()
    type(send).objects.update(retry_start_at=just_now())
    assert start_next_due_send()
    assert (send_of(issue).state, send_of(issue).hold_reason) == (SendState.SENDING, "")


def test_a_send_that_was_held_too_long_is_overdue_and_does_not_start_by_itself(issue: Issue, recipients: None) -> None:
    report(0.005)
    schedule_send(issue, at=timezone.now() - datetime.timedelta(hours=2))
    assert start_next_due_send()
    assert send_of(issue).hold_reason == Reason.OVERDUE


def test_a_running_send_is_paused_with_the_numbers_and_resumed_with_a_reason(issue: Issue) -> None:
    start_sending(issue)
    report(0.0029)
    assert not auto_pause_sends()
    report(0.0031)
    assert auto_pause_sends()
    send = send_of(issue)
    assert (send.state, send.hold_reason) == (SendState.PAUSED, Reason.AUTO_PAUSED)
    assert "0.31 %" in send.hold_sentence
    with pytest.raises(ReasonNeeded):
        resume_send(send, by="edda", text="")
    resume_send(send, by="edda", text="It was last week's mistake.")
    assert not auto_pause_sends()
    report(0.0032, days=0)
    assert auto_pause_sends()


def test_resuming_one_send_acknowledges_the_rate_for_no_other(issue: Issue, recipients: None) -> None:
    start_sending(issue)
    report(0.005)
    auto_pause_sends()
    resume_send(send_of(issue), by="edda", text="Only this one.")
    from tests.publications import make_issue

    with pytest.raises(IssueRefused):
        send_now(make_issue("issue-2"), by="edda")


def test_an_acknowledgement_holds_for_days_up_to_its_rate_and_for_its_domain(issue: Issue, recipients: None) -> None:
    start_sending(issue)
    report(0.005)
    accept_rate()
    assert not auto_pause_sends()
    report(0.006, days=0)
    assert auto_pause_sends()


def test_an_old_acknowledgement_no_longer_counts(issue: Issue) -> None:
    start_sending(issue)
    report(0.005)
    long_ago = timezone.now() - ACKNOWLEDGED_FOR
    SpamRateAcknowledgement.objects.create(domain="mail.example.org", rate=0.005, by="e", text="x", at=long_ago)
    assert auto_pause_sends()


def test_an_acknowledgement_has_a_reason_and_cannot_be_changed() -> None:
    report(0.005)
    with pytest.raises(IntegrityError), transaction.atomic():
        accept_rate(text="")
    accept_rate()
    with pytest.raises(IntegrityError, match="append-only"), transaction.atomic():
        SpamRateAcknowledgement.objects.update(rate=1)
    with pytest.raises(IntegrityError, match="append-only"), transaction.atomic():
        SpamRateAcknowledgement.objects.all().delete()


@pytest.mark.parametrize(("rate", "severity"), [(0.0009, None), (0.001, Severity.WARNING), (0.003, Severity.ERROR)])
def test_the_doctor_warns_before_sends_stop(issue: Issue, rate: float, severity: Severity | None) -> None:
    report(rate)
    found = list(spam_rate_diagnostics(timezone.now()))
    assert [diagnostic.severity for diagnostic in found] == ([severity] if severity else [])
