"""Retrying failed deliveries: only what certainly failed is sent again, and only when an operator asks for it."""

from __future__ import annotations

import datetime
import json
import time
import uuid
from typing import Any

import pytest
from django.utils import timezone
from pytest_django import DjangoAssertNumQueries

from newsletter.events.apply import apply_events
from newsletter.events.inbox import store_event
from newsletter.models import (
    Batch,
    BatchState,
    Delivery,
    DeliveryState,
    InvalidTransition,
    Issue,
    Reason,
    Send,
    SendState,
)
from newsletter.providers.base import Outcome, OutcomeKind, Provider, SignedEvent
from newsletter.providers.throttle import MAX_BACKOFF
from newsletter.sandbox import Fault, SandboxServer
from newsletter.sending import control
from newsletter.sending.batch import claim_batch
from newsletter.sending.control import cancel_send, finish_sends, pause_send
from newsletter.sending.message import RecipientValues
from newsletter.sending.outcome import record_outcome
from newsletter.sending.recipients import Recipient
from newsletter.sending.reconcile import settle_proven
from newsletter.sending.retry import count_failed, retry_failed
from newsletter.sending.schedule import schedule_issue
from subscribers.models import Subscription, SubscriptionState
from tests import people
from tests.publications import expand_audiences, pass_time, post_everything, start_sending


@pytest.fixture
def send(issue: Issue, long_waits: None) -> Send:
    """A send to four recipients in four batches: two were refused, one accepted, and one has an unknown outcome."""
    people.make_subscriptions(4, issue.newsletter)
    send = start_sending(issue)
    expand_audiences(batch_size=1)
    batch_states = [BatchState.REFUSED, BatchState.REFUSED, BatchState.ACCEPTED, BatchState.HELD]
    states = [DeliveryState.FAILED, DeliveryState.FAILED, DeliveryState.ACCEPTED, DeliveryState.UNKNOWN]
    for batch, batch_state, state in zip(Batch.objects.order_by("pk"), batch_states, states, strict=True):
        batch.state, batch.attempts, batch.recipients = batch_state, 1, 1
        batch.payload = b"frozen" if batch_state == BatchState.HELD else None
        batch.save()
        Delivery.objects.filter(pk=batch.first_delivery).update(state=state, reason="validation_error")
    return send


def state_of(send: Send) -> str:
    send.refresh_from_db()
    return send.state


def test_only_failed_deliveries_are_sent_again_under_keys_of_their_own(
    send: Send, sandbox: SandboxServer, provider: Provider
) -> None:
    before = set(Batch.objects.values_list("key", flat=True))
    assert count_failed(send) == 2
    retry_failed(send, by="Edda", text="The domain is verified now.")
    assert post_everything(provider) == 2
    received = [len(sandbox.ledger.mails_to(f"reader-{number}@example.org", time.time())) for number in range(1, 5)]
    assert received == [1, 1, 0, 0]
    keys = set(Batch.objects.values_list("key", flat=True))
    assert len(keys) == len(before) + 2
    states = list(Delivery.objects.order_by("pk").values_list("state", flat=True))
    assert states == ["accepted", "accepted", "accepted", "unknown"]


def test_a_retry_is_in_the_history_with_the_count_and_the_operators_text(send: Send) -> None:
    retry_failed(send, by="Edda", text="The domain is verified now.")
    transition = send.transitions.last()
    assert transition is not None
    assert (transition.by, transition.reason) == ("Edda", Reason.RETRIED)
    assert transition.values == {"count": 2, "text": "The domain is verified now."}
    assert transition.sentence == "Failed deliveries are retried: 2. The domain is verified now."


def test_a_send_that_was_sent_is_sending_until_the_retry_is_done(send: Send, provider: Provider) -> None:
    Batch.objects.filter(state=BatchState.HELD).update(state=BatchState.ACCEPTED, payload=None)
    finish_sends()
    assert state_of(send) == SendState.SENT
    retry_failed(send, by="Edda")
    assert (send.state, send.finished_at) == (SendState.SENDING, None)
    post_everything(provider)
    finish_sends()
    assert state_of(send) == SendState.SENT


