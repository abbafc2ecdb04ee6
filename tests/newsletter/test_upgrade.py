"""An installation is upgraded in the middle of a send, and the send goes on: each subscriber gets the issue once."""

from __future__ import annotations

import datetime
import itertools
import os
import time
from collections import Counter
from dataclasses import dataclass
from typing import Any

import orjson
import pytest
import zstandard
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
from newsletter.providers.base import Provider
from newsletter.reports.statistics import report_of
from newsletter.sandbox import SandboxServer
from newsletter.sending.control import finish_sends
from tests.old_schema import Models, Node, schema_of, upgrade
from tests.publications import expand_audiences, post_everything
from tests.sandboxes import provider_of, running_sandbox

pytestmark = [pytest.mark.upgrade, pytest.mark.django_db(transaction=True)]

FIRST: tuple[Node, ...] = (("newsletter", "0001_initial"), ("subscribers", "0002_append_only"))
BEFORE_SENDS: tuple[Node, ...] = (("newsletter", "0009_room_for_outcomes"), ("subscribers", "0004_time_zone"))

NOW = timezone.now().replace(microsecond=0)
NONCE = "0123456789ab"

#: State of deliveries and of their batches → how many of a thousand subscribers.
Progress = dict[tuple[str, str], int]

#: What the send has done so far; the other subscribers have no delivery yet.
HALFWAY: Progress = {
    ("accepted", "accepted"): 300,
    ("batched", "claimed"): 100,
    ("unknown", "unknown"): 100,
    ("skipped", "dropped"): 50,
    ("failed", "refused"): 50,
    ("pending", "ready"): 300,
}
ALMOST_DONE: Progress = {
    ("accepted", "accepted"): 850,
    ("batched", "claimed"): 10,
    ("unknown", "unknown"): 10,
    ("skipped", "dropped"): 10,
    ("failed", "refused"): 10,
    ("pending", "ready"): 20,
}
#: The bytes of these batches have reached the provider, and its answer is not stored.
POSTED = ("claimed", "unknown")
REASONS = {"skipped": "The reader left the newsletter.", "failed": "No such mailbox: {address}"}


@dataclass(frozen=True)
class OldInstallation:
    """Creates rows as an earlier version did. Fields that came later are left out."""

    models: Models
    provider: Provider

    def create(self, model: str, **fields: Any) -> Any:
        return self.models(model).objects.create(**self._known(model, fields))

    def create_many(self, model: str, rows: list[dict[str, Any]]) -> list[Any]:
        kind = self.models(model)
        made: list[Any] = kind.objects.bulk_create([kind(**self._known(model, row)) for row in rows], batch_size=5_000)
        return made

    def _known(self, model: str, fields: dict[str, Any]) -> dict[str, Any]:
        known = {field.name for field in self.models(model)._meta.get_fields()}
        return {name: value for name, value in fields.items() if name in known}


def make_newsletter(old: OldInstallation, size: int) -> Any:
    fields = {"name": "Harbour Notes", "slug": "harbour-notes", "sender_name": "Harbour Notes"}
    fields |= {"sender_email": "notes@mail.example.org", "postal_address": "1 Quay"}
    mailing_list = old.create("subscribers.MailingList", **fields)
    addresses = [f"subscriber-{number}@example.org" for number in range(size)]
    subscribers = old.create_many("subscribers.Subscriber", [{"address": a, "canonical": a} for a in addresses])
    active = {"mailing_list": mailing_list, "state": "active", "confirmed_at": NOW}
    old.create_many("subscribers.Subscription", [{**active, "subscriber": subscriber} for subscriber in subscribers])
    return old.create("newsletter.Newsletter", mailing_list=mailing_list, **fields)


def make_issue(old: OldInstallation, newsletter: Any, status: str, **fields: Any) -> Any:
    """An issue with its edition and the history that led to `status`."""
    issue = old.create("newsletter.Issue", newsletter=newsletter, slug=f"a-{status}-issue", title=status)
    envelope = {"sender": "Harbour Notes <notes@mail.example.org>", "reply_to": "", "headers": {"Precedence": "bulk"}}
    frozen = {"html": "<p>Cranes</p>", "text": "Cranes", "nonce": NONCE, "envelope": envelope, "content": {}}
    edition = old.create("newsletter.Edition", issue=issue, revision=1, subject=status, sha256=status, **frozen)
    started = {} if status == "scheduled" else {"started_at": NOW}
    ended = {"addressed_at": NOW, "finished_at": NOW} if status == "sent" else {}
    for name, value in {"status": status, "edition": edition, **started, **ended, **fields}.items():
        setattr(issue, name, value)
    issue.save()
    steps = {"scheduled": ["scheduled"], "sending": ["sending"]}
    for source, target in itertools.pairwise(["draft", *steps.get(status, ["sending", status])]):
        old.create("newsletter.IssueTransition", issue=issue, source=source, target=target, by="edda", reason="")
    return issue


