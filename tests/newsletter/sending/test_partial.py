"""Posts whose messages end differently, over SMTP: each recipient gets at most one mail, and unknown ones are held."""

from __future__ import annotations

import dataclasses
import datetime
from collections.abc import Callable, Iterator

import pytest
from django.db import OperationalError
from django.utils import timezone

from newsletter.models import Batch, BatchState, Delivery, DeliveryState, Issue, Reason, Send, SendState
from newsletter.providers.base import (
    MessageResult,
    Outcome,
    OutcomeKind,
    Provider,
    ResultKind,
    provider_account,
)
from newsletter.reports.statistics import report_of
from newsletter.sending import outcome as outcome_module
from newsletter.sending import post as post_module
from newsletter.sending.batch import claim_batch, release_stale_claims
from newsletter.sending.control import cancel_send, finish_sends, resume_send
from newsletter.sending.outcome import record_outcome
from newsletter.sending.post import post_batch
from newsletter.sending.progress import post_with_progress
from newsletter.sending.reconcile import hold_expired, mark_as_sent, send_again
from newsletter.sending.recover import recover_abandoned
from newsletter.sending.retry import count_failed, retry_failed
from tests import people
from tests.mail_server import DROP, MailFault, MailServer, connect_to, running_mail_server
from tests.publications import expand_audiences, post_everything, start_sending

ADDRESSES = [f"reader-{number}@example.org" for number in range(1, 8)]


@pytest.fixture
def mail_server() -> Iterator[MailServer]:
    with running_mail_server() as server:
        yield server
        assert server.violations == []


@pytest.fixture
def provider(mail_server: MailServer, monkeypatch: pytest.MonkeyPatch) -> Provider:
    return connect_to(mail_server, monkeypatch)


@pytest.fixture
def send(issue: Issue, long_waits: None) -> Send:
    """A send to seven recipients, in one batch."""
    people.make_subscriptions(len(ADDRESSES), issue.newsletter)
    send = start_sending(issue)
    expand_audiences(batch_size=10)
    return send


def make_due() -> None:
    Batch.objects.update(not_before=timezone.now())


def state_of(send: Send) -> str:
    send.refresh_from_db()
    return send.state


def batch_sizes(state: str) -> list[int]:
    """How many deliveries each batch in this state owns."""
    batches = Batch.objects.filter(state=state).order_by("first_delivery")
    return [batch.last_delivery - batch.first_delivery + 1 for batch in batches]


def test_every_recipient_gets_the_issue_once_and_the_send_ends(
    send: Send, provider: Provider, mail_server: MailServer
) -> None:
    assert post_everything(provider) == 1
    finish_sends()
    assert state_of(send) == SendState.SENT
    assert mail_server.recipients() == ADDRESSES
    delivery = Delivery.objects.order_by("pk")[0]
    assert delivery.provider_id == f"{delivery.pk}.{send.edition_id}.tests"


def test_each_message_is_recorded_with_its_own_result(send: Send, provider: Provider, mail_server: MailServer) -> None:
    mail_server.plan(
        MailFault("rcpt", "550 5.1.1 no such user", ADDRESSES[1]),
        MailFault("rcpt", "450 4.2.0 greylisted", ADDRESSES[2]),
        MailFault("accepted", DROP, ADDRESSES[4]),
    )
    post_everything(provider)
    report = report_of(send)
    over = Batch.objects.filter(state__in=(BatchState.ACCEPTED, BatchState.HELD))
    assert set(over.values_list("provider", flat=True)) == {provider_account(provider)}
    # The two behind the unknown one were not attempted and were sent by the next post; the greylisted one waits.
    assert (report.accepted, report.failed_to_send, report.unknown, report.waiting) == (4, 1, 1, 1)
    refused = Delivery.objects.get(state=DeliveryState.FAILED)
    assert (refused.subscriber.address, refused.reason) == (ADDRESSES[1], "mailbox_unavailable")
    assert "550" in refused.detail
    make_due()
    post_everything(provider)
    assert mail_server.recipients() == sorted(set(ADDRESSES) - {ADDRESSES[1]})
    assert batch_sizes(BatchState.HELD) == [1]
    held = Batch.objects.get(state=BatchState.HELD)
    assert held.reason == "no_reply_to_message"
    finish_sends()
    assert state_of(send) == SendState.SENDING, "the outcome of one mail is unknown"
    mark_as_sent(held, by="Edda")
    finish_sends()
    assert state_of(send) == SendState.SENT
    assert len(set(Batch.objects.values_list("key", flat=True))) == Batch.objects.count()


