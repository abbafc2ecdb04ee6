"""Posting: what each outcome does to batches, deliveries and the send. The sandbox's ledger shows what was sent."""

from __future__ import annotations

import contextlib
import dataclasses
import datetime
import threading
import time
from typing import Any

import pytest
from django.db import IntegrityError, OperationalError, connection
from django.db.models import QuerySet
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from newsletter.models import Batch, BatchState, Delivery, DeliveryState, Edition, Issue, Reason, Send, SendState
from newsletter.providers.base import Outcome, OutcomeKind, Provider
from newsletter.providers.reasons import REASONS
from newsletter.providers.throttle import MAX_BACKOFF, acquire_permit
from newsletter.reports.statistics import report_of
from newsletter.sandbox import Fault, SandboxServer
from newsletter.sending import post as post_module
from newsletter.sending.batch import LEASE, ClaimedBatch, claim_batch
from newsletter.sending.control import cancel_send, finish_sends, pause_send, resume_send
from newsletter.sending.expand import expand_audience
from newsletter.sending.outcome import record_outcome
from newsletter.sending.post import post_batch
from newsletter.sending.progress import post_with_progress
from newsletter.sending.reconcile import NotHeld, hold, hold_expired, mark_as_sent, send_again, settle_proven
from newsletter.sending.recover import recover_abandoned
from subscribers.models import Subscription, SubscriptionState
from tests import people
from tests.mail_server import connect_to, running_mail_server
from tests.publications import (
    expand_audiences,
    make_issue,
    pass_time,
    post_everything,
    reset_throttles,
    start_sending,
)


@pytest.fixture
def send(issue: Issue, long_waits: None) -> Send:
    """A send to seven recipients, in batches of three."""
    people.make_subscriptions(7, issue.newsletter)
    send = start_sending(issue)
    expand_audiences(batch_size=3)
    return send


def make_due() -> None:
    Batch.objects.update(not_before=timezone.now())


def mails(sandbox: SandboxServer) -> tuple[int, int]:
    """Messages and different recipients in the ledger."""
    summary = sandbox.ledger.summary()
    return summary["messages"], summary["recipients"]


def batch_states() -> list[str]:
    return sorted(Batch.objects.values_list("state", flat=True))


def state_of(send: Send) -> str:
    send.refresh_from_db()
    return send.state


def test_every_recipient_gets_the_issue_once_and_the_send_ends(
    send: Send, provider: Provider, sandbox: SandboxServer
) -> None:
    assert post_everything(provider) == 3
    finish_sends()
    assert state_of(send) == SendState.SENT
    assert mails(sandbox) == (7, 7)
    assert Delivery.objects.filter(state=DeliveryState.ACCEPTED).exclude(provider_id="").count() == 7
    assert not Batch.objects.filter(payload__isnull=False).exists()


@pytest.mark.parametrize(
    "fault",
    [
        Fault("reset"),
        Fault("reset", after_commit=True),
        Fault("html_502"),
        Fault("html_502", after_commit=True),
        Fault("truncated"),
        Fault("missing_id"),
        Fault("service_unavailable"),
        Fault("concurrent_idempotent_requests"),
    ],
    ids=lambda fault: f"{fault.kind}-{'after' if fault.after_commit else 'before'}",
)
def test_a_post_without_an_answer_is_repeated_and_sends_no_duplicate(
    send: Send, provider: Provider, sandbox: SandboxServer, fault: Fault
) -> None:
    sandbox.plan(fault)
    post_everything(provider)
    assert batch_states() == [BatchState.ACCEPTED, BatchState.ACCEPTED, BatchState.UNKNOWN]
    assert report_of(send).unknown == 3
    make_due()
    post_everything(provider)
    assert batch_states() == [BatchState.ACCEPTED] * 3
    assert mails(sandbox) == (7, 7)


