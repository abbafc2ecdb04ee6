"""Posting: each outcome leads to one place, and the sandbox's ledger is the judge of what went out."""

from __future__ import annotations

import dataclasses
import datetime
import threading
import time
from typing import Any

import pytest
from django.db import connection
from django.db.models import QuerySet
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from newsletter.models import Batch, BatchState, Delivery, DeliveryStatus, Edition, Issue, IssueStatus
from newsletter.providers.base import Outcome, OutcomeKind, Provider
from newsletter.providers.reasons import REASONS
from newsletter.providers.throttle import MAX_BACKOFF, acquire_permit
from newsletter.reports.statistics import report_of
from newsletter.sandbox import Fault, SandboxServer
from newsletter.sending import post as post_module
from newsletter.sending.batch import claim_batch
from newsletter.sending.control import cancel_issue, finish_issues, pause_issue, resume_issue
from newsletter.sending.expand import expand_next
from newsletter.sending.post import post_next, record_outcome
from newsletter.sending.reconcile import (
    CANCELLED_IN_DOUBT,
    NotInDoubt,
    count_as_sent,
    hold_expired,
    send_again,
    settle_proven,
)
from subscribers.models import Subscription, SubscriptionState
from tests import people
from tests.publications import address_everybody, let_time_pass, make_issue, post_everything, start_sending


@pytest.fixture
def under_way(issue: Issue) -> Issue:
    """An issue for seven readers, in batches of three."""
    people.make_subscriptions(7, issue.newsletter)
    start_sending(issue)
    address_everybody(batch_size=3)
    return issue


def make_due() -> None:
    Batch.objects.update(not_before=timezone.now())


def mails(sandbox: SandboxServer) -> tuple[int, int]:
    """Messages and different recipients in the ledger."""
    summary = sandbox.ledger.summary()
    return summary["messages"], summary["recipients"]


def states() -> list[str]:
    return sorted(Batch.objects.values_list("state", flat=True))


def test_everybody_gets_it_once_and_the_issue_is_sent(
    under_way: Issue, provider: Provider, sandbox: SandboxServer
) -> None:
    assert post_everything(provider) == 3
    finish_issues()
    under_way.refresh_from_db()
    assert under_way.status == IssueStatus.SENT
    assert mails(sandbox) == (7, 7)
    assert Delivery.objects.filter(status=DeliveryStatus.ACCEPTED).exclude(provider_id="").count() == 7
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
def test_an_unanswered_post_is_repeated_and_nobody_gets_two(
    under_way: Issue, provider: Provider, sandbox: SandboxServer, fault: Fault
) -> None:
    sandbox.plan(fault)
    post_everything(provider)
    assert states() == [BatchState.ACCEPTED, BatchState.ACCEPTED, BatchState.UNKNOWN]
    assert report_of(under_way).unknown == 3
    make_due()
    post_everything(provider)
    assert states() == [BatchState.ACCEPTED] * 3
    assert mails(sandbox) == (7, 7)


def test_one_impossible_address_is_refused_and_the_others_get_it(
    issue: Issue, provider: Provider, sandbox: SandboxServer
) -> None:
    people.make_subscriptions(6, issue.newsletter)
    people.make_subscription("someone@example.com", issue.newsletter)  # Resend refuses this domain
    start_sending(issue)
    address_everybody()
    post_everything(provider)
    assert mails(sandbox) == (6, 6)
    refused = Delivery.objects.get(status=DeliveryStatus.FAILED)
    assert refused.subscriber.address == "someone@example.com"
    assert "`to` field" in refused.reason
    assert BatchState.REFUSED in states()
    assert report_of(issue).adds_up
    finish_issues()
    issue.refresh_from_db()
    assert issue.status == IssueStatus.SENT


