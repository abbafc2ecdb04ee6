"""Send now can be taken back while provably nothing was posted, and then it is as if it had never been pressed."""

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
    DeliveryStatus,
    InvalidTransition,
    Issue,
    IssueStatus,
    ProviderSearch,
    SearchResult,
)
from newsletter.providers.base import Provider
from newsletter.providers.throttle import clear_suspensions
from newsletter.sandbox import SandboxServer
from newsletter.sending.batch import claim_batch
from newsletter.sending.control import pause_issue
from newsletter.sending.schedule import schedule_issue, send_now, start_due_issues
from newsletter.sending.undo import nothing_is_out, undo_send
from tests import people
from tests.publications import address_everybody, content, just_now, make_issue, post_everything, start_sending


@pytest.fixture
def sent_now(issue: Issue, settings: Settings) -> Issue:
    """Just now, to Ada, with a minute to think again."""
    settings.UNDO_SECONDS = 60
    people.ada(issue.newsletter)
    send_now(issue, by="Edda")
    address_everybody()
    return issue


def let_the_minute_pass() -> None:
    Batch.objects.update(not_before=timezone.now())


def test_nothing_is_posted_and_nothing_is_public_while_it_can_be_undone(sent_now: Issue, provider: Provider) -> None:
    assert sent_now.status == IssueStatus.SENDING
    assert Delivery.objects.count() == 1
    assert claim_batch(provider) is None
    assert not Issue.objects.public().exists()
    Issue.objects.update(posts_from=timezone.now() - datetime.timedelta(seconds=1))
    assert Issue.objects.public().exists()


def test_undone_it_is_a_draft_whose_history_keeps_both(sent_now: Issue, provider: Provider) -> None:
    undo_send(sent_now, by="Edda", reason="A wrong link.")
    assert (sent_now.status, sent_now.edition, sent_now.started_at) == (IssueStatus.DRAFT, None, None)
    assert not Delivery.objects.exists()
    assert not Batch.objects.exists()
    assert [step.target for step in sent_now.transitions.all()] == ["sending", "draft"]
    let_the_minute_pass()
    assert post_everything(provider) == 0


def test_what_was_undone_can_be_mended_and_sent_once(
    sent_now: Issue, sandbox: SandboxServer, provider: Provider, settings: Settings
) -> None:
    undo_send(sent_now, by="Edda")
    save_content(sent_now, content(subject="Corrected"), by="Edda")
    settings.UNDO_SECONDS = 0
    send_now(sent_now, by="Edda")
    address_everybody()
    assert post_everything(provider) == 1
    (mail,) = sandbox.ledger.mails_to(people.ADA, time.time())
    assert sandbox.ledger.contents(mail)["subject"] == "Corrected"


def test_the_same_words_reach_everybody_after_an_undo(sent_now: Issue, provider: Provider) -> None:
    undo_send(sent_now, by="Edda")
    send_now(sent_now, by="Edda")
    address_everybody()
    let_the_minute_pass()
    assert post_everything(provider) == 1


def test_once_a_worker_has_a_batch_it_is_too_late(sent_now: Issue, provider: Provider) -> None:
    let_the_minute_pass()
    assert claim_batch(provider)
    with pytest.raises(InvalidTransition, match="cannot be undone any more"):
        undo_send(sent_now, by="Edda")
    sent_now.refresh_from_db()
    assert sent_now.status == IssueStatus.SENDING
    assert Delivery.objects.count() == 1


def test_what_was_looked_up_was_in_doubt_and_keeps_its_proof(sent_now: Issue) -> None:
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
    assert not nothing_is_out(sent_now)
    with pytest.raises(InvalidTransition, match="had to be looked for"):
        undo_send(sent_now, by="Edda")
    assert ProviderSearch.objects.exists()


def test_a_draft_has_nothing_to_undo(issue: Issue) -> None:
    with pytest.raises(InvalidTransition, match="nothing to undo"):
        undo_send(issue, by="Edda")


def test_a_schedule_starts_without_waiting_since_there_was_time_to_think(issue: Issue, settings: Settings) -> None:
    settings.UNDO_SECONDS = 60
    people.ada(issue.newsletter)
    later = timezone.now() + datetime.timedelta(days=1)
    schedule_issue(issue, wall=later.replace(tzinfo=None), zone="UTC", by="Edda")
    Issue.objects.update(scheduled_at=just_now())
    start_due_issues()
    issue.refresh_from_db()
    assert (issue.status, issue.posts_from) == (IssueStatus.SENDING, None)