def test_one_invalid_address_is_refused_and_the_others_get_the_issue(
    issue: Issue, provider: Provider, sandbox: SandboxServer
) -> None:
    people.make_subscriptions(6, issue.newsletter)
    people.make_subscription("someone@example.com", issue.newsletter)  # Resend refuses this domain
    send = start_sending(issue)
    expand_audiences()
    post_everything(provider)
    assert mails(sandbox) == (6, 6)
    refused = Delivery.objects.get(state=DeliveryState.FAILED)
    assert refused.subscriber.address == "someone@example.com"
    assert (refused.reason, "`to` field" in refused.detail) == ("validation_error", True)
    assert BatchState.REFUSED in batch_states()
    finish_sends()
    assert state_of(send) == SendState.SENT


@pytest.mark.parametrize("name", ["invalid_api_key", "daily_quota_exceeded", "restricted_api_key"])
def test_a_blocked_account_pauses_the_send_and_resuming_loses_no_recipient(
    send: Send, provider: Provider, sandbox: SandboxServer, name: str
) -> None:
    sandbox.plan(Fault(name))
    post_everything(provider)
    assert state_of(send) == SendState.PAUSED
    assert send.hold_reason == Reason.PROVIDER_OUTAGE
    assert send.hold_values["reasons"][0][0] == name
    assert str(REASONS[name]) in send.hold_sentence
    assert mails(sandbox) == (0, 0)
    resume_send(send, by="tests")
    make_due()
    post_everything(provider)
    assert mails(sandbox) == (7, 7)


def test_a_refusal_after_an_attempt_without_an_answer_leaves_the_outcome_unknown(
    send: Send, provider: Provider, sandbox: SandboxServer
) -> None:
    sandbox.plan(Fault("reset", after_commit=True))
    post_everything(provider)
    unknown = Batch.objects.get(state=BatchState.UNKNOWN)
    for name in ("rate_limit_exceeded", "invalid_api_key"):
        sandbox.plan(Fault(name))
        make_due()
        post_everything(provider)
        unknown.refresh_from_db()
        assert (unknown.state, unknown.epoch) == (BatchState.UNKNOWN, 1)
    resume_send(send, by="tests")
    make_due()
    post_everything(provider)
    assert batch_states() == [BatchState.ACCEPTED] * 3
    assert mails(sandbox) == (7, 7)


def test_a_validation_error_after_an_attempt_without_an_answer_is_held_for_an_operator(
    send: Send, provider: Provider, sandbox: SandboxServer
) -> None:
    sandbox.plan(Fault("reset", after_commit=True), Fault("none", times=2), Fault("validation_error", status=422))
    post_everything(provider)
    make_due()
    post_everything(provider)
    assert batch_states() == [BatchState.ACCEPTED, BatchState.ACCEPTED, BatchState.HELD]
    held = Batch.objects.get(state=BatchState.HELD)
    assert held.reason == Reason.REFUSED_AFTER_UNKNOWN
    assert (held.reason_values or {})["reasons"][0][0] == "validation_error"
    assert mails(sandbox) == (7, 7)


def test_a_key_that_the_provider_knows_with_other_bytes_is_held_with_the_reason(
    send: Send, provider: Provider, sandbox: SandboxServer
) -> None:
    sandbox.plan(Fault("invalid_idempotent_request"))
    post_everything(provider)
    finish_sends()
    assert state_of(send) == SendState.SENDING
    report = report_of(send)
    assert (report.held_batches, report.unknown, report.accepted) == (1, 3, 4)
    assert Batch.objects.get(state=BatchState.HELD).reason == "invalid_idempotent_request"


def test_an_event_for_one_mail_proves_that_its_whole_batch_was_sent(
    send: Send, provider: Provider, sandbox: SandboxServer
) -> None:
    sandbox.plan(Fault("reset", after_commit=True))
    post_everything(provider)
    unknown = Batch.objects.get(state=BatchState.UNKNOWN)
    Delivery.objects.filter(pk=unknown.last_delivery).update(delivered_at=timezone.now())
    settle_proven()
    assert batch_states() == [BatchState.ACCEPTED] * 3
    unknown.refresh_from_db()
    assert unknown.reason == Reason.PROVEN_BY_EVENT
    assert report_of(send).accepted == 7


def held_batch(provider: Provider, sandbox: SandboxServer) -> Batch:
    sandbox.plan(Fault("invalid_idempotent_request"))
    post_everything(provider)
    return Batch.objects.get(state=BatchState.HELD)