@pytest.mark.parametrize("name", ["invalid_api_key", "daily_quota_exceeded", "restricted_api_key"])
def test_what_only_a_person_can_mend_pauses_the_issue_with_the_reason_and_a_resume_loses_nobody(
    under_way: Issue, provider: Provider, sandbox: SandboxServer, name: str
) -> None:
    sandbox.plan(Fault(name))
    post_everything(provider)
    under_way.refresh_from_db()
    assert under_way.status == IssueStatus.PAUSED
    assert under_way.hold_reason.startswith(REASONS[name])
    assert mails(sandbox) == (0, 0)
    resume_issue(under_way, by="tests")
    make_due()
    post_everything(provider)
    assert mails(sandbox) == (7, 7)


def test_a_refusal_after_an_unanswered_attempt_proves_nothing_about_that_attempt(
    under_way: Issue, provider: Provider, sandbox: SandboxServer
) -> None:
    sandbox.plan(Fault("reset", after_commit=True))
    post_everything(provider)
    doubtful = Batch.objects.get(state=BatchState.UNKNOWN)
    for name in ("rate_limit_exceeded", "invalid_api_key"):
        sandbox.plan(Fault(name))
        make_due()
        post_everything(provider)
        doubtful.refresh_from_db()
        assert (doubtful.state, doubtful.epoch) == (BatchState.UNKNOWN, 1)
    under_way.refresh_from_db()
    resume_issue(under_way, by="tests")
    make_due()
    post_everything(provider)
    assert states() == [BatchState.ACCEPTED] * 3
    assert mails(sandbox) == (7, 7)


def test_a_validation_error_after_an_unanswered_attempt_is_held_for_a_person(
    under_way: Issue, provider: Provider, sandbox: SandboxServer
) -> None:
    sandbox.plan(Fault("reset", after_commit=True), Fault("none", times=2), Fault("validation_error", status=422))
    post_everything(provider)
    make_due()
    post_everything(provider)
    assert states() == [BatchState.ACCEPTED, BatchState.ACCEPTED, BatchState.HELD]
    assert mails(sandbox) == (7, 7)


def test_a_key_that_the_provider_knows_with_other_bytes_is_held_and_named(
    under_way: Issue, provider: Provider, sandbox: SandboxServer
) -> None:
    sandbox.plan(Fault("invalid_idempotent_request"))
    post_everything(provider)
    finish_issues()
    under_way.refresh_from_db()
    assert under_way.status == IssueStatus.SENDING
    report = report_of(under_way)
    assert (report.held_batches, report.unknown, report.accepted) == (1, 3, 4)
    assert "another content" in Batch.objects.get(state=BatchState.HELD).reason


def test_a_receipt_for_one_mail_proves_its_whole_batch(
    under_way: Issue, provider: Provider, sandbox: SandboxServer
) -> None:
    sandbox.plan(Fault("reset", after_commit=True))
    post_everything(provider)
    doubtful = Batch.objects.get(state=BatchState.UNKNOWN)
    Delivery.objects.filter(pk=doubtful.last_delivery).update(delivered_at=timezone.now())
    settle_proven()
    assert states() == [BatchState.ACCEPTED] * 3
    assert report_of(under_way).accepted == 7


def held_batch(under_way: Issue, provider: Provider, sandbox: SandboxServer) -> Batch:
    sandbox.plan(Fault("invalid_idempotent_request"))
    post_everything(provider)
    return Batch.objects.get(state=BatchState.HELD)


def test_a_person_can_count_a_held_batch_as_sent(under_way: Issue, provider: Provider, sandbox: SandboxServer) -> None:
    held = held_batch(under_way, provider, sandbox)
    count_as_sent(held, by="Edda")
    finish_issues()
    under_way.refresh_from_db()
    assert under_way.status == IssueStatus.SENT
    with pytest.raises(NotInDoubt):
        count_as_sent(held, by="Edda")


def test_a_person_can_send_a_held_batch_again_under_a_new_key(
    under_way: Issue, provider: Provider, sandbox: SandboxServer
) -> None:
    held = held_batch(under_way, provider, sandbox)
    send_again(held, by="Edda")
    post_everything(provider)
    assert mails(sandbox) == (7, 7)
    assert Batch.objects.get(pk=held.pk).epoch == 2
    with pytest.raises(NotInDoubt):
        send_again(held, by="Edda")


