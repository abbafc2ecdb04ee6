"""Pause, resume, cancel, and batches in doubt: one page each, POST acts, twice is harmless."""

from __future__ import annotations

import pytest
from django.test import Client

from newsletter.models import Batch, BatchState, Delivery, DeliveryStatus, Issue, IssueStatus
from tests.newsletter.admin.pages import page_of, words_on
from tests.publications import address_everybody, make_issue, start_sending

pytestmark = pytest.mark.usefixtures("read_by_ada")


@pytest.fixture
def on_its_way(issue: Issue) -> Issue:
    start_sending(issue)
    address_everybody()
    return issue


def status_of(issue: Issue) -> str:
    issue.refresh_from_db()
    return issue.status


def test_pause_resume_and_cancel_move_the_issue_and_the_history_says_who_and_why(
    edda: Client, on_its_way: Issue
) -> None:
    edda.post(page_of(on_its_way, "pause"), {"reason": "A typo\nin the lead"})
    assert status_of(on_its_way) == IssueStatus.PAUSED
    edda.post(page_of(on_its_way, "resume"))
    assert status_of(on_its_way) == IssueStatus.SENDING
    edda.post(page_of(on_its_way, "cancel"), {"reason": "Wrong issue"})
    assert status_of(on_its_way) == IssueStatus.CANCELLED
    steps = [(step.target, step.by, step.reason) for step in on_its_way.transitions.all()][1:]
    assert steps[0] == ("paused", "edda", "A typo in the lead")
    assert steps[1][:2] == ("sending", "edda")
    assert steps[2] == ("cancelled", "edda", "Wrong issue")
    assert "Wrong issue" in words_on(edda.get(page_of(on_its_way, "report")))


@pytest.mark.parametrize("decision", ["pause", "cancel"])
def test_looking_at_a_decision_decides_nothing(edda: Client, on_its_way: Issue, decision: str) -> None:
    assert "Leave it as it is" in words_on(edda.get(page_of(on_its_way, decision)))
    assert status_of(on_its_way) == IssueStatus.SENDING


@pytest.mark.parametrize("decision", ["pause", "cancel"])
def test_a_second_press_is_told_what_holds_and_changes_nothing(edda: Client, on_its_way: Issue, decision: str) -> None:
    edda.post(page_of(on_its_way, decision))
    before = on_its_way.transitions.count()
    again = edda.post(page_of(on_its_way, decision), follow=True)
    assert "nothing was changed" in words_on(again)
    assert on_its_way.transitions.count() == before


def test_resume_does_not_start_a_draft(edda: Client, issue: Issue) -> None:
    edda.post(page_of(issue, "resume"))
    assert status_of(issue) == IssueStatus.DRAFT
    assert "there is nothing to decide here" in words_on(edda.get(page_of(issue, "resume"), follow=True))


@pytest.fixture
def held(on_its_way: Issue) -> Batch:
    Batch.objects.update(state=BatchState.HELD, payload=b"frozen", recipients=1, reason="No answer came.")
    Delivery.objects.update(status=DeliveryStatus.UNKNOWN)
    return Batch.objects.get()


def test_a_held_batch_is_named_with_its_reason_and_both_decisions(edda: Client, on_its_way: Issue, held: Batch) -> None:
    answer = edda.get(page_of(on_its_way, "report"))
    assert "1 batch needs your decision" in words_on(answer)
    assert f"Batch {held.pk}, 1 reader No answer came." in words_on(answer)
    for choice in ("batches_count_as_sent", "batches_send_again"):
        assert page_of(on_its_way, choice, held.pk) in answer.content.decode()


def test_count_as_sent_settles_the_batch_once(edda: Client, on_its_way: Issue, held: Batch) -> None:
    url = page_of(on_its_way, "batches_count_as_sent", held.pk)
    assert "they never get this issue" in words_on(edda.get(url))
    edda.post(url)
    held.refresh_from_db()
    assert held.state == BatchState.ACCEPTED
    assert "edda" in held.reason
    assert Delivery.objects.get().status == DeliveryStatus.ACCEPTED
    assert "not held any more" in words_on(edda.post(url, follow=True))


def test_send_again_makes_the_batch_ready_once(edda: Client, on_its_way: Issue, held: Batch) -> None:
    url = page_of(on_its_way, "batches_send_again", held.pk)
    assert "gets this issue twice" in words_on(edda.get(url))
    edda.post(url)
    held.refresh_from_db()
    assert held.state == BatchState.READY
    assert Delivery.objects.get().status == DeliveryStatus.PENDING
    assert "not held any more" in words_on(edda.post(url, follow=True))


def test_a_batch_of_another_issue_is_not_found(edda: Client, held: Batch) -> None:
    other = make_issue("issue-2")
    assert edda.post(page_of(other, "batches_send_again", held.pk)).status_code == 404