def test_an_operator_can_mark_a_held_batch_as_sent(send: Send, provider: Provider, sandbox: SandboxServer) -> None:
    held = held_batch(provider, sandbox)
    mark_as_sent(held, by="Edda")
    finish_sends()
    assert state_of(send) == SendState.SENT
    held.refresh_from_db()
    assert (held.reason, held.reason_values) == (Reason.MARKED_AS_SENT, {"by": "Edda"})
    with pytest.raises(NotHeld):
        mark_as_sent(held, by="Edda")


def test_an_operator_can_send_a_held_batch_again_under_a_new_key(
    send: Send, provider: Provider, sandbox: SandboxServer
) -> None:
    held = held_batch(provider, sandbox)
    send_again(held, by="Edda")
    post_everything(provider)
    assert mails(sandbox) == (7, 7)
    assert Batch.objects.get(pk=held.pk).epoch == 2
    with pytest.raises(NotHeld):
        send_again(held, by="Edda")


@pytest.mark.parametrize("name", ["invalid_from_address", "invalid_idempotency_key"])
def test_a_fault_of_every_message_pauses_the_send_and_refuses_no_recipient(
    send: Send, provider: Provider, sandbox: SandboxServer, name: str
) -> None:
    sandbox.plan(Fault(name, times=100))
    assert post_everything(provider) == 1
    assert (state_of(send), report_of(send).waiting) == (SendState.PAUSED, 7)
    assert send.hold_reason == Reason.ISSUE_REFUSED
    assert send.hold_values["reasons"][0][0] == name


def test_if_no_recipient_is_accepted_the_send_pauses_after_two_refusals(
    send: Send, provider: Provider, sandbox: SandboxServer
) -> None:
    sandbox.plan(Fault("validation_error", status=422, times=100))
    assert post_everything(provider) < 6
    report = report_of(send)
    assert (state_of(send), report.failed_to_send, report.waiting) == (SendState.PAUSED, 2, 5)
    assert send.hold_reason == Reason.NOTHING_ACCEPTED
    assert send.hold_values["reasons"][0][0] == "validation_error"
    sandbox.team.faults.clear()
    resume_send(send, by="Edda")
    post_everything(provider)
    assert report_of(send).accepted == 5


def test_an_outage_of_ten_minutes_leaves_the_outcome_of_at_most_two_batches_unknown(
    issue: Issue, provider: Provider, sandbox: SandboxServer
) -> None:
    people.make_subscriptions(60, issue.newsletter)
    start_sending(issue)
    expand_audiences(batch_size=2)
    sandbox.plan(Fault("html_502", times=1000))
    for _half_second in range(1200):
        pass_time(0.5)
        post_batch((provider,))
    assert batch_states().count(BatchState.UNKNOWN) <= 2
    assert sandbox.ledger.summary()["calls"] < 20
    sandbox.team.faults.clear()
    pass_time(MAX_BACKOFF)
    post_everything(provider)
    assert mails(sandbox) == (60, 60)


def test_a_batch_that_cannot_be_built_does_not_block_other_batches(
    send: Send, provider: Provider, sandbox: SandboxServer
) -> None:
    edition = send.edition
    # As if it had been frozen by an earlier release, and today's rules refuse one of its headers.
    changed = {**edition.envelope, "headers": {**edition.envelope["headers"], "X-Campaign": "1"}}
    QuerySet(Edition).filter(pk=edition.pk).update(envelope=changed)
    other = start_sending(make_issue("issue-2", send.issue.newsletter))
    expand_audiences(batch_size=3)
    post_everything(provider)
    assert (report_of(other).accepted, report_of(send).waiting) == (7, 7)
    set_aside = Batch.objects.filter(send=send)[0]
    assert (set_aside.state, set_aside.reason) == (BatchState.READY, Reason.CANNOT_BE_BUILT)
    assert set_aside.reason_values == {"error": "InvalidMessage"}