@pytest.mark.parametrize("name", ["invalid_from_address", "invalid_idempotency_key"])
def test_a_fault_that_all_messages_share_pauses_the_issue_and_refuses_nobody(
    under_way: Issue, provider: Provider, sandbox: SandboxServer, name: str
) -> None:
    sandbox.plan(Fault(name, times=100))
    assert post_everything(provider) == 1
    under_way.refresh_from_db()
    assert (under_way.status, report_of(under_way).waiting) == (IssueStatus.PAUSED, 7)


def test_when_nobody_at_all_is_accepted_it_stops_after_the_second_reader(
    under_way: Issue, provider: Provider, sandbox: SandboxServer
) -> None:
    sandbox.plan(Fault("validation_error", status=422, times=100))
    assert post_everything(provider) < 6
    under_way.refresh_from_db()
    report = report_of(under_way)
    assert (under_way.status, report.refused, report.waiting) == (IssueStatus.PAUSED, 2, 5)
    assert "Nothing is accepted" in under_way.hold_reason
    sandbox.team.faults.clear()
    resume_issue(under_way, by="Edda")
    post_everything(provider)
    assert report_of(under_way).accepted == 5


def test_ten_minutes_of_outage_put_two_batches_in_doubt_and_not_one_after_the_other(
    issue: Issue, provider: Provider, sandbox: SandboxServer
) -> None:
    people.make_subscriptions(60, issue.newsletter)
    start_sending(issue)
    address_everybody(batch_size=2)
    sandbox.plan(Fault("html_502", times=1000))
    for _half_a_second in range(1200):
        let_time_pass(0.5)
        post_next((provider,))
    assert states().count(BatchState.UNKNOWN) <= 2
    assert sandbox.ledger.summary()["calls"] < 20
    sandbox.team.faults.clear()
    let_time_pass(MAX_BACKOFF)
    post_everything(provider)
    assert mails(sandbox) == (60, 60)


def test_a_batch_that_cannot_be_built_keeps_no_other_waiting(
    under_way: Issue, provider: Provider, sandbox: SandboxServer
) -> None:
    edition = Edition.objects.get(sent_as=under_way)
    # As if it had been frozen by an earlier release, and today's rules refuse one of its headers.
    changed = {**edition.envelope, "headers": {**edition.envelope["headers"], "X-Campaign": "1"}}
    QuerySet(Edition).filter(pk=edition.pk).update(envelope=changed)
    other = start_sending(make_issue("issue-2", under_way.newsletter))
    address_everybody(batch_size=3)
    post_everything(provider)
    assert (report_of(other).accepted, report_of(under_way).waiting) == (7, 7)
    assert "cannot be built (InvalidMessage)" in Batch.objects.filter(edition=edition)[0].reason


@pytest.mark.parametrize("crashed", [False, True], ids=["no answer", "crashed worker"])
def test_doubt_in_a_cancelled_issue_is_held_and_named(under_way: Issue, provider: Provider, crashed: bool) -> None:
    claimed = claim_batch(provider)
    assert claimed is not None
    if not crashed:
        record_outcome(claimed, Outcome(kind=OutcomeKind.UNKNOWN, code="no_answer"))
    cancel_issue(under_way, by="Edda")
    Batch.objects.filter(state=BatchState.CLAIMED).update(lease_until=timezone.now())
    hold_expired((provider,))
    held = Batch.objects.get(pk=claimed.pk)
    assert (held.state, held.reason) == (BatchState.HELD, CANCELLED_IN_DOUBT)
    with pytest.raises(NotInDoubt):
        send_again(held, by="Edda")
    count_as_sent(held, by="Edda")


