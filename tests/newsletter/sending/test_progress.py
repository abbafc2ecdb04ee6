"""The progress of a post by SMTP: what is known after a crash, and who may go on."""

from __future__ import annotations

import datetime
import threading
from collections import Counter
from collections.abc import Iterator

import pytest
from django.db import DatabaseError, connection
from django.utils import timezone

from newsletter.config.failpoints import Action, Crash, Failpoint, Point, arm
from newsletter.models import Batch, BatchState, Delivery, DeliveryState, Issue, Reason, Send
from newsletter.providers.base import BlockScope, MessageResult, Provider, ResultKind
from newsletter.providers.smtp import provider as provider_module
from newsletter.sending import recover as recover_module
from newsletter.sending.batch import claim_batch, release_stale_claims
from newsletter.sending.control import cancel_send, drop_cancelled
from newsletter.sending.outcome import record_outcome
from newsletter.sending.post import post_batch
from newsletter.sending.progress import (
    GROUP_SIZE,
    RECORD,
    ProgressRecorder,
    post_with_progress,
    results_as_json,
    results_of,
)
from newsletter.sending.reconcile import hold_expired
from newsletter.sending.recover import recover_abandoned
from tests import people
from tests.mail_server import DROP, MailFault, MailServer, connect_to, running_mail_server
from tests.publications import expand_audiences, post_everything, reset_throttles, start_sending

RECIPIENTS = 25
ADDRESSES = sorted(f"reader-{number}@example.org" for number in range(1, RECIPIENTS + 1))


@pytest.fixture
def mail_server() -> Iterator[MailServer]:
    with running_mail_server(pipelining=True) as server:
        yield server
        assert server.violations == []


@pytest.fixture
def provider(mail_server: MailServer, monkeypatch: pytest.MonkeyPatch) -> Provider:
    return connect_to(mail_server, monkeypatch)


@pytest.fixture
def at_resend(mail_server: MailServer, provider: Provider, monkeypatch: pytest.MonkeyPatch) -> Provider:
    """A provider that takes the test's mail server for Resend's."""
    mail_server.keys = {}
    monkeypatch.setattr(provider_module, "HOSTS_WITH_KEYS", {"127.0.0.1"})
    monkeypatch.setattr(provider_module, "RESEND_BATCH_SIZE", 100)
    monkeypatch.setattr(provider_module, "RESEND_MAILS_PER_SECOND", 10_000.0)
    return provider


@pytest.fixture
def send(issue: Issue, long_waits: None) -> Send:
    """A send to 25 recipients, in one batch."""
    people.make_subscriptions(RECIPIENTS, issue.newsletter)
    send = start_sending(issue)
    expand_audiences(batch_size=100)
    return send


@pytest.fixture(autouse=True)
def disarm() -> Iterator[None]:
    yield
    arm(None)


def crash(provider: Provider, point: Point, hit: int) -> None:
    """The worker dies at this point, and its lease is ended as at the next start."""
    arm(Failpoint(point=point, hit=hit, action=Action.RAISE))
    with pytest.raises(Crash):
        post_batch((provider,))
    arm(None)
    release_stale_claims(include_own=True)


def delivery_states() -> Counter[str]:
    return Counter(Delivery.objects.values_list("state", flat=True))


@pytest.mark.parametrize(
    ("point", "hit", "accepted", "unknown"),
    [
        (Point.CLAIM_COMMITTED, 1, 0, 0),
        (Point.PROGRESS_COMMITTED, 1, 0, 10),
        (Point.MAIL_BEGUN, 15, 10, 10),
        (Point.MAIL_SENT, 15, 10, 10),
        (Point.MAIL_ANSWERED, 20, 10, 10),
        (Point.PROGRESS_UNCOMMITTED, 3, 10, 10),
        (Point.PROGRESS_COMMITTED, 3, 20, 5),
        (Point.MAIL_SENT, 25, 20, 5),
        (Point.OUTCOME_UNCOMMITTED, 1, 20, 5),
    ],
    ids=lambda value: getattr(value, "value", value),
)
def test_after_a_crash_recorded_mails_are_accepted_a_group_is_held_and_the_others_are_sent(
    send: Send, provider: Provider, mail_server: MailServer, point: Point, hit: int, accepted: int, unknown: int
) -> None:
    crash(provider, point, hit)
    assert not hold_expired((provider,)), "nothing but the recovery decides about it"
    recover_abandoned((provider,))
    pending = RECIPIENTS - accepted - unknown
    expected = {DeliveryState.ACCEPTED: accepted, DeliveryState.UNKNOWN: unknown, DeliveryState.PENDING: pending}
    assert delivery_states() == Counter(expected)
    held = Batch.objects.filter(state=BatchState.HELD)
    assert {batch.reason for batch in held} == ({Reason.NOT_REPEATABLE} if unknown else set())
    Batch.objects.update(not_before=timezone.now())
    post_everything(provider)
    assert delivery_states() == Counter({DeliveryState.ACCEPTED: RECIPIENTS - unknown, DeliveryState.UNKNOWN: unknown})
    reached = Counter(mail_server.recipients())
    assert max(reached.values()) == 1
    assert len(reached) >= RECIPIENTS - unknown