def test_a_recipient_who_unsubscribed_meanwhile_is_skipped(send: Send, provider: Provider) -> None:
    Subscription.objects.filter(subscriber__address="reader-1@example.org").update(
        state=SubscriptionState.UNSUBSCRIBED, ended_at=timezone.now()
    )
    retry_failed(send, by="Edda")
    assert post_everything(provider) == 1
    skipped = Delivery.objects.order_by("pk")[0]
    assert (skipped.state, skipped.reason) == (DeliveryState.SKIPPED, Reason.UNSUBSCRIBED)


def test_a_second_retry_finds_no_failed_delivery(send: Send) -> None:
    retry_failed(send, by="Edda")
    with pytest.raises(InvalidTransition, match="No failed delivery is left"):
        retry_failed(send, by="Edda")


def test_deliveries_that_fail_again_can_be_retried_again(send: Send) -> None:
    for _ in range(3):
        retry_failed(send, by="Edda")
        Batch.objects.filter(state=BatchState.READY).update(state=BatchState.REFUSED, recipients=1)
        Delivery.objects.filter(state=DeliveryState.PENDING).update(state=DeliveryState.FAILED)
    assert Batch.objects.count() == 4 + 3 * 2


def test_a_retry_leaves_a_paused_send_paused(send: Send, provider: Provider) -> None:
    pause_send(send, by="Edda", text="Something is wrong.")
    retry_failed(send, by="Edda")
    assert send.state == SendState.PAUSED
    assert post_everything(provider) == 0


def test_a_scheduled_send_has_nothing_to_retry(issue: Issue) -> None:
    people.ada(issue.newsletter)
    wall = (timezone.now() + datetime.timedelta(days=1)).replace(tzinfo=None)
    scheduled = schedule_issue(issue, wall=wall, zone="UTC", by="Edda")
    with pytest.raises(InvalidTransition, match="cannot retry deliveries"):
        retry_failed(scheduled, by="Edda")


def test_a_cancelled_send_cannot_be_retried(send: Send) -> None:
    cancel_send(send, by="Edda")
    with pytest.raises(InvalidTransition, match="cannot retry deliveries"):
        retry_failed(send, by="Edda")


def test_a_retry_of_fifty_deliveries_takes_as_many_queries_as_one_of_five(
    issue: Issue, django_assert_max_num_queries: DjangoAssertNumQueries
) -> None:
    people.make_subscriptions(50, issue.newsletter)
    send = start_sending(issue)
    expand_audiences(batch_size=1)
    Batch.objects.update(state=BatchState.REFUSED, attempts=1, recipients=1)
    Delivery.objects.update(state=DeliveryState.FAILED)
    with django_assert_max_num_queries(17):
        retry_failed(send, by="Edda")
    assert Delivery.objects.filter(state=DeliveryState.PENDING).count() == 50


# --- Mails that could not be built


@pytest.fixture
def unbuildable(monkeypatch: pytest.MonkeyPatch) -> set[int]:
    """Deliveries whose messages cannot be built."""
    found, values_of = set[int](), RecipientValues.of

    def fail_for_some(self: RecipientValues, recipient: Recipient) -> Any:
        if recipient.delivery_pk in found:
            raise ValueError("odd")
        return values_of(self, recipient)

    monkeypatch.setattr(RecipientValues, "of", fail_for_some)
    return found


def test_a_recipient_whose_batch_was_dropped_because_it_could_not_be_built_is_retried(
    issue: Issue, sandbox: SandboxServer, provider: Provider, unbuildable: set[int]
) -> None:
    people.make_subscriptions(3, issue.newsletter)
    send = start_sending(issue)
    expand_audiences(batch_size=2)
    unbuildable.add(Delivery.objects.order_by("pk")[2].pk)
    post_everything(provider)
    finish_sends()
    assert (state_of(send), count_failed(send)) == (SendState.SENT, 1)
    assert Batch.objects.get(state=BatchState.DROPPED).reason == Reason.CANNOT_BE_BUILT
    unbuildable.clear()
    retry_failed(send, by="Edda", text="The template is repaired.")
    assert post_everything(provider) == 1
    assert (count_failed(send), mails_by_recipient(sandbox)) == (0, [1, 1, 1])


