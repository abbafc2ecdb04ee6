"""Claiming a batch: readers are checked again, bytes are frozen before the first leaves, doubt stays doubt."""

from __future__ import annotations

import datetime
import hashlib

import orjson
import pytest
from django.db import IntegrityError, transaction
from django.utils import timezone

from newsletter.models import Batch, BatchState, Delivery, DeliveryStatus, Issue
from newsletter.providers.base import Outcome, OutcomeKind, Provider
from newsletter.sending.batch import ClaimedBatch, claim_batch, release_stale_claims, worker_name
from newsletter.sending.post import record_outcome
from subscribers.models import Subscription, SubscriptionState, SuppressionReason
from subscribers.suppression import suppress_addresses
from tests import people
from tests.publications import address_everybody, start_sending

UNANSWERED = Outcome(kind=OutcomeKind.UNKNOWN, code="no_answer", retry_after=0.001)


@pytest.fixture
def under_way(issue: Issue) -> Issue:
    """An issue for Ada, Ben Two and one more, addressed and ready."""
    for address in (people.ADA, "bo@example.org", "cy@example.org"):
        people.make_subscription(address, issue.newsletter)
    start_sending(issue)
    address_everybody()
    return issue


def claim(provider: Provider) -> ClaimedBatch:
    claimed = claim_batch(provider)
    assert claimed is not None
    return claimed


def recipients(claimed: ClaimedBatch) -> list[str]:
    return [message["to"][0] for message in orjson.loads(claimed.body)]


def leave(address: str) -> None:
    Subscription.objects.filter(subscriber__canonical=address).update(state=SubscriptionState.UNSUBSCRIBED)


def make_due() -> None:
    Batch.objects.update(not_before=timezone.now(), lease_until=None)


def statuses() -> set[str]:
    return set(Delivery.objects.values_list("status", flat=True))


def test_each_message_is_for_one_reader_with_their_own_links_and_nobody_elses(
    under_way: Issue, provider: Provider
) -> None:
    messages = orjson.loads(claim(provider).body)
    links = [message["headers"]["List-Unsubscribe"] for message in messages]
    assert [len(message["to"]) for message in messages] == [1, 1, 1]
    assert len(set(links)) == 3
    for message, link in zip(messages, links, strict=True):
        url = link.strip("<>")
        assert url in message["text"]
        assert url in message["html"]
        assert not any(other.strip("<>") in message["html"] for other in links if other != link)
        assert "zq" + str(under_way.edition.nonce) not in orjson.dumps(message).decode()  # type: ignore[union-attr]


def test_tags_lead_receipts_to_their_delivery_and_hold_no_address(under_way: Issue, provider: Provider) -> None:
    message = orjson.loads(claim(provider).body)[0]
    tags = {tag["name"]: tag["value"] for tag in message["tags"]}
    assert tags["delivery"] == str(Delivery.objects.order_by("pk").first().pk)  # type: ignore[union-attr]
    assert tags["env"] == "tests"
    assert not any("@" in value for value in (*tags.values(), *message["headers"].values()))


def test_bytes_key_and_hash_are_stored_before_the_post(under_way: Issue, provider: Provider) -> None:
    claimed = claim(provider)
    batch = Batch.objects.get()
    assert (batch.state, batch.attempts, batch.claimed_by) == (BatchState.CLAIMED, 1, worker_name())
    assert batch.payload_sha256 == hashlib.sha256(claimed.body).hexdigest()
    assert (batch.key, batch.recipients) == (claimed.key, 3)
    assert statuses() == {DeliveryStatus.BATCHED}


def test_a_claimed_batch_is_nobody_elses(under_way: Issue, provider: Provider) -> None:
    assert claim_batch(provider)
    assert claim_batch(provider) is None


def test_who_left_between_addressing_and_freezing_is_left_out_with_the_reason(
    under_way: Issue, provider: Provider
) -> None:
    leave(people.ADA)
    suppress_addresses({"bo@example.org": (SuppressionReason.COMPLAINT, "")})
    assert recipients(claim(provider)) == ["cy@example.org"]
    reasons = dict(Delivery.objects.values_list("subscriber__address", "reason"))
    assert reasons[people.ADA] == "The reader left the newsletter."
    assert reasons["bo@example.org"] == "The address must not be mailed."


def test_who_was_erased_is_left_out(under_way: Issue, provider: Provider) -> None:
    Subscription.objects.filter(subscriber__canonical=people.ADA).delete()
    assert people.ADA not in recipients(claim(provider))


def test_a_batch_in_which_nobody_is_left_is_dropped(under_way: Issue, provider: Provider) -> None:
    for address in (people.ADA, "bo@example.org", "cy@example.org"):
        leave(address)
    assert claim_batch(provider) is None
    assert Batch.objects.get().state == BatchState.DROPPED
    assert statuses() == {DeliveryStatus.SKIPPED}


def test_after_a_crash_the_same_bytes_go_out_under_the_same_key(under_way: Issue, provider: Provider) -> None:
    first = claim(provider)
    make_due()
    second = claim(provider)
    assert (second.body, second.key, second.attempt) == (first.body, first.key, 2)
    assert (first.in_doubt, second.in_doubt) == (False, True)


def test_a_refusal_that_sent_nothing_lets_the_readers_be_checked_again_under_a_new_key(
    under_way: Issue, provider: Provider
) -> None:
    first = claim(provider)
    record_outcome(first, Outcome(kind=OutcomeKind.RETRY_LATER, code="rate_limit_exceeded", retry_after=0.001))
    leave(people.ADA)
    make_due()
    second = claim(provider)
    assert recipients(second) == ["bo@example.org", "cy@example.org"]
    assert first.key != second.key
    assert not second.in_doubt


def test_a_reader_who_leaves_while_it_is_unknown_stops_the_repeat(under_way: Issue, provider: Provider) -> None:
    record_outcome(claim(provider), UNANSWERED)
    leave(people.ADA)
    make_due()
    assert claim_batch(provider) is None
    batch = Batch.objects.get()
    assert batch.state == BatchState.HELD
    assert "A reader left" in batch.reason
    assert statuses() == {DeliveryStatus.UNKNOWN}


@pytest.mark.parametrize(("age", "state"), [(22.9, BatchState.CLAIMED), (23.1, BatchState.HELD)])
def test_a_repeat_ends_before_the_provider_forgets_the_key(
    under_way: Issue, provider: Provider, age: float, state: BatchState
) -> None:
    record_outcome(claim(provider), UNANSWERED)
    make_due()
    Batch.objects.update(first_attempt_at=timezone.now() - datetime.timedelta(hours=age))
    claim_batch(provider)
    assert Batch.objects.get().state == state


def test_a_paused_issue_gives_no_batches(under_way: Issue, provider: Provider) -> None:
    under_way.move("paused", by="tests")
    assert claim_batch(provider) is None


def test_claims_of_a_process_that_is_gone_are_free_at_once(under_way: Issue, provider: Provider) -> None:
    claim(provider)
    assert release_stale_claims() == 1  # this very process holds it, and a process that starts holds nothing
    Batch.objects.update(
        claimed_by=worker_name().rpartition(":")[0] + ":1", lease_until=timezone.now() + datetime.timedelta(hours=1)
    )
    assert release_stale_claims() == 0  # process 1 runs on every machine
    Batch.objects.update(claimed_by="another-machine:999999")
    assert release_stale_claims() == 0


def test_the_database_refuses_a_batch_under_way_without_its_bytes(under_way: Issue) -> None:
    with pytest.raises(IntegrityError), transaction.atomic():
        Batch.objects.update(state=BatchState.UNKNOWN, payload=None)
