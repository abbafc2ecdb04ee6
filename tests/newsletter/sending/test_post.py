"""Posting: each outcome leads to one place, and the sandbox's ledger is the judge of what went out."""

from __future__ import annotations

import pytest
from django.utils import timezone

from newsletter.models import Batch, BatchState, Delivery, DeliveryStatus, Issue, IssueStatus
from newsletter.providers.base import Outcome, OutcomeKind, Provider
from newsletter.receipts.statistics import report_of
from newsletter.sandbox import Fault, SandboxServer
from newsletter.sending.batch import claim_batch
from newsletter.sending.control import cancel_issue, finish_issues, resume_issue
from newsletter.sending.post import record_outcome
from newsletter.sending.reconcile import NotInDoubt, count_as_sent, send_again, settle_proven
from newsletter.sending.throttle import Throttle
from tests import people
from tests.publications import address_everybody, post_everything, start_sending


@pytest.fixture
def under_way(issue: Issue) -> Issue:
    """An issue for seven readers, in batches of three."""
    people.many_readers(7, issue.newsletter)
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
    people.many_readers(6, issue.newsletter)
    people.make_reader("someone@example.com", issue.newsletter)  # Resend refuses this domain
    start_sending(issue)
    address_everybody()
    post_everything(provider)
    assert mails(sandbox) == (6, 6)
    refused = Delivery.objects.get(status=DeliveryStatus.FAILED)
    assert refused.subscriber.address == "someone@example.com"
    assert "422" in refused.reason
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
    assert name in under_way.hold_reason
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
    assert "invalid_idempotent_request" in Batch.objects.get(state=BatchState.HELD).reason


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


def test_a_worker_that_wakes_up_late_cannot_write_over_a_newer_attempt(under_way: Issue, provider: Provider) -> None:
    late = claim_batch(provider)
    assert late is not None
    Batch.objects.update(lease_until=timezone.now())
    post_everything(provider)
    record_outcome(late, Outcome(kind=OutcomeKind.LATER, reason="Late."))
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


def test_a_rate_limit_closes_the_throttle_for_as_long_as_was_asked() -> None:
    now = [100.0]
    throttle = Throttle(clock=lambda: now[0])
    assert throttle.is_open()
    throttle.note(Outcome(kind=OutcomeKind.LATER, retry_after=7.0))
    assert (throttle.is_open(), throttle.delay()) == (False, 7.0)
    now[0] += 7.0
    assert throttle.is_open()


def test_the_pace_stays_a_fifth_below_the_limit_that_the_provider_names() -> None:
    throttle = Throttle(clock=lambda: 0.0)
    throttle.note(Outcome(kind=OutcomeKind.ACCEPTED, rate_limit=10.0))
    assert throttle.delay() == pytest.approx(0.125)
