"""Claiming a batch: recipients are checked again, and the bytes are stored before the first of them is sent."""

from __future__ import annotations

import datetime
import hashlib
import itertools
import re
import threading
from collections.abc import Callable
from typing import Any

import orjson
import pytest
from django.db import IntegrityError, connection, transaction
from django.utils import timezone

from newsletter.models import Batch, BatchState, Delivery, DeliveryState, Issue, Reason, Send
from newsletter.providers.base import Outcome, OutcomeKind, Provider
from newsletter.sending import batch as batch_module
from newsletter.sending import build as build_module
from newsletter.sending.batch import (
    ClaimedBatch,
    claim_batch,
    has_lost_recipients,
    release_stale_claims,
    worker_name,
)
from newsletter.sending.build import SAMPLE_RECIPIENT
from newsletter.sending.control import pause_send
from newsletter.sending.message import RecipientValues
from newsletter.sending.outcome import record_outcome
from newsletter.sending.recipients import Recipient, recipients_of
from newsletter.sending.reconcile import hold, hold_expired, settle
from subscribers.consent.tokens import IN_ISSUES, Purpose, read_link
from subscribers.models import (
    Subscriber,
    Subscription,
    SubscriptionState,
    Suppression,
    SuppressionReason,
    fingerprint,
)
from subscribers.suppression import suppress_addresses
from tests import people
from tests.publications import expand_audiences, start_sending

NO_ANSWER = Outcome(kind=OutcomeKind.UNKNOWN, code="no_answer", retry_after=0.001)
BO, CY = "bo@example.org", "cy@example.org"


@pytest.fixture
def send(issue: Issue) -> Send:
    """A send to three recipients, in one batch."""
    for address in (people.ADA, BO, CY):
        people.make_subscription(address, issue.newsletter)
    send = start_sending(issue)
    expand_audiences()
    return send


def claim(provider: Provider) -> ClaimedBatch:
    claimed = claim_batch(provider)
    assert claimed is not None
    return claimed


def recipients(claimed: ClaimedBatch) -> list[str]:
    return [message["to"][0] for message in orjson.loads(claimed.body)]


def unsubscribe(address: str) -> None:
    Subscription.objects.filter(subscriber__canonical=address).update(state=SubscriptionState.UNSUBSCRIBED)


def make_due() -> None:
    Batch.objects.update(not_before=timezone.now(), lease_until=None)


def delivery_states() -> set[str]:
    return set(Delivery.objects.values_list("state", flat=True))


def test_each_message_has_one_recipient_and_only_their_own_links(send: Send, provider: Provider) -> None:
    messages = orjson.loads(claim(provider).body)
    links = [message["headers"]["List-Unsubscribe"] for message in messages]
    assert [len(message["to"]) for message in messages] == [1, 1, 1]
    assert len(set(links)) == 3
    for message, link in zip(messages, links, strict=True):
        url = link.strip("<>")
        assert url in message["text"]
        assert url in message["html"]
        assert not any(other.strip("<>") in message["html"] for other in links if other != link)
        assert f"zq{send.edition.nonce}" not in orjson.dumps(message).decode()


def test_the_links_to_leave_name_the_send(send: Send, provider: Provider) -> None:
    """In the header and in both parts, so that the report counts who left by them."""
    for message in orjson.loads(claim(provider).body):
        header = message["headers"]["List-Unsubscribe"].strip("<>")
        for purpose, part in itertools.product(IN_ISSUES, ("html", "text")):
            (token,) = set(re.findall(rf"/{purpose}/([\w-]+)", message[part]))
            link = read_link(purpose, token)
            assert link is not None
            assert link.mail_reference == send.pk
        link = read_link(Purpose.UNSUBSCRIBE, header.rpartition("/")[2])
        assert link is not None
        assert link.mail_reference == send.pk


def test_tags_name_the_delivery_and_contain_no_address(send: Send, provider: Provider) -> None:
    message = orjson.loads(claim(provider).body)[0]
    tags = {tag["name"]: tag["value"] for tag in message["tags"]}
    assert tags["delivery"] == str(Delivery.objects.order_by("pk")[0].pk)
    assert tags["env"] == "tests"
    assert not any("@" in value for value in (*tags.values(), *message["headers"].values()))


def test_bytes_key_and_hash_are_stored_before_the_post(send: Send, provider: Provider) -> None:
    claimed = claim(provider)
    batch = Batch.objects.get()
    assert (batch.state, batch.attempts, batch.claimed_by) == (BatchState.CLAIMED, 1, worker_name())
    assert batch.payload_sha256 == hashlib.sha256(claimed.body).hexdigest()
    assert (batch.key, batch.recipients) == (claimed.key, 3)
    assert delivery_states() == {DeliveryState.BATCHED}