def test_doubt_in_a_paused_issue_is_held_when_the_key_expires(under_way: Issue, provider: Provider) -> None:
    claimed = claim_batch(provider)
    assert claimed is not None
    record_outcome(claimed, Outcome(kind=OutcomeKind.UNKNOWN, code="no_answer"))
    pause_issue(under_way, by="Edda", reason="Lunch.")
    Batch.objects.filter(pk=claimed.pk).update(first_attempt_at=timezone.now() - provider.key_lifetime)
    hold_expired((provider,))
    assert Batch.objects.get(pk=claimed.pk).state == BatchState.HELD


def test_a_proof_that_comes_after_the_decision_to_send_again_stops_it(
    under_way: Issue, provider: Provider, sandbox: SandboxServer
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
    assert states() == [BatchState.ACCEPTED] * 3


def test_who_left_before_it_is_sent_again_is_told_apart_from_who_never_got_it(
    under_way: Issue, provider: Provider, sandbox: SandboxServer
) -> None:
    held = held_batch(under_way, provider, sandbox)
    send_again(held, by="Edda")
    first = Delivery.objects.get(pk=held.first_delivery)
    Subscription.objects.filter(subscriber=first.subscriber_id).update(state=SubscriptionState.UNSUBSCRIBED)
    post_everything(provider)
    first.refresh_from_db()
    assert first.reason == "The reader left the newsletter. An earlier post may have reached them."


def test_an_answer_that_comes_late_settles_a_batch_that_was_held(under_way: Issue, provider: Provider) -> None:
    late = claim_batch(provider)
    assert late is not None
    answer = provider.post_batch(late.body, key=late.key, size=late.size)
    Batch.objects.filter(pk=late.pk).update(
        lease_until=timezone.now(), first_attempt_at=timezone.now() - provider.key_lifetime
    )
    hold_expired((provider,))
    record_outcome(late, answer)
    assert Batch.objects.get(pk=late.pk).state == BatchState.ACCEPTED
    assert report_of(under_way).accepted == 3


def test_a_machine_that_slept_since_the_claim_does_not_post(
    under_way: Issue, provider: Provider, sandbox: SandboxServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("newsletter.sending.batch.LEASE", -datetime.timedelta(seconds=1))
    post_next((provider,))
    assert mails(sandbox) == (0, 0)


def test_recording_an_outcome_does_not_read_the_editions_texts(under_way: Issue, provider: Provider) -> None:
    claim_batch(provider)
    claimed = claim_batch(provider)
    assert claimed is not None
    with CaptureQueriesContext(connection) as queries:
        record_outcome(claimed, Outcome(kind=OutcomeKind.UNKNOWN, code="no_answer"))
    assert not any('"newsletter_edition"."html"' in query["sql"] for query in queries)


def test_a_cancel_is_whole_or_not_at_all(under_way: Issue, monkeypatch: pytest.MonkeyPatch) -> None:
    def crash() -> bool:
        raise RuntimeError("The power is gone.")

    monkeypatch.setattr("newsletter.sending.control.drop_cancelled", crash)
    with pytest.raises(RuntimeError):
        cancel_issue(under_way, by="Edda")
    under_way.refresh_from_db()
    assert (under_way.status, report_of(under_way).waiting) == (IssueStatus.SENDING, 7)


def test_a_cancel_while_addressing_counts_everybody(issue: Issue) -> None:
    people.make_subscriptions(5, issue.newsletter)
    start_sending(issue)
    expand_next(2, chunk=2)
    cancel_issue(issue, by="Edda")
    assert report_of(issue).skipped == 2
    assert issue.excluded == {"cancelled_before_their_turn": 3}


@pytest.mark.django_db(transaction=True)
@pytest.mark.postgresql
def test_six_workers_at_once_claim_each_batch_once(issue: Issue, provider: Provider) -> None:
    people.make_subscriptions(40, issue.newsletter)
    start_sending(issue)
    address_everybody(batch_size=2)
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


def test_a_worker_that_wakes_up_late_cannot_write_over_a_newer_attempt(under_way: Issue, provider: Provider) -> None:
    late = claim_batch(provider)
    assert late is not None
    Batch.objects.update(lease_until=timezone.now())
    post_everything(provider)
    record_outcome(late, Outcome(kind=OutcomeKind.RETRY_LATER, code="rate_limit_exceeded"))
    assert states() == [BatchState.ACCEPTED] * 3


def test_cancel_leaves_out_the_rest_and_names_it(under_way: Issue, provider: Provider, sandbox: SandboxServer) -> None:
    claimed = claim_batch(provider)
    assert claimed is not None
    cancel_issue(under_way, by="tests")
    outcome = provider.post_batch(claimed.body, key=claimed.key, size=claimed.size)
    record_outcome(claimed, outcome)
    assert post_everything(provider) == 0
    report = report_of(under_way)
    assert (report.accepted, report.skipped, report.adds_up) == (3, 4, True)
    assert mails(sandbox) == (3, 3)


@pytest.mark.parametrize("stop", [pause_issue, cancel_issue], ids=["pause", "cancel"])
def test_a_batch_that_waits_for_its_slot_when_the_send_is_stopped_does_not_go_out(
    issue: Issue, sandbox: SandboxServer, provider: Provider, stop: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    people.ada(issue.newsletter)
    start_sending(issue)
    address_everybody()

    def stopped_while_it_waits(provider: Provider) -> Any:
        stop(issue, by="Edda", reason="A wrong link.")
        return acquire_permit(provider)

    monkeypatch.setattr(post_module, "acquire_permit", stopped_while_it_waits)
    post_everything(provider)
    assert not sandbox.ledger.mails_to(people.ADA, time.time())
    assert Delivery.objects.get().status == DeliveryStatus.PENDING


def test_who_leaves_while_a_batch_waits_for_its_slot_is_left_out_and_nobody_else(
    issue: Issue, sandbox: SandboxServer, provider: Provider, monkeypatch: pytest.MonkeyPatch
) -> None:
    ada = people.ada(issue.newsletter)
    people.make_subscription("zoe@example.org", issue.newsletter)
    start_sending(issue)
    address_everybody()

    def left_while_it_waits(provider: Provider) -> Any:
        Subscription.objects.filter(pk=ada.pk).update(state=SubscriptionState.UNSUBSCRIBED, ended_at=timezone.now())
        permit = acquire_permit(provider)
        return permit and dataclasses.replace(permit, waited=2.0)

    monkeypatch.setattr(post_module, "acquire_permit", left_while_it_waits)
    post_everything(provider)
    let_time_pass(2)
    post_everything(provider)
    assert not sandbox.ledger.mails_to(people.ADA, time.time())
    assert len(sandbox.ledger.mails_to("zoe@example.org", time.time())) == 1
    assert report_of(issue).skipped == 1


@pytest.mark.parametrize("others", [0, 9])
def test_a_batch_whose_slot_others_took_has_its_turn_a_second_later(
    issue: Issue, provider: Provider, monkeypatch: pytest.MonkeyPatch, others: int
) -> None:
    people.ada(issue.newsletter)
    start_sending(issue)
    address_everybody()
    Batch.objects.update(attempts=others)
    monkeypatch.setattr(post_module, "acquire_permit", lambda provider: None)
    assert post_next((provider,))
    batch = Batch.objects.get()
    assert batch.state == BatchState.READY
    assert (batch.not_before - timezone.now()).total_seconds() <= 1


def test_a_batch_that_a_worker_slept_over_goes_back_as_not_posted(
    issue: Issue, sandbox: SandboxServer, provider: Provider, monkeypatch: pytest.MonkeyPatch
) -> None:
    people.ada(issue.newsletter)
    start_sending(issue)
    address_everybody()
    claimed = claim_batch(provider)
    assert claimed is not None
    late = dataclasses.replace(claimed, lease_until=timezone.now())
    post_module.post_claimed(late, provider, (provider,))
    assert (Batch.objects.get().state, mails(sandbox)) == (BatchState.READY, (0, 0))