def test_a_held_mail_that_an_operator_sends_again_keeps_its_message_id(
    send: Send, provider: Provider, mail_server: MailServer
) -> None:
    mail_server.plan(MailFault("accepted", DROP, ADDRESSES[6]))
    post_everything(provider)
    send_again(Batch.objects.get(state=BatchState.HELD), by="Edda")
    post_everything(provider)
    twice = [mail.content for mail in mail_server.mails if mail.recipient == ADDRESSES[6]]
    first, second = (content.partition(b"Message-ID: ")[2].partition(b"\r\n")[0] for content in twice)
    assert first == second


def test_the_batch_of_a_worker_that_was_killed_during_a_post_is_held_and_not_repeated(
    send: Send, provider: Provider, mail_server: MailServer
) -> None:
    claimed = claim_batch(provider)
    assert claimed is not None
    # The worker posted, and was killed before it recorded the outcome.
    post_with_progress(provider, claimed)
    Batch.objects.update(claimed_by=Batch.objects.get().claimed_by.rpartition(":")[0] + ":999999999")
    assert release_stale_claims(include_own=True) == 1
    assert post_everything(provider) == 0
    assert not hold_expired((provider,))
    assert recover_abandoned((provider,))
    assert not recover_abandoned((provider,))
    held = Batch.objects.get()
    assert (held.state, held.reason) == (BatchState.HELD, Reason.NOT_REPEATABLE)
    assert mail_server.recipients() == ADDRESSES
    assert report_of(send).unknown == len(ADDRESSES)


@pytest.mark.parametrize(
    ("step", "begun"),
    [
        # An earlier version, which recorded no progress, has left the batch.
        (post_everything, None),
        (lambda provider: hold_expired((provider,)), None),
        (lambda provider: recover_abandoned((provider,)), 7),
    ],
    ids=["claiming", "holding", "recovering"],
)
def test_a_clock_that_was_set_back_makes_no_batch_repeatable(
    send: Send, provider: Provider, mail_server: MailServer, step: Callable[[Provider], object], begun: int | None
) -> None:
    assert claim_batch(provider) is not None
    tomorrow = timezone.now() + datetime.timedelta(days=1)
    Batch.objects.update(lease_until=timezone.now(), first_attempt_at=tomorrow, begun=begun)
    step(provider)
    assert Batch.objects.get().state == BatchState.HELD
    assert mail_server.mails == []


@pytest.mark.parametrize("sent", [0, 3, 7], ids=["none sent", "some sent", "all sent"])
def test_the_results_of_a_slow_worker_settle_a_batch_that_was_held_meanwhile(
    send: Send, provider: Provider, mail_server: MailServer, sent: int
) -> None:
    slow = claim_batch(provider)
    assert slow is not None
    mail_server.plan(*[MailFault("rcpt", DROP, address) for address in ADDRESSES[sent:]])
    outcome = post_with_progress(provider, slow)
    assert len(mail_server.mails) == sent
    Batch.objects.update(lease_until=timezone.now())
    recover_abandoned((provider,))
    assert Batch.objects.get().state == (BatchState.HELD if sent else BatchState.READY)
    record_outcome(slow, outcome)
    mail_server.faults.clear()
    make_due()
    post_everything(provider)
    assert mail_server.recipients() == ADDRESSES
    assert report_of(send).accepted == len(ADDRESSES)


def test_the_decision_of_an_operator_stands_when_a_slow_worker_records_its_outcome_later(
    send: Send, provider: Provider
) -> None:
    slow = claim_batch(provider)
    assert slow is not None
    Batch.objects.update(lease_until=timezone.now(), begun=7)
    recover_abandoned((provider,))
    mark_as_sent(Batch.objects.get(), by="Edda")
    record_outcome(slow, Outcome(kind=OutcomeKind.RETRY_LATER, code="connection_failed"))
    assert report_of(send).accepted == len(ADDRESSES)


def test_results_of_a_repeat_prove_nothing_about_the_attempt_before(send: Send, provider: Provider) -> None:
    claimed = claim_batch(provider)
    assert claimed is not None
    record_outcome(claimed, Outcome(kind=OutcomeKind.UNKNOWN, code="no_answer"))
    again = dataclasses.replace(claimed, attempt=2, is_retry=True)
    Batch.objects.update(state=BatchState.CLAIMED, attempts=2)
    results = tuple(MessageResult(kind=ResultKind.REFUSED, code="message_refused") for _ in ADDRESSES)
    record_outcome(again, Outcome(kind=OutcomeKind.PARTIAL, results=results, code="message_refused"))
    held = Batch.objects.get()
    assert (held.state, held.reason) == (BatchState.HELD, Reason.REFUSED_AFTER_UNKNOWN)