def test_a_claimed_batch_is_not_claimed_again(send: Send, provider: Provider) -> None:
    assert claim_batch(provider)
    assert claim_batch(provider) is None


def test_a_batch_that_a_worker_has_is_not_held(send: Send, provider: Provider) -> None:
    claim(provider)
    Batch.objects.update(first_attempt_at=timezone.now() - datetime.timedelta(days=2))
    assert not hold_expired((provider,))
    Batch.objects.update(lease_until=timezone.now())
    assert hold_expired((provider,))


def test_a_recipient_who_left_since_the_expansion_is_skipped_with_the_reason(send: Send, provider: Provider) -> None:
    unsubscribe(people.ADA)
    suppress_addresses({BO: (SuppressionReason.COMPLAINT, "")})
    assert recipients(claim(provider)) == [CY]
    reasons = dict(Delivery.objects.values_list("subscriber__address", "reason"))
    assert reasons == {people.ADA: Reason.UNSUBSCRIBED, BO: Reason.SUPPRESSED, CY: ""}


def test_an_erased_subscriber_is_skipped(send: Send, provider: Provider) -> None:
    Subscription.objects.filter(subscriber__canonical=people.ADA).delete()
    assert people.ADA not in recipients(claim(provider))
    assert Delivery.objects.get(state=DeliveryState.SKIPPED).reason == Reason.ERASED


def test_an_address_on_the_suppression_list_is_skipped_even_if_its_subscription_is_active(
    send: Send, provider: Provider
) -> None:
    """As when another list's mail was complained about, and the two are written at the same time."""
    Suppression.objects.create(fingerprint=fingerprint(BO), reason=SuppressionReason.COMPLAINT)
    assert recipients(claim(provider)) == [people.ADA, CY]
    assert Delivery.objects.get(state=DeliveryState.SKIPPED).reason == Reason.SUPPRESSED


def test_a_subscriber_who_paused_since_the_expansion_is_skipped_with_the_reason(send: Send, provider: Provider) -> None:
    next_week = timezone.now() + datetime.timedelta(weeks=1)
    Subscription.objects.filter(subscriber__canonical=BO).update(paused_until=next_week)
    assert recipients(claim(provider)) == [people.ADA, CY]
    assert Delivery.objects.get(state=DeliveryState.SKIPPED).reason == Reason.SUBSCRIPTION_PAUSED


def test_a_batch_is_dropped_when_no_recipient_is_left(send: Send, provider: Provider) -> None:
    for address in (people.ADA, BO, CY):
        unsubscribe(address)
    assert claim_batch(provider) is None
    batch = Batch.objects.get()
    assert (batch.state, batch.reason) == (BatchState.DROPPED, Reason.NO_RECIPIENT_LEFT)
    assert delivery_states() == {DeliveryState.SKIPPED}


def test_after_a_crash_the_same_bytes_are_posted_under_the_same_key(send: Send, provider: Provider) -> None:
    first = claim(provider)
    make_due()
    second = claim(provider)
    assert (second.body, second.key, second.attempt) == (first.body, first.key, 2)
    assert (first.is_retry, second.is_retry) == (False, True)


def test_after_a_post_that_sent_nothing_recipients_are_checked_again_and_the_key_is_new(
    send: Send, provider: Provider
) -> None:
    first = claim(provider)
    record_outcome(first, Outcome(kind=OutcomeKind.RETRY_LATER, code="rate_limit_exceeded", retry_after=0.001))
    unsubscribe(people.ADA)
    make_due()
    second = claim(provider)
    assert recipients(second) == [BO, CY]
    assert first.key != second.key
    assert not second.is_retry


@pytest.mark.parametrize(("minutes", "state"), [(14.9, BatchState.CLAIMED), (15.1, BatchState.HELD)])
def test_an_unsubscribe_does_not_stop_retries_that_follow_within_15_minutes(
    send: Send, provider: Provider, minutes: float, state: BatchState
) -> None:
    first = claim(provider)
    record_outcome(first, NO_ANSWER)
    unsubscribe(people.ADA)
    make_due()
    Batch.objects.update(first_attempt_at=timezone.now() - datetime.timedelta(minutes=minutes))
    second = claim_batch(provider)
    batch = Batch.objects.get()
    assert batch.state == state
    if second is None:
        assert (batch.reason, delivery_states()) == (Reason.RECIPIENT_LEFT_UNKNOWN, {DeliveryState.UNKNOWN})
    else:
        assert (second.body, second.key, has_lost_recipients(second)) == (first.body, first.key, False)