def test_a_crash_with_idempotency_keys_leaves_nothing_unknown(
    send: Send, at_resend: Provider, mail_server: MailServer
) -> None:
    crash(at_resend, Point.MAIL_SENT, 15)
    recover_abandoned((at_resend,))
    assert delivery_states()[DeliveryState.UNKNOWN] == GROUP_SIZE
    assert Batch.objects.filter(state=BatchState.UNKNOWN, recipients=1).count() == GROUP_SIZE
    Batch.objects.update(not_before=timezone.now())
    post_everything(at_resend)
    assert delivery_states() == Counter({DeliveryState.ACCEPTED: RECIPIENTS})
    assert mail_server.recipients() == ADDRESSES


@pytest.mark.parametrize(
    ("fault", "state"),
    [
        (MailFault("rcpt", "450 4.7.0 too many requests"), BatchState.UNKNOWN),
        (MailFault("accepted", DROP), BatchState.UNKNOWN),
        (MailFault("mail", DROP), BatchState.UNKNOWN),
        (MailFault("end", "550 5.7.1 not wanted"), BatchState.HELD),
    ],
    ids=lambda value: getattr(value, "reply", value),
)
def test_a_repeat_that_is_not_accepted_proves_nothing_about_the_first_attempt(
    send: Send, at_resend: Provider, mail_server: MailServer, fault: MailFault, state: str
) -> None:
    mail_server.plan(MailFault("accepted", DROP, after=RECIPIENTS - 1))
    post_everything(at_resend)
    unknown = Batch.objects.get(state=BatchState.UNKNOWN)
    assert (unknown.recipients, unknown.reason) == (1, "no_reply_to_message")
    mail_server.plan(fault)
    Batch.objects.update(not_before=timezone.now())
    reset_throttles()
    assert post_batch((at_resend,))
    unknown.refresh_from_db()
    assert unknown.state == state
    if state == BatchState.UNKNOWN:
        Batch.objects.update(not_before=timezone.now())
        post_everything(at_resend)
        assert delivery_states() == Counter({DeliveryState.ACCEPTED: RECIPIENTS})
    assert mail_server.recipients() == ADDRESSES


def test_a_worker_whose_batch_was_recovered_begins_no_further_group(
    send: Send, provider: Provider, mail_server: MailServer
) -> None:
    claimed = claim_batch(provider)
    assert claimed is not None
    slow = ProgressRecorder(claimed)
    assert slow.reason_against(0, []) == ""
    Batch.objects.update(lease_until=timezone.now())
    assert recover_abandoned((provider,))
    assert slow.reason_against(9, []) == "", "this one counts as unknown already"
    assert slow.reason_against(10, []) == Reason.LEASE_LOST


def test_a_slow_worker_leaves_a_batch_alone_that_another_has_claimed(
    send: Send, provider: Provider, mail_server: MailServer
) -> None:
    slow = claim_batch(provider)
    assert slow is not None
    Batch.objects.update(lease_until=timezone.now())
    assert recover_abandoned((provider,))
    Batch.objects.update(not_before=timezone.now())
    other = claim_batch(provider)
    assert other is not None
    assert (other.pk, other.attempt) == (slow.pk, slow.attempt + 1)
    assert ProgressRecorder(slow).reason_against(0, []) == Reason.LEASE_LOST
    record_outcome(slow, post_with_progress(provider, slow))
    assert Batch.objects.get().state == BatchState.CLAIMED
    record_outcome(other, post_with_progress(provider, other))
    assert Batch.objects.get().state == BatchState.ACCEPTED
    assert mail_server.recipients() == ADDRESSES


@pytest.mark.parametrize("retries_first", [False, True])
def test_a_batch_whose_progress_is_recorded_is_not_claimed_again(
    send: Send, at_resend: Provider, retries_first: bool
) -> None:
    crash(at_resend, Point.MAIL_SENT, 15)
    assert claim_batch(at_resend, retries_first=retries_first) is None
    batch = Batch.objects.get()
    assert (batch.state, batch.begun) == (BatchState.CLAIMED, 20)


def test_a_worker_that_renewed_its_lease_meanwhile_keeps_its_batch(send: Send, provider: Provider) -> None:
    assert claim_batch(provider) is not None
    # Its lease was over when the batch was found.
    assert not recover_module._recover(Batch.objects.get().pk, (provider,))
    assert Batch.objects.get().state == BatchState.CLAIMED