def test_a_recipient_whose_mail_could_not_be_built_is_retried_though_the_others_of_the_batch_left(
    issue: Issue, sandbox: SandboxServer, provider: Provider, unbuildable: set[int], long_waits: None
) -> None:
    people.make_subscriptions(2, issue.newsletter)
    send = start_sending(issue)
    expand_audiences(batch_size=2)
    unbuildable.add(Delivery.objects.order_by("pk")[0].pk)
    sandbox.plan(Fault("rate_limit_exceeded"))
    post_everything(provider)
    Subscription.objects.filter(subscriber__address="reader-2@example.org").update(state=SubscriptionState.UNSUBSCRIBED)
    pass_time(MAX_BACKOFF)
    post_everything(provider)
    assert Batch.objects.get().reason == Reason.NO_RECIPIENT_LEFT
    unbuildable.clear()
    retry_failed(send, by="Edda")
    assert post_everything(provider) == 1
    assert mails_by_recipient(sandbox)[:2] == [1, 0]


# --- Mails that were accepted and failed afterwards


@pytest.fixture
def failed_later(issue: Issue, provider: Provider, long_waits: None) -> Delivery:
    """Of three accepted mails the second one failed afterwards, because the quota was used up."""
    people.make_subscriptions(3, issue.newsletter)
    start_sending(issue)
    expand_audiences()
    post_everything(provider)
    delivery = Delivery.objects.order_by("pk")[1]
    receive("email.failed", delivery, provider, failed={"reason": "reached_daily_quota"})
    delivery.refresh_from_db()
    assert (delivery.state, delivery.failed_at is not None) == (DeliveryState.ACCEPTED, True)
    return delivery


def receive(kind: str, delivery: Delivery, provider: Provider, **data: object) -> None:
    """Store and apply an event about the mail of this instance, which may be older than the row."""
    body = {
        "type": kind,
        "created_at": timezone.now().isoformat(),
        "data": {
            "email_id": delivery.provider_id,
            "to": [delivery.subscriber.address],
            "tags": {"delivery": str(delivery.pk), "env": "tests"},
            **data,
        },
    }
    signed = SignedEvent(event_id=f"msg_{uuid.uuid4().hex}", body=json.dumps(body))
    store_event(provider.name, signed)
    apply_events(provider)


def mails_by_recipient(sandbox: SandboxServer) -> list[int]:
    return [len(sandbox.ledger.mails_to(f"reader-{number}@example.org", time.time())) for number in (1, 2, 3)]


def test_a_mail_that_failed_after_it_was_accepted_is_retried_alone(
    failed_later: Delivery, sandbox: SandboxServer, provider: Provider
) -> None:
    assert count_failed(failed_later.send) == 1
    retry_failed(failed_later.send, by="Edda", text="The plan is larger now.")
    assert post_everything(provider) == 1
    assert mails_by_recipient(sandbox) == [1, 2, 1]
    again = Delivery.objects.get(pk=failed_later.pk)
    assert (again.state, again.failed_at) == (DeliveryState.ACCEPTED, None)
    assert again.provider_id not in ("", failed_later.provider_id)
    assert count_failed(failed_later.send) == 0
    receive("email.delivered", again, provider)
    again.refresh_from_db()
    assert again.delivered_at is not None


def test_late_events_of_the_failed_mail_say_nothing_about_the_mail_in_its_place(
    failed_later: Delivery, sandbox: SandboxServer, provider: Provider
) -> None:
    retry_failed(failed_later.send, by="Edda")
    sandbox.plan(Fault("reset"))
    post_everything(provider)
    unknown = Batch.objects.get(state=BatchState.UNKNOWN)
    receive("email.sent", failed_later, provider)
    receive("email.failed", failed_later, provider)
    settle_proven()
    unknown.refresh_from_db()
    assert unknown.state == BatchState.UNKNOWN, "no event says that the second mail was sent"
    pass_time(MAX_BACKOFF)
    post_everything(provider)
    receive("email.delivery_delayed", failed_later, provider)
    again = Delivery.objects.get(pk=failed_later.pk)
    assert (again.sent_at, again.delayed_at, again.failed_at) == (None, None, None)
    assert mails_by_recipient(sandbox) == [1, 2, 1]