def complain() -> None:
    suppress_addresses({people.ADA: (SuppressionReason.COMPLAINT, "")})


def unsubscribe_and_complain() -> None:
    unsubscribe(people.ADA)
    complain()


def erase() -> None:
    Subscription.objects.filter(subscriber__canonical=people.ADA).delete()


def decline() -> None:
    unsubscribe(people.ADA)
    Subscriber.objects.filter(canonical=people.ADA).update(declined_at=timezone.now())


def pause_subscription() -> None:
    until = timezone.now() + datetime.timedelta(days=7)
    Subscription.objects.filter(subscriber__canonical=people.ADA).update(paused_until=until)


@pytest.mark.parametrize("leave", [complain, unsubscribe_and_complain, erase, decline, pause_subscription])
def test_a_batch_with_an_unknown_outcome_is_held_when_a_recipient_leaves_otherwise(
    send: Send, provider: Provider, leave: Callable[[], None]
) -> None:
    record_outcome(claim(provider), NO_ANSWER)
    leave()
    make_due()
    assert claim_batch(provider) is None
    batch = Batch.objects.get()
    assert (batch.state, batch.reason) == (BatchState.HELD, Reason.RECIPIENT_LEFT_UNKNOWN)
    assert delivery_states() == {DeliveryState.UNKNOWN}


def test_an_unsubscribe_during_the_wait_for_a_permit_stops_a_first_attempt(send: Send, provider: Provider) -> None:
    claimed = claim(provider)
    unsubscribe(people.ADA)
    assert has_lost_recipients(claimed)


def fail_for(monkeypatch: pytest.MonkeyPatch, *addresses: str) -> None:
    """No message can be built for these recipients."""
    original = RecipientValues.of

    def of(self: RecipientValues, recipient: Recipient) -> dict[str, str]:
        if recipient.address in addresses:
            raise ValueError("not a name")
        return original(self, recipient)

    monkeypatch.setattr(RecipientValues, "of", of)


@pytest.mark.parametrize("address", [people.ADA, BO, CY])
def test_a_message_that_cannot_be_built_fails_alone(
    send: Send, provider: Provider, monkeypatch: pytest.MonkeyPatch, address: str
) -> None:
    fail_for(monkeypatch, address)
    claimed = claim(provider)
    assert sorted(recipients(claimed)) == sorted({people.ADA, BO, CY} - {address})
    failed = Delivery.objects.get(state=DeliveryState.FAILED)
    assert (failed.subscriber.address, failed.reason, failed.detail) == (address, Reason.CANNOT_BE_BUILT, "ValueError")
    accepted = Outcome(kind=OutcomeKind.ACCEPTED, ids=("id-1", "id-2"))
    record_outcome(claimed, accepted)
    assert delivery_states() == {DeliveryState.ACCEPTED, DeliveryState.FAILED}


def test_a_batch_without_a_message_that_can_be_built_is_dropped(
    send: Send, provider: Provider, monkeypatch: pytest.MonkeyPatch
) -> None:
    fail_for(monkeypatch, people.ADA, BO, CY)
    assert claim_batch(provider) is None
    batch = Batch.objects.get()
    assert (batch.state, batch.reason) == (BatchState.DROPPED, Reason.CANNOT_BE_BUILT)
    assert delivery_states() == {DeliveryState.FAILED}


def test_a_batch_is_set_aside_unchanged_if_its_template_cannot_be_filled_for_anyone(
    send: Send, provider: Provider, monkeypatch: pytest.MonkeyPatch
) -> None:
    fail_for(monkeypatch, people.ADA, BO, CY, SAMPLE_RECIPIENT.address)
    unsubscribe(BO)
    assert claim_batch(provider) is None
    batch = Batch.objects.get()
    assert (batch.state, batch.reason, batch.reason_values) == (
        BatchState.READY,
        Reason.CANNOT_BE_BUILT,
        {"error": "ValueError"},
    )
    assert delivery_states() == {DeliveryState.PENDING}


@pytest.mark.parametrize(("age", "state"), [(22.9, BatchState.CLAIMED), (23.1, BatchState.HELD)])
def test_a_batch_is_not_repeated_once_its_key_may_have_expired(
    send: Send, provider: Provider, age: float, state: BatchState
) -> None:
    record_outcome(claim(provider), NO_ANSWER)
    make_due()
    Batch.objects.update(first_attempt_at=timezone.now() - datetime.timedelta(hours=age))
    claim_batch(provider)
    assert Batch.objects.get().state == state