@pytest.mark.django_db(transaction=True)
@pytest.mark.postgresql
def test_a_worker_begins_no_mail_while_its_batch_is_being_recovered(
    send: Send, provider: Provider, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The worker has read the time before its lease was over, and its record arrives during the recovery."""
    slow = claim_batch(provider)
    assert slow is not None
    Batch.objects.update(lease_until=timezone.now())
    before = timezone.now() - datetime.timedelta(minutes=1)
    recorded: list[int] = []

    def record() -> None:
        lease = before + datetime.timedelta(minutes=2)
        recorded.append(RECORD.execute(GROUP_SIZE, "[]", lease, slow.pk, slow.attempt, before))
        connection.close()

    worker = threading.Thread(target=record)
    results = recover_module._results

    def results_meanwhile(*args: object) -> object:
        found = results(*args)  # type: ignore[arg-type]
        worker.start()
        worker.join(0.5)
        return found

    monkeypatch.setattr(recover_module, "_results", results_meanwhile)
    assert recover_abandoned((provider,))
    worker.join()
    assert recorded == [0]
    assert delivery_states() == Counter({DeliveryState.PENDING: RECIPIENTS})


def test_a_worker_that_slept_past_its_lease_begins_nothing(send: Send, provider: Provider) -> None:
    claimed = claim_batch(provider)
    assert claimed is not None
    Batch.objects.update(lease_until=timezone.now())
    assert ProgressRecorder(claimed).reason_against(0, []) == Reason.LEASE_LOST
    assert recover_abandoned((provider,))
    assert delivery_states() == Counter({DeliveryState.PENDING: RECIPIENTS})


def test_each_beginning_renews_the_lease_so_that_no_other_worker_takes_over(send: Send, provider: Provider) -> None:
    claimed = claim_batch(provider)
    assert claimed is not None
    before = Batch.objects.get().lease_until
    ProgressRecorder(claimed).reason_against(0, [])
    after = Batch.objects.get().lease_until
    assert before is not None
    assert after is not None
    assert after > before
    assert not recover_abandoned((provider,))


def test_with_a_slow_server_results_are_recorded_each_second(send: Send, provider: Provider) -> None:
    claimed = claim_batch(provider)
    assert claimed is not None
    seconds = [0.0]
    recorder = ProgressRecorder(claimed, clock=lambda: seconds[0])
    results: list[MessageResult] = []
    for index in range(3):
        assert recorder.reason_against(index, results) == ""
        results.append(MessageResult(kind=ResultKind.ACCEPTED, id=f"{index}.7.tests"))
        seconds[0] += 0.6
    batch = Batch.objects.get()
    assert (results_of(batch), batch.begun) == (tuple(results[:2]), GROUP_SIZE)


def test_a_database_that_fails_between_two_groups_ends_the_post_and_loses_no_result(
    send: Send, provider: Provider, mail_server: MailServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    record, records = ProgressRecorder._record, []

    def fail_at_the_second(self: ProgressRecorder, begun: int, results: list[MessageResult]) -> bool:
        records.append(begun)
        if len(records) == 2:
            raise DatabaseError("disk I/O error")
        return record(self, begun, results)

    monkeypatch.setattr(ProgressRecorder, "_record", fail_at_the_second)
    reset_throttles()
    assert post_batch((provider,))
    assert delivery_states() == Counter({DeliveryState.ACCEPTED: 10, DeliveryState.PENDING: 15})
    assert Batch.objects.get(state=BatchState.READY).reason == Reason.DATABASE_FAILED
    post_everything(provider)
    assert mail_server.recipients() == ADDRESSES


def test_what_was_not_attempted_of_a_cancelled_send_is_dropped(
    send: Send, provider: Provider, mail_server: MailServer
) -> None:
    crash(provider, Point.MAIL_SENT, 15)
    cancel_send(send, by="Edda")
    recover_abandoned((provider,))
    drop_cancelled()
    expected = {DeliveryState.ACCEPTED: 10, DeliveryState.UNKNOWN: 10, DeliveryState.SKIPPED: 5}
    assert delivery_states() == Counter(expected)


def test_a_batch_of_a_provider_that_is_no_longer_in_the_route_is_recovered_too(
    send: Send, provider: Provider, mail_server: MailServer
) -> None:
    crash(provider, Point.MAIL_SENT, 15)
    recover_abandoned(())
    assert Batch.objects.get(state=BatchState.HELD).reason == Reason.NOT_REPEATABLE
    assert delivery_states()[DeliveryState.UNKNOWN] == GROUP_SIZE


def test_results_are_read_as_they_were_recorded() -> None:
    results = (
        MessageResult(kind=ResultKind.ACCEPTED, id="1.7.tests"),
        MessageResult(kind=ResultKind.REFUSED, code="mailbox_unavailable", detail="550 no such user"),
        MessageResult(kind=ResultKind.BLOCKED, code="authentication_failed", scope=BlockScope.ACCOUNT),
    )
    assert results_of(Batch(results=results_as_json(results))) == results


def test_a_record_is_one_statement(
    send: Send, provider: Provider, django_assert_num_queries: pytest.FixtureRequest
) -> None:
    claimed = claim_batch(provider)
    assert claimed is not None
    recorder = ProgressRecorder(claimed)
    with django_assert_num_queries(3):  # type: ignore[operator]
        for index in range(RECIPIENTS):
            recorder.reason_against(index, [])
    assert connection.vendor in ("sqlite", "postgresql")
    assert post_with_progress(provider, claimed).results == ()
