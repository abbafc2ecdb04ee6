"""Who was refused can be tried again by a person's word; nobody else gets anything."""

from __future__ import annotations

import json
import time
import uuid

import pytest
from django.utils import timezone
from pytest_django import DjangoAssertNumQueries

from newsletter.events.apply import ARRIVED_AFTER_ALL, apply_events
from newsletter.events.inbox import store_event
from newsletter.models import Batch, BatchState, Delivery, DeliveryStatus, InvalidTransition, Issue, IssueStatus
from newsletter.providers.base import Provider, SignedEvent
from newsletter.providers.throttle import MAX_BACKOFF
from newsletter.sandbox import Fault, SandboxServer
from newsletter.sending.control import finish_issues, pause_issue
from newsletter.sending.reconcile import settle_proven
from newsletter.sending.retry import count_failed, retry_failed
from subscribers.models import Subscription, SubscriptionState
from tests import people
from tests.publications import address_everybody, let_time_pass, post_everything, start_sending


@pytest.fixture
def refused(issue: Issue) -> Issue:
    """Four readers in four batches: two refused, one accepted, one of whom nobody knows."""
    people.make_subscriptions(4, issue.newsletter)
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
    with pytest.raises(InvalidTransition, match="Nobody is left"):
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
    with pytest.raises(InvalidTransition, match="nobody is tried again"):
        retry_failed(issue, by="Edda")


def test_it_takes_as_many_queries_for_fifty_as_for_five(
    issue: Issue, django_assert_max_num_queries: DjangoAssertNumQueries
) -> None:
    people.make_subscriptions(50, issue.newsletter)
    start_sending(issue)
    address_everybody(batch_size=1)
    Batch.objects.update(state=BatchState.REFUSED, attempts=1, recipients=1)
    Delivery.objects.update(status=DeliveryStatus.FAILED)
    with django_assert_max_num_queries(15):
        retry_failed(issue, by="Edda")
    assert Delivery.objects.filter(status=DeliveryStatus.PENDING).count() == 50


@pytest.fixture
def given_up(issue: Issue, provider: Provider) -> Delivery:
    """Three readers whose mail was accepted; for the second one the provider had no quota left."""
    people.make_subscriptions(3, issue.newsletter)
    start_sending(issue)
    address_everybody()
    post_everything(provider)
    delivery = Delivery.objects.order_by("pk")[1]
    tell("email.failed", delivery, provider, failed={"reason": "reached_daily_quota"})
    delivery.refresh_from_db()
    assert (delivery.status, delivery.failed_at is not None) == (DeliveryStatus.ACCEPTED, True)
    return delivery


def tell(kind: str, delivery: Delivery, provider: Provider, **data: object) -> None:
    """A webhook about the mail that this row knows."""
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


def copies(sandbox: SandboxServer) -> list[int]:
    return [len(sandbox.ledger.mails_to(f"reader-{number}@example.org", time.time())) for number in (1, 2, 3)]


def test_whose_mail_failed_after_it_was_taken_is_tried_again_alone(
    given_up: Delivery, sandbox: SandboxServer, provider: Provider
) -> None:
    issue = Issue.objects.get()
    assert count_failed(issue) == 1
    retry_failed(issue, by="Edda", reason="The plan is larger now.")
    assert post_everything(provider) == 1
    assert copies(sandbox) == [1, 2, 1]
    again = Delivery.objects.get(pk=given_up.pk)
    assert (again.status, again.failed_at) == (DeliveryStatus.ACCEPTED, None)
    assert again.provider_id not in ("", given_up.provider_id)
    assert count_failed(issue) == 0
    tell("email.delivered", again, provider)
    again.refresh_from_db()
    assert again.delivered_at is not None


def test_late_news_of_the_mail_that_failed_say_nothing_about_the_one_in_its_place(
    given_up: Delivery, sandbox: SandboxServer, provider: Provider
) -> None:
    retry_failed(Issue.objects.get(), by="Edda")
    sandbox.plan(Fault("reset"))
    post_everything(provider)
    doubtful = Batch.objects.get(state=BatchState.UNKNOWN)
    tell("email.sent", given_up, provider)
    tell("email.failed", given_up, provider)
    settle_proven()
    doubtful.refresh_from_db()
    assert doubtful.state == BatchState.UNKNOWN, "nobody has told that it went out"
    let_time_pass(MAX_BACKOFF)
    post_everything(provider)
    tell("email.delivery_delayed", given_up, provider)
    again = Delivery.objects.get(pk=given_up.pk)
    assert (again.sent_at, again.delayed_at, again.failed_at) == (None, None, None)
    assert copies(sandbox) == [1, 2, 1]


def test_what_a_reader_says_about_the_mail_that_failed_still_counts(given_up: Delivery, provider: Provider) -> None:
    retry_failed(Issue.objects.get(), by="Edda")
    tell("email.complained", given_up, provider)
    assert post_everything(provider) == 0
    assert Subscription.objects.get(subscriber=given_up.subscriber).state == SubscriptionState.SUPPRESSED


def test_who_has_the_mail_that_failed_after_all_gets_no_other(
    given_up: Delivery, sandbox: SandboxServer, provider: Provider
) -> None:
    retry_failed(Issue.objects.get(), by="Edda")
    tell("email.delivered", given_up, provider)
    assert post_everything(provider) == 0
    assert copies(sandbox) == [1, 1, 1]
    left_out = Delivery.objects.get(pk=given_up.pk)
    assert (left_out.status, left_out.reason) == (DeliveryStatus.SKIPPED, ARRIVED_AFTER_ALL)


@pytest.mark.parametrize("kind", ["email.delivered", "email.opened", "email.complained"])
def test_nothing_that_is_told_of_a_mail_that_failed_proves_the_one_in_its_place(
    given_up: Delivery, sandbox: SandboxServer, provider: Provider, kind: str
) -> None:
    retry_failed(Issue.objects.get(), by="Edda")
    sandbox.plan(Fault("reset"))
    post_everything(provider)
    tell(kind, given_up, provider)
    settle_proven()
    assert Batch.objects.filter(state=BatchState.UNKNOWN).exists(), "its neighbours would get nothing"


def test_who_was_reached_although_the_mail_is_said_to_have_failed_is_not_mailed_twice(
    given_up: Delivery, provider: Provider
) -> None:
    tell("email.delivered", given_up, provider)
    assert count_failed(Issue.objects.get()) == 0
    with pytest.raises(InvalidTransition, match="Nobody is left"):
        retry_failed(Issue.objects.get(), by="Edda")