@pytest.mark.parametrize("crashed", [False, True], ids=["no answer", "crashed worker"])
def test_an_unknown_outcome_in_a_cancelled_send_is_held_with_the_reason(
    send: Send, provider: Provider, crashed: bool
) -> None:
    claimed = claim_batch(provider)
    assert claimed is not None
    if not crashed:
        record_outcome(claimed, Outcome(kind=OutcomeKind.UNKNOWN, code="no_answer"))
    cancel_send(send, by="Edda")
    Batch.objects.filter(state=BatchState.CLAIMED).update(lease_until=timezone.now())
    hold_expired((provider,))
    held = Batch.objects.get(pk=claimed.pk)
    assert (held.state, held.reason) == (BatchState.HELD, Reason.CANCELLED_WHILE_UNKNOWN)
    with pytest.raises(NotHeld):
        send_again(held, by="Edda")
    mark_as_sent(held, by="Edda")


def test_an_unknown_outcome_in_a_paused_send_is_held_when_the_key_expires(send: Send, provider: Provider) -> None:
    claimed = claim_batch(provider)
    assert claimed is not None
    record_outcome(claimed, Outcome(kind=OutcomeKind.UNKNOWN, code="no_answer"))
    pause_send(send, by="Edda", text="Lunch.")
    Batch.objects.filter(pk=claimed.pk).update(first_attempt_at=timezone.now() - provider.key_lifetime)
    hold_expired((provider,))
    held = Batch.objects.get(pk=claimed.pk)
    assert (held.state, held.reason) == (BatchState.HELD, Reason.KEY_EXPIRED)


def test_an_event_that_arrives_after_the_decision_to_send_again_prevents_a_duplicate(
    send: Send, provider: Provider, sandbox: SandboxServer
) -> None:
    sandbox.plan(Fault("reset", after_commit=True))
    post_everything(provider)
    Batch.objects.filter(state=BatchState.UNKNOWN).update(first_attempt_at=timezone.now() - provider.key_lifetime)
    hold_expired((provider,))
    held = Batch.objects.get(state=BatchState.HELD)
    send_again(held, by="Edda")
    Delivery.objects.filter(pk=held.first_delivery).update(delivered_at=timezone.now())
    post_everything(provider)
    assert mails(sandbox) == (7, 7)
    assert batch_states() == [BatchState.ACCEPTED] * 3


def test_a_recipient_who_left_before_a_repeat_may_have_been_reached_and_the_reason_says_so(
    send: Send, provider: Provider, sandbox: SandboxServer
) -> None:
    held = held_batch(provider, sandbox)
    send_again(held, by="Edda")
    first = Delivery.objects.get(pk=held.first_delivery)
    Subscription.objects.filter(subscriber=first.subscriber_id).update(state=SubscriptionState.UNSUBSCRIBED)
    post_everything(provider)
    first.refresh_from_db()
    assert (first.state, first.reason) == (DeliveryState.SKIPPED, Reason.UNSUBSCRIBED_AFTER_ATTEMPT)


def refuse_after_sending_again(provider: Provider, sandbox: SandboxServer) -> Batch:
    """A batch of three that was sent, held, sent again by an operator, and then refused: two halves wait for it."""
    sandbox.plan(Fault("reset", after_commit=True))
    post_everything(provider)
    Batch.objects.filter(state=BatchState.UNKNOWN).update(first_attempt_at=timezone.now() - provider.key_lifetime)
    hold_expired((provider,))
    held = Batch.objects.get(state=BatchState.HELD)
    send_again(held, by="Edda")
    sandbox.plan(Fault("validation_error", status=422))
    reset_throttles()
    assert post_batch((provider,))
    assert batch_states().count(BatchState.READY) == 2
    return held


def test_a_half_of_a_batch_that_was_sent_again_may_have_reached_its_recipients_and_the_reason_says_so(
    send: Send, provider: Provider, sandbox: SandboxServer
) -> None:
    held = refuse_after_sending_again(provider, sandbox)
    last = Delivery.objects.get(pk=held.last_delivery)
    Subscription.objects.filter(subscriber=last.subscriber_id).update(state=SubscriptionState.UNSUBSCRIBED)
    post_everything(provider)
    last.refresh_from_db()
    assert (last.state, last.reason) == (DeliveryState.SKIPPED, Reason.UNSUBSCRIBED_AFTER_ATTEMPT)