def test_a_complaint_about_the_failed_mail_still_suppresses(failed_later: Delivery, provider: Provider) -> None:
    retry_failed(failed_later.send, by="Edda")
    receive("email.complained", failed_later, provider)
    assert post_everything(provider) == 0
    assert Subscription.objects.get(subscriber=failed_later.subscriber).state == SubscriptionState.SUPPRESSED


@pytest.mark.parametrize("kind", ["email.delivered", "email.opened", "email.clicked"])
def test_a_recipient_whose_failed_mail_was_delivered_after_all_gets_no_other(
    failed_later: Delivery, sandbox: SandboxServer, provider: Provider, kind: str
) -> None:
    """Who opened it has it, even if the event that says “delivered” is lost."""
    retry_failed(failed_later.send, by="Edda")
    receive(kind, failed_later, provider)
    assert post_everything(provider) == 0
    assert mails_by_recipient(sandbox) == [1, 1, 1]
    skipped = Delivery.objects.get(pk=failed_later.pk)
    assert (skipped.state, skipped.reason) == (DeliveryState.SKIPPED, Reason.DELIVERED_AFTER_ALL)


def test_a_mail_that_arrives_while_another_is_being_sent_is_remembered_if_that_is_not_sent(
    failed_later: Delivery, sandbox: SandboxServer, provider: Provider
) -> None:
    retry_failed(failed_later.send, by="Edda")
    claimed = claim_batch(provider)
    assert claimed is not None
    receive("email.delivered", failed_later, provider)
    record_outcome(claimed, Outcome(kind=OutcomeKind.RETRY_LATER, code="rate_limit_exceeded"))
    pass_time(MAX_BACKOFF)
    assert post_everything(provider) == 0
    assert mails_by_recipient(sandbox) == [1, 1, 1]
    skipped = Delivery.objects.get(pk=failed_later.pk)
    assert (skipped.state, skipped.reason) == (DeliveryState.SKIPPED, Reason.DELIVERED_AFTER_ALL)


def test_a_send_does_not_finish_while_a_retry_adds_batches(
    failed_later: Delivery, provider: Provider, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The list of finished sends was read before the retry was committed."""
    send = failed_later.send
    Send.objects.filter(pk=send.pk).update(state=SendState.SENDING, finished_at=None)
    read = list(control._finished())
    assert read == [send]
    retry_failed(send, by="Edda")
    real = control._finished
    answers = iter([read])
    monkeypatch.setattr(control, "_finished", lambda: next(answers, None) or real())
    finish_sends()
    assert Send.objects.get(pk=send.pk).state == SendState.SENDING


@pytest.mark.parametrize("kind", ["email.delivered", "email.opened", "email.complained"])
def test_no_event_of_the_failed_mail_proves_that_the_mail_in_its_place_was_sent(
    failed_later: Delivery, sandbox: SandboxServer, provider: Provider, kind: str
) -> None:
    retry_failed(failed_later.send, by="Edda")
    sandbox.plan(Fault("reset"))
    post_everything(provider)
    receive(kind, failed_later, provider)
    settle_proven()
    assert Batch.objects.filter(state=BatchState.UNKNOWN).exists(), "its other recipients would get nothing"


@pytest.mark.parametrize("kind", ["email.delivered", "email.opened", "email.clicked", "email.bounced"])
def test_a_mail_that_failed_and_was_delivered_nevertheless_is_not_retried(
    failed_later: Delivery, provider: Provider, kind: str
) -> None:
    receive(kind, failed_later, provider)
    assert count_failed(failed_later.send) == 0
    with pytest.raises(InvalidTransition, match="No failed delivery is left"):
        retry_failed(failed_later.send, by="Edda")
