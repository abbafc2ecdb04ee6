"""Undo: a send that was started is withdrawn while provably nothing of it was sent."""

from __future__ import annotations

import datetime
import threading
import time
from collections.abc import Callable
from functools import partial

import pytest
from django.db import connection
from django.utils import timezone
from pytest_django import Settings

from newsletter.content.store import save_content
from newsletter.models import (
    Batch,
    BatchState,
    Delivery,
    DeliveryState,
    InvalidTransition,
    Issue,
    IssueState,
    ProviderSearch,
    Reason,
    SearchResult,
    Send,
    SendState,
)
from newsletter.providers.base import Provider
from newsletter.providers.throttle import clear_suspensions
from newsletter.sandbox import SandboxServer
from newsletter.sending.batch import claim_batch
from newsletter.sending.control import pause_send
from newsletter.sending.schedule import schedule_issue, send_now, start_next_due_send
from newsletter.sending.undo import can_undo, undo_send
from tests import people
from tests.publications import content, expand_audiences, just_now, make_issue, post_everything, start_sending


@pytest.fixture
def send(issue: Issue, settings: Settings) -> Send:
    """A send to Ada that was started just now, with an undo window of a minute."""
    settings.UNDO_SECONDS = 60
    people.ada(issue.newsletter)
    send = send_now(issue, by="Edda")
    expand_audiences()
    return send


def end_undo_window() -> None:
    Batch.objects.update(not_before=timezone.now())


def state_of(send: Send) -> str:
    send.refresh_from_db()
    return send.state


def test_nothing_is_posted_or_published_during_the_undo_window(send: Send, provider: Provider) -> None:
    assert send.state == SendState.SENDING
    assert Delivery.objects.count() == 1
    assert claim_batch(provider) is None
    assert not Send.objects.public().exists()
    Send.objects.update(undo_until=timezone.now() - datetime.timedelta(seconds=1))
    assert Send.objects.public().exists()


def test_an_undone_send_is_withdrawn_and_its_issue_is_a_draft_again(
    issue: Issue, send: Send, provider: Provider
) -> None:
    undo_send(send, by="Edda", text="A wrong link.")
    assert state_of(send) == SendState.WITHDRAWN
    assert (issue.status, issue.edition, issue.is_editable) == (IssueState.DRAFT, None, True)
    assert not Delivery.objects.exists()
    assert not Batch.objects.exists()
    end_undo_window()
    assert post_everything(provider) == 0


def test_the_history_of_an_undone_send_has_its_start_and_the_undo(send: Send) -> None:
    undo_send(send, by="Edda", text="A wrong link.")
    started, undone = send.transitions.all()
    assert (started.target, undone.source, undone.target) == ("sending", "sending", "withdrawn")
    assert (undone.by, undone.reason, undone.values) == ("Edda", Reason.UNDONE, {"text": "A wrong link."})


def test_an_undo_revokes_the_approval_so_that_no_recurring_schedule_sends_the_issue(
    issue: Issue, settings: Settings
) -> None:
    settings.UNDO_SECONDS = 60
    people.ada(issue.newsletter)
    issue.move(IssueState.APPROVED, by="Edda", reason=Reason.APPROVED, approved_revision=issue.revision)
    undo_send(send_now(issue, by="Edda"), by="Edda")
    issue.refresh_from_db()
    assert (issue.state, issue.approved_revision) == (IssueState.DRAFT, None)


def test_an_issue_can_be_corrected_and_sent_after_an_undo(
    issue: Issue, send: Send, sandbox: SandboxServer, provider: Provider, settings: Settings
) -> None:
    undo_send(send, by="Edda")
    save_content(issue, content(subject="Corrected"), by="Edda")
    settings.UNDO_SECONDS = 0
    send_now(issue, by="Edda")
    expand_audiences()
    assert post_everything(provider) == 1
    (mail,) = sandbox.ledger.mails_to(people.ADA, time.time())
    assert sandbox.ledger.contents(mail)["subject"] == "Corrected"


def test_an_unchanged_issue_can_be_sent_after_an_undo(
    issue: Issue, send: Send, provider: Provider, sandbox: SandboxServer
) -> None:
    undo_send(send, by="Edda")
    send_now(issue, by="Edda")
    expand_audiences()
    end_undo_window()
    assert post_everything(provider) == 1
    assert len(sandbox.ledger.mails_to(people.ADA, time.time())) == 1


def test_a_send_cannot_be_undone_once_a_worker_has_claimed_a_batch(send: Send, provider: Provider) -> None:
    end_undo_window()
    assert claim_batch(provider)
    with pytest.raises(InvalidTransition, match="cannot be undone any more"):
        undo_send(send, by="Edda")
    assert state_of(send) == SendState.SENDING
    assert Delivery.objects.count() == 1


def test_a_batch_that_was_searched_for_keeps_its_proof_and_prevents_the_undo(send: Send) -> None:
    now = timezone.now()
    ProviderSearch.objects.create(
        batch=Batch.objects.get(),
        attempts=1,
        since=now,
        until=now,
        by="Edda",
        result=SearchResult.ABSENT,
        finished_at=now,
    )
    assert not can_undo(send)
    with pytest.raises(InvalidTransition, match="had to be searched for"):
        undo_send(send, by="Edda")
    assert ProviderSearch.objects.exists()


def test_a_scheduled_send_has_nothing_to_undo(issue: Issue) -> None:
    people.ada(issue.newsletter)
    wall = (timezone.now() + datetime.timedelta(days=1)).replace(tzinfo=None)
    send = schedule_issue(issue, wall=wall, zone="UTC", by="Edda")
    assert not can_undo(send)
    with pytest.raises(InvalidTransition, match="nothing to undo"):
        undo_send(send, by="Edda")