def test_results_that_do_not_match_the_deliveries_are_held_with_the_reason(send: Send, provider: Provider) -> None:
    claimed = claim_batch(provider)
    assert claimed is not None
    results = (MessageResult(kind=ResultKind.RETRY_LATER, code="message_deferred"),) * 3
    record_outcome(claimed, Outcome(kind=OutcomeKind.PARTIAL, results=results, code="message_deferred"))
    held = Batch.objects.get()
    assert (held.state, held.reason) == (BatchState.HELD, Reason.RESULT_COUNT_DIFFERS)
    assert held.reason_values == {"results": 3, "deliveries": 7}


def test_if_no_recipient_is_accepted_the_send_pauses_after_two_refusals(
    send: Send, provider: Provider, mail_server: MailServer
) -> None:
    mail_server.plan(MailFault("rcpt", "554 5.7.1 relaying denied", times=99))
    post_everything(provider)
    report = report_of(send)
    assert (state_of(send), report.failed_to_send, report.waiting) == (SendState.PAUSED, 2, 5)
    assert send.hold_reason == Reason.NOTHING_ACCEPTED
    mail_server.faults.clear()
    resume_send(send, by="Edda")
    post_everything(provider)
    assert mail_server.recipients() == ADDRESSES[2:]


def test_a_login_that_is_refused_during_a_post_pauses_the_send_and_loses_no_recipient(
    send: Send, provider: Provider, mail_server: MailServer
) -> None:
    mail_server.plan(MailFault("rcpt", "530 5.7.0 log in first", ADDRESSES[3], times=2))
    post_everything(provider)
    assert (state_of(send), report_of(send).accepted) == (SendState.PAUSED, 3)
    mail_server.faults.clear()
    resume_send(send, by="Edda")
    make_due()
    post_everything(provider)
    assert mail_server.recipients() == ADDRESSES


def test_a_mail_that_is_deferred_up_to_the_last_attempt_fails_with_the_reason(
    send: Send, provider: Provider, mail_server: MailServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(outcome_module, "MAX_ATTEMPTS", 3)
    mail_server.plan(MailFault("rcpt", "452 4.2.2 mailbox full", ADDRESSES[0], times=99))
    for _ in range(5):
        make_due()
        post_everything(provider)
    refused = Delivery.objects.get(state=DeliveryState.FAILED)
    assert (refused.reason, "mailbox full" in refused.detail) == (Reason.TOO_MANY_ATTEMPTS, True)
    finish_sends()
    assert state_of(send) == SendState.SENT


def test_a_deferred_recipient_is_skipped_when_the_send_is_cancelled(
    send: Send, provider: Provider, mail_server: MailServer
) -> None:
    mail_server.plan(MailFault("rcpt", "450 4.2.0 greylisted", ADDRESSES[0]))
    post_everything(provider)
    cancel_send(send, by="Edda")
    report = report_of(send)
    assert (report.accepted, report.skipped) == (6, 1)


def test_a_recipient_who_is_refused_twice_is_retried_alone(
    send: Send, provider: Provider, mail_server: MailServer
) -> None:
    refusals = [MailFault("rcpt", "550 5.7.1 not today", ADDRESSES[place]) for place in (3, 4, 5)]
    mail_server.plan(*refusals)
    post_everything(provider)
    assert count_failed(send) == 3
    mail_server.plan(MailFault("rcpt", "550 5.7.1 not today", ADDRESSES[5]))
    retry_failed(send, by="Edda")
    post_everything(provider)
    assert count_failed(send) == 1
    retry_failed(send, by="Edda")
    again = Batch.objects.filter(state=BatchState.READY).get()
    assert again.first_delivery == again.last_delivery, "an event for another recipient must not settle it"
    post_everything(provider)
    assert mail_server.recipients() == ADDRESSES
    report = report_of(send)
    assert report.accepted == 7
    finish_sends()
    assert state_of(send) == SendState.SENT


def test_a_database_failure_before_the_post_leaves_no_outcome_unknown(
    send: Send, provider: Provider, mail_server: MailServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(provider: Provider, **options: object) -> None:
        raise OperationalError("database is locked")

    with monkeypatch.context() as patch:
        patch.setattr(post_module, "acquire_permit", fail)
        with pytest.raises(OperationalError):
            post_batch((provider,))
    batch = Batch.objects.get()
    assert (batch.state, batch.reason) == (BatchState.READY, Reason.DATABASE_FAILED)
    make_due()
    post_everything(provider)
    assert mail_server.recipients() == ADDRESSES
