"""An installation with data, in the middle of a send, is upgraded to sends as rows of their own."""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from django.db import connection
from django.db.migrations.executor import MigrationExecutor
from django.utils import timezone

from newsletter.models import (
    Batch,
    BatchState,
    Delivery,
    DeliveryState,
    Event,
    Issue,
    IssueState,
    Reason,
    Send,
    SendState,
    SendTransition,
)
from newsletter.reports.statistics import report_of

pytestmark = pytest.mark.django_db(transaction=True)

BEFORE = [("newsletter", "0009_room_for_outcomes"), ("subscribers", "0004_time_zone")]
RECIPIENTS = 700
NOW = timezone.now().replace(microsecond=0)

Models = Callable[[str], Any]

#: How many deliveries of the running send are in which state.
STATES = {"accepted": 300, "batched": 100, "unknown": 100, "skipped": 50, "failed": 50, "pending": 100}


@pytest.fixture
def old_models() -> Iterator[Models]:
    """The models before the upgrade. All migrations are applied again at the end."""
    executor = MigrationExecutor(connection)
    executor.migrate(BEFORE)
    apps = executor.loader.project_state(BEFORE).apps
    yield lambda name: apps.get_model(name)
    upgrade()


def upgrade() -> None:
    executor = MigrationExecutor(connection)
    executor.migrate(executor.loader.graph.leaf_nodes())


def make_subscribers(old: Models) -> None:
    rows = (f"reader-{number}@example.org" for number in range(RECIPIENTS))
    subscriber = old("subscribers.Subscriber")
    subscriber.objects.bulk_create(subscriber(address=address, canonical=address) for address in rows)


def make_newsletter(old: Models) -> Any:
    fields = {"name": "Harbour Notes", "slug": "harbour-notes", "sender_name": "Harbour Notes"}
    fields |= {"sender_email": "notes@mail.example.org"}
    mailing_list = old("subscribers.MailingList").objects.create(postal_address="1 Quay", **fields)
    return old("newsletter.Newsletter").objects.create(mailing_list=mailing_list, postal_address="1 Quay", **fields)


def make_issue(old: Models, newsletter: Any, status: str, **fields: Any) -> Any:
    issue = old("newsletter.Issue").objects.create(newsletter=newsletter, slug=f"a-{status}-issue", title=status)
    edition = old("newsletter.Edition").objects.create(
        issue=issue,
        revision=1,
        subject=status,
        html="",
        text="",
        nonce="0" * 12,
        envelope={},
        content={},
        sha256=status,
    )
    started = {} if status == "scheduled" else {"started_at": NOW}
    ended = {"addressed_at": NOW, "finished_at": NOW} if status == "sent" else {}
    for name, value in {"status": status, "edition": edition, **started, **ended, **fields}.items():
        setattr(issue, name, value)
    issue.save()
    steps = {"scheduled": ["draft", "scheduled"], "paused": ["draft", "sending", "paused"]}
    path = steps.get(status, ["draft", "sending", status] if status != "sending" else ["draft", "sending"])
    for source, target in itertools.pairwise(path):
        old("newsletter.IssueTransition").objects.create(
            issue=issue, source=source, target=target, by="edda", reason=""
        )
    return issue


def make_deliveries(old: Models, issue: Any) -> None:
    delivery, batch = old("newsletter.Delivery"), old("newsletter.Batch")
    subscribers = iter(old("subscribers.Subscriber").objects.order_by("pk").values_list("pk", flat=True))
    for state, count in STATES.items():
        reason = {"skipped": "The reader left the newsletter.", "failed": "No such mailbox."}.get(state, "")
        made = delivery.objects.bulk_create(
            delivery(subscriber_id=next(subscribers), edition=issue.edition, status=state, reason=reason)
            for _ in range(count)
        )
        if state in ("accepted", "batched", "unknown"):
            batch.objects.create(
                edition=issue.edition,
                first_delivery=made[0].pk,
                last_delivery=made[-1].pk,
                state={"accepted": "accepted", "batched": "ready", "unknown": "held"}[state],
                payload=b"frozen" if state == "unknown" else None,
                key=state,
                recipients=count,
                reason="No answer came before the provider forgets the key; posting again could reach readers twice."
                if state == "unknown"
                else "",
            )