def make_progress(old: OldInstallation, issue: Any, progress: Progress) -> None:
    """Deliveries and batches of a send that has made this progress."""
    subscribers = list(old.models("subscribers.Subscriber").objects.order_by("pk"))
    start = 0
    for (state, batch_state), share in progress.items():
        chosen = subscribers[start : start + len(subscribers) * share // 1000]
        start += len(chosen)
        rows = [
            {
                "subscriber": subscriber,
                "edition": issue.edition,
                "status": state,
                "reason": REASONS.get(state, "").format(address=subscriber.address),
            }
            for subscriber in chosen
        ]
        made = list(zip(old.create_many("newsletter.Delivery", rows), chosen, strict=True))
        for first in range(0, len(made), 100):
            make_batch(old, issue, batch_state, made[first : first + 100])
    last = old.models("subscribers.Subscription").objects.get(subscriber=subscribers[start - 1])
    old.models("newsletter.Issue").objects.filter(pk=issue.pk).update(addressed_through=last.pk)


def make_batch(old: OldInstallation, issue: Any, state: str, rows: list[tuple[Any, Any]]) -> None:
    key = f"{state}-{rows[0][0].pk}"
    body = b""
    if state in POSTED:
        body = orjson.dumps([message_to(subscriber.address, delivery.pk, issue) for delivery, subscriber in rows])
        old.provider.post_batch(body, key=key, size=len(rows))
    has_attempt = {"attempts": 1, "first_attempt_at": timezone.now(), "recipients": len(rows)} if body else {}
    old.create(
        "newsletter.Batch",
        edition=issue.edition,
        first_delivery=rows[0][0].pk,
        last_delivery=rows[-1][0].pk,
        state=state,
        key=key,
        payload=zstandard.compress(body) if body else None,
        claimed_by="elsewhere:1" if state == "claimed" else "",
        lease_until=NOW if state == "claimed" else None,
        **has_attempt,
    )


def message_to(address: str, delivery: int, issue: Any) -> dict[str, Any]:
    tags = {"delivery": str(delivery), "edition": str(issue.edition.pk), "env": "tests"}
    return {
        "from": issue.edition.envelope["sender"],
        "to": [address],
        "subject": issue.edition.subject,
        "html": issue.edition.html,
        "text": issue.edition.text,
        "tags": [{"name": name, "value": value} for name, value in tags.items()],
    }


def fill(old: OldInstallation, size: int, progress: Progress) -> None:
    """Issues in every state, one of them in the middle of its send."""
    newsletter = make_newsletter(old, size)
    draft = {"newsletter": newsletter, "status": "draft"}
    old.create("newsletter.Issue", slug="a-draft", title="Draft", hold_reason="It has no stories.", **draft)
    old.create("newsletter.Issue", slug="a-ready-draft", title="Ready", revision=3, ready_revision=3, **draft)
    old.create("newsletter.Issue", slug="edited-since", title="Edited", revision=3, ready_revision=2, **draft)
    make_issue(old, newsletter, "scheduled", scheduled_at=NOW + datetime.timedelta(days=9), scheduled_zone="UTC")
    make_issue(old, newsletter, "paused", hold_reason="A check by Edda.")
    make_issue(old, newsletter, "sent")
    make_issue(old, newsletter, "cancelled", finished_at=NOW)
    make_progress(old, make_issue(old, newsletter, "sending"), progress)
    receipt = {"provider": "resend", "body": "{}"}
    old.create("newsletter.Receipt", event_id="1", kind="email.delivered", state="applied", **receipt)
    old.create("newsletter.Receipt", event_id="2", kind="email.bounced", note="hard bounce: 550", **receipt)


@pytest.mark.parametrize("schema", [FIRST, BEFORE_SENDS], ids=["first schema", "before sends"])
def test_an_installation_in_mid_send_is_upgraded_and_sends_on(
    schema: tuple[Node, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    """One test, because the way through all migrations takes seconds."""
    with running_sandbox() as sandbox, schema_of(*schema) as models:
        provider = provider_of(sandbox, monkeypatch)
        fill(OldInstallation(models, provider), 1_000, HALFWAY)
        upgrade()
        assert_every_row_is_there(1_000, HALFWAY, has_approvals=schema is BEFORE_SENDS)
        assert_sentences_are_codes()
        assert_each_subscriber_gets_it_once(sandbox, provider, 1_000, HALFWAY)


def test_100_000_deliveries_are_upgraded_and_the_send_goes_on(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    size = int(os.environ.get("UPGRADE_SUBSCRIBERS", "112000"))
    with running_sandbox() as sandbox, schema_of(*FIRST) as models:
        provider = provider_of(sandbox, monkeypatch)
        fill(OldInstallation(models, provider), size, ALMOST_DONE)
        deliveries, started = models("newsletter.Delivery").objects.count(), time.perf_counter()
        upgrade()
        took = time.perf_counter() - started
        assert_every_row_is_there(size, ALMOST_DONE, has_approvals=False)
        assert_each_subscriber_gets_it_once(sandbox, provider, size, ALMOST_DONE)
    with capsys.disabled():
        print(f"\n{deliveries:,} deliveries upgraded in {took:.1f} s; the send went on: 0 lost, 0 twice")


def assert_every_row_is_there(size: int, progress: Progress, *, has_approvals: bool) -> None:
    states = {issue.slug: (issue.state, issue.status) for issue in Issue.objects.all()}
    assert states["a-draft"] == states["edited-since"] == (IssueState.DRAFT, IssueState.DRAFT)
    if has_approvals:
        assert states["a-ready-draft"] == (IssueState.APPROVED, IssueState.APPROVED)
    for state in (SendState.SCHEDULED, SendState.SENDING, SendState.PAUSED, SendState.SENT, SendState.CANCELLED):
        assert states[f"a-{state}-issue"] == (IssueState.DRAFT, state)
        send = Send.objects.get(issue__slug=f"a-{state}-issue")
        assert send.edition.subject == send.state == state
        assert [step.target for step in SendTransition.objects.filter(send=send)][-1] == state

    running = Send.objects.get(state=SendState.SENDING)
    deliveries = Delivery.objects.filter(send=running, issue=running.issue)
    numbers = {states: share * size // 1000 for states, share in progress.items()}
    assert Counter(deliveries.values_list("state", flat=True)) == {state: n for (state, _), n in numbers.items()}
    batches = {batch: -(-number // 100) for (_, batch), number in numbers.items()}
    assert Counter(Batch.objects.filter(send=running).values_list("state", flat=True)) == batches
    assert report_of(running).accepted == numbers["accepted", "accepted"]


def assert_sentences_are_codes() -> None:
    assert Issue.objects.get(slug="a-draft").hold_sentence == "It has no stories."
    assert Send.objects.get(state=SendState.PAUSED).hold_sentence == "A check by Edda."
    skipped, failed = (Delivery.objects.filter(state=state) for state in (DeliveryState.SKIPPED, DeliveryState.FAILED))
    assert set(skipped.values_list("reason", "detail")) == {(Reason.UNSUBSCRIBED, "")}
    assert set(failed.values_list("reason", flat=True)) == {Reason.OTHER}
    for delivery in failed.select_related("subscriber"):
        assert delivery.detail == f"No such mailbox: {delivery.subscriber.address}"
    bounced = Event.objects.get(event_id="2")
    assert (bounced.bounce, bounced.detail) == ("hard", "550")


def assert_each_subscriber_gets_it_once(
    sandbox: SandboxServer, provider: Provider, size: int, progress: Progress
) -> None:
    """The ledger holds one mail for each subscriber whom the send had not reached, skipped or failed before."""
    expand_audiences()
    post_everything(provider)
    finish_sends()
    running = Send.objects.get(issue__slug="a-sending-issue")
    assert running.state == SendState.SENT
    skipped, failed, before = (
        progress[states] * size // 1000
        for states in (("skipped", "dropped"), ("failed", "refused"), ("accepted", "accepted"))
    )
    summary = sandbox.ledger.summary()
    expected = size - skipped - failed
    assert (summary["messages"], summary["distinct_recipients"]) == (expected - before, expected - before)
    assert Counter(Delivery.objects.filter(send=running).values_list("state", flat=True)) == {
        DeliveryState.ACCEPTED: expected,
        DeliveryState.SKIPPED: skipped,
        DeliveryState.FAILED: failed,
    }
    assert not Batch.objects.filter(state__in=[BatchState.READY, BatchState.CLAIMED, BatchState.UNKNOWN]).exists()