def test_an_event_proves_that_a_half_of_a_batch_that_was_sent_again_had_been_sent(
    send: Send, provider: Provider, sandbox: SandboxServer
) -> None:
    held = refuse_after_sending_again(provider, sandbox)
    first = Delivery.objects.get(pk=held.first_delivery)
    Delivery.objects.filter(pk=first.pk).update(delivered_at=timezone.now())
    post_everything(provider)
    assert len(sandbox.ledger.mails_to(first.subscriber.address, time.time())) == 1


def test_a_late_answer_settles_a_batch_that_was_held_meanwhile(send: Send, provider: Provider) -> None:
    claimed = claim_batch(provider)
    assert claimed is not None
    answer = provider.post_batch(claimed.body, key=claimed.key, size=claimed.size)
    Batch.objects.filter(pk=claimed.pk).update(
        lease_until=timezone.now(), first_attempt_at=timezone.now() - provider.key_lifetime
    )
    hold_expired((provider,))
    record_outcome(claimed, answer)
    assert Batch.objects.get(pk=claimed.pk).state == BatchState.ACCEPTED
    assert report_of(send).accepted == 3


def test_a_worker_whose_lease_ended_since_the_claim_does_not_post(
    send: Send, provider: Provider, sandbox: SandboxServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("newsletter.sending.batch.LEASE", -datetime.timedelta(seconds=1))
    post_batch((provider,))
    assert mails(sandbox) == (0, 0)


def test_recording_an_outcome_does_not_read_the_texts_of_the_edition(send: Send, provider: Provider) -> None:
    claim_batch(provider)
    claimed = claim_batch(provider)
    assert claimed is not None
    with CaptureQueriesContext(connection) as queries:
        record_outcome(claimed, Outcome(kind=OutcomeKind.UNKNOWN, code="no_answer"))
    assert not any('"newsletter_edition"."html"' in query["sql"] for query in queries)


def test_a_cancellation_that_fails_halfway_changes_nothing(send: Send, monkeypatch: pytest.MonkeyPatch) -> None:
    def crash() -> bool:
        raise RuntimeError("Power failure.")

    monkeypatch.setattr("newsletter.sending.control.drop_cancelled", crash)
    with pytest.raises(RuntimeError):
        cancel_send(send, by="Edda")
    assert (state_of(send), report_of(send).waiting) == (SendState.SENDING, 7)


def test_cancelling_during_the_expansion_counts_every_subscriber(issue: Issue) -> None:
    people.make_subscriptions(5, issue.newsletter)
    send = start_sending(issue)
    expand_audience(2, chunk=2)
    send.refresh_from_db()
    cancel_send(send, by="Edda")
    assert report_of(send).skipped == 2
    assert Send.objects.get().excluded == {"cancelled_before_their_turn": 3}


@pytest.mark.django_db(transaction=True)
@pytest.mark.postgresql
@pytest.mark.parametrize("state", [BatchState.READY, BatchState.UNKNOWN])
def test_six_concurrent_workers_claim_each_batch_once(issue: Issue, provider: Provider, state: BatchState) -> None:
    people.make_subscriptions(40, issue.newsletter)
    start_sending(issue)
    expand_audiences(batch_size=2)
    if state == BatchState.UNKNOWN:
        while claim_batch(provider):
            pass
        Batch.objects.update(state=state, lease_until=None)
    claimed, barrier = list[int](), threading.Barrier(6)

    def work() -> None:
        barrier.wait()
        while batch := claim_batch(provider):
            claimed.append(batch.pk)
        connection.close()

    threads = [threading.Thread(target=work) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (len(claimed), len(set(claimed))) == (20, 20)


@pytest.mark.parametrize("ids", [("e-1", "e-2"), ("e-1", "e-2", "e-3", "e-4")], ids=["too few", "too many"])
def test_ids_that_do_not_match_the_deliveries_are_held_with_the_reason(
    send: Send, provider: Provider, ids: tuple[str, ...]
) -> None:
    claimed = claim_batch(provider)
    assert claimed is not None
    record_outcome(claimed, Outcome(kind=OutcomeKind.ACCEPTED, ids=ids))
    held = Batch.objects.get(pk=claimed.pk)
    assert (held.state, held.reason) == (BatchState.HELD, Reason.ID_COUNT_DIFFERS)
    assert held.reason_values == {"ids": len(ids), "deliveries": 3}


def test_a_worker_that_continues_late_cannot_overwrite_a_newer_attempt(send: Send, provider: Provider) -> None:
    late = claim_batch(provider)
    assert late is not None
    Batch.objects.update(lease_until=timezone.now())
    post_everything(provider)
    record_outcome(late, Outcome(kind=OutcomeKind.RETRY_LATER, code="rate_limit_exceeded"))
    assert batch_states() == [BatchState.ACCEPTED] * 3


def test_an_answer_to_an_earlier_key_does_not_accept_what_is_posted_under_a_new_one(
    send: Send, provider: Provider
) -> None:
    late = claim_batch(provider)
    assert late is not None
    hold(Batch.objects.get(pk=late.pk), Reason.KEY_EXPIRED)
    send_again(Batch.objects.get(pk=late.pk), by="Edda")
    Batch.objects.exclude(pk=late.pk).update(lease_until=timezone.now() + datetime.timedelta(minutes=1))
    again = claim_batch(provider)
    assert again is not None
    assert (again.pk, again.key != late.key) == (late.pk, True)
    record_outcome(late, Outcome(kind=OutcomeKind.ACCEPTED, ids=("e-1", "e-2", "e-3")))
    assert Batch.objects.get(pk=late.pk).state == BatchState.CLAIMED
    assert not Delivery.objects.filter(state=DeliveryState.ACCEPTED).exists()


def test_a_batch_that_has_lost_a_mail_meanwhile_is_held_though_it_was_accepted(send: Send, provider: Provider) -> None:
    claimed = claim_batch(provider)
    assert claimed is not None
    Delivery.objects.filter(pk=claimed.delivery_pks[0]).update(state=DeliveryState.FAILED)
    record_outcome(claimed, Outcome(kind=OutcomeKind.ACCEPTED, ids=("e-1", "e-2", "e-3")))
    held = Batch.objects.get(pk=claimed.pk)
    assert (held.state, held.reason) == (BatchState.HELD, Reason.ID_COUNT_DIFFERS)
    assert not Delivery.objects.filter(state=DeliveryState.ACCEPTED).exists()


def test_cancelling_skips_all_recipients_who_were_not_posted(
    send: Send, provider: Provider, sandbox: SandboxServer
) -> None:
    claimed = claim_batch(provider)
    assert claimed is not None
    cancel_send(send, by="tests")
    outcome = provider.post_batch(claimed.body, key=claimed.key, size=claimed.size)
    record_outcome(claimed, outcome)
    assert post_everything(provider) == 0
    report = report_of(send)
    assert (report.accepted, report.skipped) == (3, 4)
    skipped = Delivery.objects.filter(state=DeliveryState.SKIPPED)
    assert set(skipped.values_list("reason", flat=True)) == {Reason.SEND_CANCELLED}
    assert mails(sandbox) == (3, 3)


@pytest.mark.parametrize("stop", [pause_send, cancel_send], ids=["pause", "cancel"])
def test_a_batch_that_waits_for_a_permit_is_not_posted_once_the_send_is_stopped(
    issue: Issue, sandbox: SandboxServer, provider: Provider, stop: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    people.ada(issue.newsletter)
    send = start_sending(issue)
    expand_audiences()

    def stop_and_acquire(provider: Provider, **options: Any) -> Any:
        stop(send, by="Edda", text="A wrong link.")
        return acquire_permit(provider, **options)

    monkeypatch.setattr(post_module, "acquire_permit", stop_and_acquire)
    post_everything(provider)
    assert not sandbox.ledger.mails_to(people.ADA, time.time())
    assert Delivery.objects.get().state == DeliveryState.PENDING
    assert Batch.objects.get().reason == Reason.SEND_STOPPED


def test_a_recipient_who_leaves_while_a_batch_waits_for_a_permit_is_skipped_and_the_others_are_not(
    issue: Issue, sandbox: SandboxServer, provider: Provider, monkeypatch: pytest.MonkeyPatch
) -> None:
    ada = people.ada(issue.newsletter)
    people.make_subscription("zoe@example.org", issue.newsletter)
    send = start_sending(issue)
    expand_audiences()

    def leave_and_acquire(provider: Provider, **options: Any) -> Any:
        Subscription.objects.filter(pk=ada.pk).update(state=SubscriptionState.UNSUBSCRIBED, ended_at=timezone.now())
        permit = acquire_permit(provider, **options)
        return permit and dataclasses.replace(permit, waited=2.0)

    monkeypatch.setattr(post_module, "acquire_permit", leave_and_acquire)
    post_everything(provider)
    pass_time(2)
    post_everything(provider)
    assert not sandbox.ledger.mails_to(people.ADA, time.time())
    assert len(sandbox.ledger.mails_to("zoe@example.org", time.time())) == 1
    assert report_of(send).skipped == 1


@pytest.mark.parametrize("attempts", [0, 9])
def test_a_batch_that_gets_no_permit_is_due_again_within_a_second(
    issue: Issue, provider: Provider, monkeypatch: pytest.MonkeyPatch, attempts: int
) -> None:
    people.ada(issue.newsletter)
    start_sending(issue)
    expand_audiences()
    Batch.objects.update(attempts=attempts)
    monkeypatch.setattr(post_module, "acquire_permit", lambda provider, **options: None)
    assert post_batch((provider,))
    batch = Batch.objects.get()
    assert (batch.state, batch.reason) == (BatchState.READY, Reason.NO_PERMIT)
    assert (batch.not_before - timezone.now()).total_seconds() <= 1


def test_a_batch_whose_lease_ended_before_the_post_is_ready_again(
    issue: Issue, sandbox: SandboxServer, provider: Provider
) -> None:
    people.ada(issue.newsletter)
    start_sending(issue)
    expand_audiences()
    claimed = claim_batch(provider)
    assert claimed is not None
    late = dataclasses.replace(claimed, lease_until=timezone.now())
    post_module.post_claimed(late, provider, (provider,))
    batch = Batch.objects.get()
    assert (batch.state, batch.reason, mails(sandbox)) == (BatchState.READY, Reason.LEASE_LOST, (0, 0))


def test_a_throttle_that_cannot_be_updated_loses_no_outcome(
    send: Send, provider: Provider, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise OperationalError("canceling statement due to lock timeout")

    monkeypatch.setattr(post_module, "update_throttle", fail)
    with pytest.raises(OperationalError):
        post_batch((provider,))
    assert Batch.objects.filter(state=BatchState.ACCEPTED).count() == 1
    assert Delivery.objects.exclude(provider_id="").count() == 3


def fail_to_record(monkeypatch: pytest.MonkeyPatch, error: Exception, *, times: int) -> list[Outcome]:
    """Let that many records of an outcome fail; the list gets the outcome of each attempt to record one."""
    attempts = list[Outcome]()

    def record(claimed: ClaimedBatch, outcome: Outcome) -> None:
        attempts.append(outcome)
        if len(attempts) <= times:
            raise error
        record_outcome(claimed, outcome)

    monkeypatch.setattr(post_module, "record_outcome", record)
    return attempts


def post_waiting(provider: Provider, monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """Post the next batch with a clock that only the waits move; returns these."""
    waits, now = list[float](), timezone.now()
    monkeypatch.setattr(timezone, "now", lambda: now + datetime.timedelta(seconds=sum(waits)))
    claimed = claim_batch(provider)
    assert claimed is not None
    post_module.post_claimed(claimed, provider, (provider,), wait=waits.append)
    return waits


def test_an_outcome_is_recorded_when_the_database_answers_again(
    send: Send, provider: Provider, sandbox: SandboxServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    fail_to_record(monkeypatch, OperationalError("the system is shutting down"), times=3)
    assert post_waiting(provider, monkeypatch) == [post_module.RECORD_DELAY] * 3
    assert Batch.objects.filter(state=BatchState.ACCEPTED).count() == 1
    assert mails(sandbox) == (3, 3)


def test_mails_by_smtp_whose_results_are_recorded_late_are_not_held(
    issue: Issue, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No mail server knows idempotency keys: their outcome would stay unknown."""
    people.make_subscriptions(4, issue.newsletter)
    start_sending(issue)
    expand_audiences()
    fail_to_record(monkeypatch, OperationalError("the connection is closed"), times=1)
    with running_mail_server(pipelining=True) as server:
        provider = connect_to(server, monkeypatch)
        post_waiting(provider, monkeypatch)
        assert len(server.recipients()) == 4
    Batch.objects.filter(state=BatchState.CLAIMED).update(lease_until=timezone.now())
    recover_abandoned((provider,))
    assert batch_states() == [BatchState.ACCEPTED]


def test_an_outcome_that_cannot_be_recorded_delays_the_worker_for_one_lease(
    send: Send, provider: Provider, monkeypatch: pytest.MonkeyPatch
) -> None:
    attempts = fail_to_record(monkeypatch, OperationalError("the system is shutting down"), times=1_000)
    with pytest.raises(OperationalError):
        post_waiting(provider, monkeypatch)
    assert len(attempts) == LEASE.total_seconds() / post_module.RECORD_DELAY + 1
    assert batch_states().count(BatchState.CLAIMED) == 1, "the same bytes are posted again"


def test_that_nothing_was_posted_is_recorded_when_the_database_answers_again(
    send: Send, provider: Provider, monkeypatch: pytest.MonkeyPatch
) -> None:
    error = OperationalError("the system is shutting down")

    def fail(*_: object, **options: object) -> None:
        raise error

    monkeypatch.setattr(post_module, "acquire_permit", fail)
    fail_to_record(monkeypatch, error, times=2)
    with pytest.raises(OperationalError):
        post_waiting(provider, monkeypatch)
    assert Batch.objects.get(reason=Reason.DATABASE_FAILED).state == BatchState.READY


def test_a_record_that_the_database_refuses_is_not_repeated(
    send: Send, provider: Provider, monkeypatch: pytest.MonkeyPatch
) -> None:
    attempts = fail_to_record(monkeypatch, IntegrityError("CHECK constraint failed"), times=9)
    with pytest.raises(IntegrityError):
        post_waiting(provider, monkeypatch)
    assert len(attempts) == 1


@pytest.mark.django_db(transaction=True)
@pytest.mark.postgresql
def test_an_outcome_is_recorded_on_a_new_connection(
    send: Send, provider: Provider, monkeypatch: pytest.MonkeyPatch
) -> None:
    def post_and_disconnect(provider: Provider, claimed: ClaimedBatch) -> Outcome:
        answer = post_with_progress(provider, claimed)
        with connection.cursor() as cursor, contextlib.suppress(OperationalError):
            cursor.execute("SELECT pg_terminate_backend(pg_backend_pid())")
        return answer

    monkeypatch.setattr(post_module, "post_with_progress", post_and_disconnect)
    assert post_waiting(provider, monkeypatch) == [post_module.RECORD_DELAY]
    assert Batch.objects.filter(state=BatchState.ACCEPTED).count() == 1


def test_an_outcome_that_a_newer_attempt_replaces_is_logged(
    send: Send, provider: Provider, caplog: pytest.LogCaptureFixture
) -> None:
    claimed = claim_batch(provider)
    assert claimed is not None
    Batch.objects.filter(pk=claimed.pk).update(attempts=2)
    record_outcome(claimed, Outcome(kind=OutcomeKind.UNKNOWN, code="timeout"))
    (record,) = [record for record in caplog.records if record.levelname == "WARNING"]
    assert record.getMessage().startswith("Outcome not recorded")
    assert record.__dict__["batch"] == claimed.pk


def test_a_cancellation_counts_those_whom_a_worker_reached_after_the_page_was_loaded(issue: Issue) -> None:
    people.make_subscriptions(7, issue.newsletter)
    loaded = start_sending(issue)
    expand_audience(batch_size=3, chunk=3)
    cancel_send(loaded, by="Edda")
    loaded.refresh_from_db()
    assert loaded.excluded == {"cancelled_before_their_turn": 4}


def test_a_send_that_finishes_counts_as_work(send: Send, provider: Provider) -> None:
    assert not finish_sends()
    post_everything(provider)
    assert finish_sends()
    assert not finish_sends()