def test_no_batch_of_a_paused_send_is_claimed(send: Send, provider: Provider) -> None:
    pause_send(send, by="tests")
    assert claim_batch(provider) is None


def test_claims_of_an_ended_process_are_released_at_once(send: Send, provider: Provider) -> None:
    claim(provider)
    # A process that starts holds no batch: its process id was used by another process before.
    assert release_stale_claims(include_own=True) == 1
    running = worker_name().rpartition(":")[0] + ":1"
    Batch.objects.update(claimed_by=running, lease_until=timezone.now() + datetime.timedelta(hours=1))
    assert release_stale_claims(include_own=True) == 0
    Batch.objects.update(claimed_by="another-machine:999999")
    assert release_stale_claims(include_own=True) == 0


def test_a_process_does_not_release_the_batch_that_it_is_posting(send: Send, provider: Provider) -> None:
    lease_until = claim(provider).lease_until
    assert release_stale_claims(include_own=False) == 0
    assert Batch.objects.get().lease_until == lease_until


def test_the_database_rejects_a_batch_in_flight_without_its_bytes(send: Send) -> None:
    with pytest.raises(IntegrityError), transaction.atomic():
        Batch.objects.update(state=BatchState.UNKNOWN, payload=None)


def test_the_database_rejects_a_second_batch_with_the_same_key(send: Send) -> None:
    """The provider would take it for a repeat, and send only one of the two."""
    batch = Batch.objects.get()
    batch.pk = None
    with pytest.raises(IntegrityError), transaction.atomic():
        batch.save(force_insert=True)


def test_a_batch_that_was_attempted_again_since_it_was_read_is_neither_held_nor_settled(
    send: Send, provider: Provider
) -> None:
    claimed = claim(provider)
    read = Batch.objects.get()
    Batch.objects.update(attempts=claimed.attempt + 1)
    assert not hold(read, Reason.KEY_EXPIRED)
    assert not settle(read, Reason.PROVEN_BY_EVENT)
    assert Batch.objects.get().state == BatchState.CLAIMED


# --- Changes during the claim


def change_while_claimed(monkeypatch: pytest.MonkeyPatch, change: Callable[[], object], *, times: int = 1) -> None:
    """Make a change between the reading of a batch's recipients and their update, in that many claims."""
    left = [change] * times

    def read_and_change(*arguments: Any) -> list[Recipient]:
        found = recipients_of(*arguments)
        if left:
            left.pop()()
        return found

    monkeypatch.setattr(build_module, "recipients_of", read_and_change)


def skip_the_first() -> None:
    """What an event of the failed mail does with a delivery that is retried."""
    first = Delivery.objects.order_by("pk")[0]
    Delivery.objects.filter(pk=first.pk).update(state=DeliveryState.SKIPPED, reason=Reason.DELIVERED_AFTER_ALL)


def test_a_batch_that_changes_while_it_is_claimed_is_claimed_again_at_once(
    send: Send, provider: Provider, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    change_while_claimed(monkeypatch, skip_the_first)
    assert claim(provider).size == 3, "the change was part of the transaction that was rolled back"
    assert Batch.objects.get().reason == ""
    assert not caplog.records


def test_a_batch_that_changes_in_every_claim_does_not_delay_the_others(
    send: Send, provider: Provider, monkeypatch: pytest.MonkeyPatch
) -> None:
    change_while_claimed(monkeypatch, skip_the_first, times=batch_module.MAX_CHANGES + 1)
    assert claim_batch(provider) is None
    batch = Batch.objects.get()
    assert (batch.reason, batch.lease_until is not None) == (Reason.CANNOT_BE_BUILT, True)


@pytest.mark.django_db(transaction=True)
@pytest.mark.postgresql
def test_an_event_during_the_claim_takes_its_recipient_out_of_the_batch(
    send: Send, provider: Provider, monkeypatch: pytest.MonkeyPatch
) -> None:
    def skip_elsewhere() -> None:
        def skip() -> None:
            skip_the_first()
            connection.close()

        thread = threading.Thread(target=skip)
        thread.start()
        thread.join()

    change_while_claimed(monkeypatch, skip_elsewhere)
    assert recipients(claim(provider)) == [BO, CY]
    assert Batch.objects.get().reason == ""