def test_a_scheduled_send_starts_without_an_undo_window(issue: Issue, settings: Settings) -> None:
    settings.UNDO_SECONDS = 60
    people.ada(issue.newsletter)
    wall = (timezone.now() + datetime.timedelta(days=1)).replace(tzinfo=None)
    send = schedule_issue(issue, wall=wall, zone="UTC", by="Edda")
    Send.objects.update(scheduled_at=just_now())
    start_next_due_send()
    assert (state_of(send), send.undo_until) == (SendState.SENDING, None)


@pytest.mark.django_db(transaction=True)
@pytest.mark.postgresql
def test_of_a_concurrent_undo_and_claim_exactly_one_succeeds(provider: Provider) -> None:
    for number in range(5):
        issue = make_issue(f"issue-{number}")
        people.make_subscription(f"reader-{number}@example.org")
        send = start_sending(issue)
        expand_audiences()
        barrier, results = threading.Barrier(2), dict[str, bool]()
        run_together(
            partial(claim_one, barrier, results, provider),
            partial(undo_one, barrier, results, send),
        )
        assert results["claimed"] is not results["undone"]
        Batch.objects.filter(state=BatchState.CLAIMED).update(state=BatchState.ACCEPTED, payload=None)
        Delivery.objects.update(state=DeliveryState.ACCEPTED)


def run_together(*functions: Callable[[], None]) -> None:
    threads = [threading.Thread(target=function) for function in functions]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def claim_one(barrier: threading.Barrier, results: dict[str, bool], provider: Provider) -> None:
    try:
        barrier.wait()
        results["claimed"] = claim_batch(provider) is not None
    finally:
        connection.close()


def undo_one(barrier: threading.Barrier, results: dict[str, bool], send: Send) -> None:
    try:
        barrier.wait()
        undo_send(send, by="Edda")
        results["undone"] = True
    except InvalidTransition:
        results["undone"] = False
    finally:
        connection.close()


def test_a_send_that_may_not_be_undone_is_posted_at_once(issue: Issue, settings: Settings, provider: Provider) -> None:
    settings.UNDO_SECONDS = 60
    people.ada(issue.newsletter)
    send_now(issue, by="demo", may_undo=False)
    expand_audiences()
    assert Send.objects.public().exists()
    assert post_everything(provider) == 1


def test_a_paused_send_can_be_undone(issue: Issue, send: Send, provider: Provider) -> None:
    pause_send(send, by="Edda", text="Wait!")
    undo_send(send, by="Edda")
    assert state_of(send) == SendState.WITHDRAWN
    assert (issue.status, issue.hold_reason) == (IssueState.DRAFT, "")
    end_undo_window()
    assert post_everything(provider) == 0


def test_a_paused_send_cannot_be_undone_after_mails_were_sent(send: Send, provider: Provider) -> None:
    end_undo_window()
    post_everything(provider)
    pause_send(send, by="Edda", text="Wait!")
    assert not can_undo(send)
    with pytest.raises(InvalidTransition, match="cannot be undone any more"):
        undo_send(send, by="Edda")
    assert state_of(send) == SendState.PAUSED


def test_a_send_can_be_undone_after_the_window_if_no_worker_has_posted(send: Send) -> None:
    Send.objects.update(undo_until=timezone.now() - datetime.timedelta(hours=2))
    end_undo_window()
    assert can_undo(send)
    undo_send(send, by="Edda")
    assert state_of(send) == SendState.WITHDRAWN


def test_a_send_that_the_provider_refused_can_be_undone_corrected_and_sent(
    issue: Issue, send: Send, sandbox: SandboxServer, provider: Provider
) -> None:
    end_undo_window()
    sandbox.configure(api_key="re_another")
    post_everything(provider)
    assert state_of(send) == SendState.PAUSED
    undo_send(send, by="Edda")
    sandbox.configure(api_key="re_sandbox")
    clear_suspensions(by="Edda")
    save_content(issue, content(subject="Corrected"), by="Edda")
    send_now(issue, by="Edda")
    expand_audiences()
    end_undo_window()
    post_everything(provider)
    assert len(sandbox.ledger.mails_to(people.ADA, time.time())) == 1


@pytest.mark.parametrize("state", [BatchState.CLAIMED, BatchState.UNKNOWN, BatchState.HELD, BatchState.ACCEPTED])
def test_a_send_cannot_be_undone_if_a_batch_was_or_may_have_been_sent(send: Send, state: BatchState) -> None:
    Batch.objects.update(state=state, payload=b"frozen")
    with pytest.raises(InvalidTransition, match="cannot be undone any more"):
        undo_send(send, by="Edda")


def test_a_send_cannot_be_undone_if_an_operator_sent_an_unknown_batch_again(send: Send) -> None:
    Batch.objects.update(may_be_duplicate=True)
    assert not can_undo(send)
    with pytest.raises(InvalidTransition, match="cannot be undone any more"):
        undo_send(send, by="Edda")


def test_an_event_prevents_the_undo_even_if_its_batch_seems_unsent(send: Send) -> None:
    Delivery.objects.update(delivered_at=timezone.now())
    with pytest.raises(InvalidTransition, match="cannot be undone any more"):
        undo_send(send, by="Edda")
    assert Delivery.objects.count() == 1


def test_a_second_undo_is_refused(send: Send) -> None:
    other_tab = Send.objects.get(pk=send.pk)
    undo_send(send, by="Edda")
    with pytest.raises(InvalidTransition, match="not running any more, so there is nothing to undo"):
        undo_send(other_tab, by="Edda")
    assert send.transitions.count() == 2