@pytest.mark.django_db(transaction=True)
@pytest.mark.postgresql
def test_of_an_undo_and_a_claim_at_the_same_moment_one_wins(provider: Provider) -> None:
    for number in range(5):
        issue = make_issue(f"issue-{number}")
        people.make_subscription(f"reader-{number}@example.org")
        start_sending(issue)
        address_everybody()
        barrier, results = threading.Barrier(2), dict[str, bool]()
        run_together(
            partial(claim_one, barrier, results, provider),
            partial(undo_one, barrier, results, issue),
        )
        assert results["claimed"] is not results["undone"]
        Batch.objects.filter(state=BatchState.CLAIMED).update(state=BatchState.ACCEPTED, payload=None)
        Delivery.objects.update(status=DeliveryStatus.ACCEPTED)


def run_together(*works: Callable[[], None]) -> None:
    threads = [threading.Thread(target=work) for work in works]
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


def undo_one(barrier: threading.Barrier, results: dict[str, bool], issue: Issue) -> None:
    try:
        barrier.wait()
        undo_send(issue, by="Edda")
        results["undone"] = True
    except InvalidTransition:
        results["undone"] = False
    finally:
        connection.close()


def test_a_send_that_nobody_is_there_to_undo_is_posted_at_once(
    issue: Issue, settings: Settings, provider: Provider
) -> None:
    settings.UNDO_SECONDS = 60
    people.ada(issue.newsletter)
    send_now(issue, by="demo", may_undo=False)
    address_everybody()
    assert Issue.objects.public().exists()
    assert post_everything(provider) == 1


def test_a_pause_in_the_same_minute_does_not_take_the_undo_away(sent_now: Issue, provider: Provider) -> None:
    pause_issue(sent_now, by="Edda", reason="Wait!")
    undo_send(sent_now, by="Edda")
    assert (sent_now.status, sent_now.hold_reason) == (IssueStatus.DRAFT, "")
    let_the_minute_pass()
    assert post_everything(provider) == 0


def test_a_paused_send_of_which_mails_are_out_cannot_be_undone(sent_now: Issue, provider: Provider) -> None:
    let_the_minute_pass()
    post_everything(provider)
    pause_issue(sent_now, by="Edda", reason="Wait!")
    assert not nothing_is_out(sent_now)
    with pytest.raises(InvalidTransition, match="cannot be undone any more"):
        undo_send(sent_now, by="Edda")
    sent_now.refresh_from_db()
    assert sent_now.status == IssueStatus.PAUSED


def test_it_can_be_undone_for_as_long_as_no_worker_was_there(sent_now: Issue) -> None:
    Issue.objects.update(posts_from=timezone.now() - datetime.timedelta(hours=2))
    let_the_minute_pass()
    assert nothing_is_out(sent_now)
    undo_send(sent_now, by="Edda")
    assert sent_now.status == IssueStatus.DRAFT


def test_a_send_that_the_provider_refused_can_be_undone_mended_and_sent(
    sent_now: Issue, sandbox: SandboxServer, provider: Provider
) -> None:
    let_the_minute_pass()
    sandbox.configure(api_key="re_another")
    post_everything(provider)
    sent_now.refresh_from_db()
    assert sent_now.status == IssueStatus.PAUSED
    undo_send(sent_now, by="Edda")
    sandbox.configure(api_key="re_sandbox")
    clear_suspensions(by="Edda")
    save_content(sent_now, content(subject="Corrected"), by="Edda")
    send_now(sent_now, by="Edda")
    address_everybody()
    let_the_minute_pass()
    post_everything(provider)
    assert len(sandbox.ledger.mails_to(people.ADA, time.time())) == 1


@pytest.mark.parametrize("state", [BatchState.CLAIMED, BatchState.UNKNOWN, BatchState.HELD, BatchState.ACCEPTED])
def test_what_is_or_may_be_out_cannot_be_undone(sent_now: Issue, state: BatchState) -> None:
    Batch.objects.update(state=state, payload=b"frozen")
    with pytest.raises(InvalidTransition, match="cannot be undone any more"):
        undo_send(sent_now, by="Edda")


def test_what_a_person_sent_again_in_doubt_cannot_be_undone(sent_now: Issue) -> None:
    Batch.objects.update(may_be_out=True)
    assert not nothing_is_out(sent_now)
    with pytest.raises(InvalidTransition, match="cannot be undone any more"):
        undo_send(sent_now, by="Edda")


def test_a_receipt_outranks_a_batch_that_seems_not_to_be_out(sent_now: Issue) -> None:
    Delivery.objects.update(delivered_at=timezone.now())
    with pytest.raises(InvalidTransition, match="cannot be undone any more"):
        undo_send(sent_now, by="Edda")
    assert Delivery.objects.count() == 1


def test_of_two_tabs_the_second_is_told_that_it_is_a_draft(sent_now: Issue) -> None:
    other_tab = Issue.objects.get(pk=sent_now.pk)
    undo_send(sent_now, by="Edda")
    with pytest.raises(InvalidTransition, match="is draft; there is nothing to undo"):
        undo_send(other_tab, by="Edda")
    assert sent_now.transitions.count() == 2