@pytest.fixture
def upgraded(old_models: Models) -> None:
    newsletter = make_newsletter(old_models)
    make_subscribers(old_models)
    issues = old_models("newsletter.Issue").objects
    issues.create(newsletter=newsletter, slug="a-draft", title="Draft", hold_reason="It has no stories.")
    issues.create(newsletter=newsletter, slug="a-ready-draft", title="Ready", revision=3, ready_revision=3)
    issues.create(newsletter=newsletter, slug="edited-since", title="Edited since", revision=3, ready_revision=2)
    make_issue(old_models, newsletter, "scheduled", scheduled_at=NOW, scheduled_zone="UTC")
    sending = make_issue(old_models, newsletter, "sending", addressed_at=NOW)
    make_issue(old_models, newsletter, "paused", hold_reason="A check by Edda.")
    make_issue(old_models, newsletter, "sent")
    make_issue(old_models, newsletter, "cancelled", finished_at=NOW)
    make_deliveries(old_models, sending)
    receipt = old_models("newsletter.Receipt")
    receipt.objects.create(provider="resend", event_id="1", kind="email.delivered", body="{}", state="applied")
    receipt.objects.create(provider="resend", event_id="2", kind="email.bounced", body="{}", note="hard bounce: 550")
    upgrade()


@pytest.mark.usefixtures("upgraded")
def test_an_installation_in_mid_send_is_upgraded_without_loss() -> None:
    """One test, since the way there and back through all migrations takes seconds."""
    _assert_every_row_is_there()
    _assert_sentences_are_codes()


def _assert_every_row_is_there() -> None:
    states = {issue.slug: (issue.state, issue.status) for issue in Issue.objects.all()}
    assert states["a-draft"] == (IssueState.DRAFT, IssueState.DRAFT)
    assert states["a-ready-draft"] == (IssueState.APPROVED, IssueState.APPROVED)
    assert states["edited-since"] == (IssueState.DRAFT, IssueState.DRAFT)
    for state in (SendState.SCHEDULED, SendState.SENDING, SendState.PAUSED, SendState.SENT, SendState.CANCELLED):
        assert states[f"a-{state}-issue"] == (IssueState.DRAFT, state)
        send = Send.objects.get(issue__slug=f"a-{state}-issue")
        assert send.edition.subject == send.state == state
        assert [step.target for step in SendTransition.objects.filter(send=send)][-1] == state

    running = Send.objects.get(state=SendState.SENDING)
    assert Counter(Delivery.objects.filter(send=running, issue=running.issue).values_list("state", flat=True)) == STATES
    assert dict(Batch.objects.filter(send=running).values_list("key", "state")) == {
        "accepted": BatchState.ACCEPTED,
        "batched": BatchState.READY,
        "unknown": BatchState.HELD,
    }
    report = report_of(running)
    assert (report.audience, report.accepted, report.held_batches) == (RECIPIENTS, 300, 1)


def _assert_sentences_are_codes() -> None:
    assert Issue.objects.get(slug="a-draft").hold_sentence == "It has no stories."
    assert Send.objects.get(state=SendState.PAUSED).hold_sentence == "A check by Edda."
    assert Batch.objects.get(key="unknown").reason == Reason.KEY_EXPIRED
    reasons = dict(Delivery.objects.exclude(reason="").values_list("state", "reason"))
    assert reasons == {DeliveryState.SKIPPED: Reason.UNSUBSCRIBED, DeliveryState.FAILED: Reason.OTHER}
    assert set(Delivery.objects.filter(state=DeliveryState.FAILED).values_list("detail", flat=True)) == {
        "No such mailbox."
    }
    bounced = Event.objects.get(event_id="2")
    assert (bounced.bounce, bounced.detail) == ("hard", "550")
