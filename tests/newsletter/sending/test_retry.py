"""Who was refused can be tried again by a person's word; nobody else gets anything."""

from __future__ import annotations

import time

import pytest
from django.utils import timezone

from newsletter.models import Batch, BatchState, Delivery, DeliveryStatus, Issue, IssueStatus, WrongStatus
from newsletter.providers.base import Provider
from newsletter.sandbox import SandboxServer
from newsletter.sending.control import finish_issues, pause_issue
from newsletter.sending.retry import count_failed, retry_failed
from subscribers.models import Subscription, SubscriptionState
from tests import people
from tests.publications import address_everybody, post_everything, start_sending


@pytest.fixture
def refused(issue: Issue) -> Issue:
    """Four readers in four batches: two refused, one accepted, one of whom nobody knows."""
    people.many_readers(4, issue.newsletter)
    start_sending(issue)
    address_everybody(batch_size=1)
    states = [BatchState.REFUSED, BatchState.REFUSED, BatchState.ACCEPTED, BatchState.HELD]
    statuses = [DeliveryStatus.FAILED, DeliveryStatus.FAILED, DeliveryStatus.ACCEPTED, DeliveryStatus.UNKNOWN]
    for batch, state, status in zip(Batch.objects.order_by("pk"), states, statuses, strict=True):
        batch.state, batch.attempts, batch.recipients = state, 1, 1
        batch.payload = b"frozen" if state == BatchState.HELD else None
        batch.save()
        Delivery.objects.filter(pk=batch.first_delivery).update(status=status, reason="Refused.")
    return issue


def test_only_the_refused_go_out_again_under_keys_of_their_own(
    refused: Issue, sandbox: SandboxServer, provider: Provider
) -> None:
    before = set(Batch.objects.values_list("key", flat=True))
    assert count_failed(refused) == 2
    retry_failed(refused, by="Edda", reason="The domain is verified now.")
    assert post_everything(provider) == 2
    got = [len(sandbox.ledger.mails_to(f"reader-{number}@example.org", time.time())) for number in range(1, 5)]
    assert got == [1, 1, 0, 0]
    keys = set(Batch.objects.values_list("key", flat=True))
    assert len(keys) == len(before) + 2
    statuses = list(Delivery.objects.order_by("pk").values_list("status", flat=True))
    assert statuses == ["accepted", "accepted", "accepted", "unknown"]
    step = refused.transitions.last()
    assert step is not None
    assert (step.by, step.reason) == ("Edda", "2 readers who were refused: tried again. The domain is verified now.")


def test_an_issue_that_was_sent_is_sending_until_they_are_through(refused: Issue, provider: Provider) -> None:
    Batch.objects.filter(state=BatchState.HELD).update(state=BatchState.ACCEPTED, payload=None)
    finish_issues()
    refused.refresh_from_db()
    assert refused.status == IssueStatus.SENT
    retry_failed(refused, by="Edda")
    assert (refused.status, refused.finished_at) == (IssueStatus.SENDING, None)
    post_everything(provider)
    finish_issues()
    refused.refresh_from_db()
    assert refused.status == IssueStatus.SENT


def test_who_left_since_is_skipped(refused: Issue, provider: Provider) -> None:
    Subscription.objects.filter(subscriber__address="reader-1@example.org").update(
        state=SubscriptionState.UNSUBSCRIBED, ended_at=timezone.now()
    )
    retry_failed(refused, by="Edda")
    assert post_everything(provider) == 1
    assert Delivery.objects.order_by("pk")[0].status == DeliveryStatus.SKIPPED


def test_pressed_twice_they_are_tried_once(refused: Issue) -> None:
    retry_failed(refused, by="Edda")
    with pytest.raises(WrongStatus, match="Nobody is left"):
        retry_failed(refused, by="Edda")


def test_refused_again_they_can_be_tried_again(refused: Issue) -> None:
    for _ in range(3):
        retry_failed(refused, by="Edda")
        Batch.objects.filter(state=BatchState.READY).update(state=BatchState.REFUSED, recipients=1)
        Delivery.objects.filter(status=DeliveryStatus.PENDING).update(status=DeliveryStatus.FAILED)
    assert Batch.objects.count() == 4 + 3 * 2


def test_a_paused_issue_stays_paused(refused: Issue, provider: Provider) -> None:
    pause_issue(refused, by="Edda", reason="Nothing is accepted.")
    retry_failed(refused, by="Edda")
    assert refused.status == IssueStatus.PAUSED
    assert post_everything(provider) == 0


def test_a_draft_has_nobody_to_try_again(issue: Issue) -> None:
    with pytest.raises(WrongStatus, match="nobody is tried again"):
        retry_failed(issue, by="Edda")
