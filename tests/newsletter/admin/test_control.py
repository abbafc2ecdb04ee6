"""Pause, resume, cancel and held batches: one page each, only POST acts, and a second click is harmless."""

from __future__ import annotations

import pytest
from django.test import Client

from newsletter.models import Batch, BatchState, Delivery, DeliveryState, Issue, IssueState, Reason, Send, SendState
from tests.newsletter.admin.pages import page_of, status_of, words_on
from tests.publications import make_issue

pytestmark = pytest.mark.usefixtures("read_by_ada")


def test_pause_resume_and_cancel_move_the_send_and_record_who_and_why(edda: Client, running_send: Send) -> None:
    issue = running_send.issue
    edda.post(page_of(issue, "pause"), {"reason": "A typo\nin the lead"})
    assert status_of(issue) == SendState.PAUSED
    edda.post(page_of(issue, "resume"))
    assert status_of(issue) == SendState.SENDING
    edda.post(page_of(issue, "cancel"), {"reason": "Wrong issue"})
    assert status_of(issue) == SendState.CANCELLED
    steps = [(step.target, step.by, step.reason, step.values) for step in running_send.transitions.all()]
    assert steps[1:] == [
        (SendState.PAUSED, "edda", Reason.OPERATOR, {"text": "A typo in the lead"}),
        (SendState.SENDING, "edda", Reason.OPERATOR, {}),
        (SendState.CANCELLED, "edda", Reason.OPERATOR, {"text": "Wrong issue"}),
    ]
    assert "Cancelled: Decided by an operator. Wrong issue" in words_on(edda.get(page_of(issue, "report")))


def test_the_page_of_resume_says_why_the_send_was_paused(edda: Client, running_send: Send) -> None:
    edda.post(page_of(running_send.issue, "pause"), {"reason": "A typo"})
    shown = words_on(edda.get(page_of(running_send.issue, "resume")))
    assert "It was paused: Decided by an operator. A typo" in shown


@pytest.mark.parametrize(
    ("decision", "button"), [("pause", "Pause sending"), ("cancel", "Cancel the send"), ("undo", "Undo the start")]
)
def test_opening_the_page_of_a_decision_changes_nothing(
    edda: Client, running_send: Send, decision: str, button: str
) -> None:
    assert f"{button} Back" in words_on(edda.get(page_of(running_send.issue, decision)))
    assert status_of(running_send.issue) == SendState.SENDING


@pytest.mark.parametrize(("decision", "status"), [("pause", "Paused"), ("cancel", "Cancelled")])
def test_a_second_click_changes_nothing_and_shows_the_status(
    edda: Client, running_send: Send, decision: str, status: str
) -> None:
    edda.post(page_of(running_send.issue, decision))
    before = running_send.transitions.count()
    again = edda.post(page_of(running_send.issue, decision), follow=True)
    assert f"Nothing was changed: the status of this issue is “{status}”." in words_on(again)
    assert running_send.transitions.count() == before


def test_resume_does_not_start_a_draft(edda: Client, issue: Issue) -> None:
    edda.post(page_of(issue, "resume"))
    assert status_of(issue) == IssueState.DRAFT
    shown = edda.get(page_of(issue, "resume"), follow=True)
    assert "Nothing was changed: the status of this issue is “Draft”." in words_on(shown)


@pytest.fixture
def held(running_send: Send) -> Batch:
    Batch.objects.update(state=BatchState.HELD, payload=b"frozen", recipients=1, reason=Reason.KEY_EXPIRED)
    Delivery.objects.update(state=DeliveryState.UNKNOWN)
    return Batch.objects.get()


def test_a_held_batch_is_listed_with_its_reason_and_both_decisions(edda: Client, issue: Issue, held: Batch) -> None:
    answer = edda.get(page_of(issue, "report"))
    assert "1 batch with an unknown outcome needs your decision" in words_on(answer)
    reason = "No answer came before the provider forgets the idempotency key."
    assert f"Batch {held.pk}, 1 recipient {reason}" in words_on(answer)
    for choice in ("batches_mark_as_sent", "batches_send_again"):
        assert page_of(issue, choice, held.pk) in answer.content.decode()
        assert reason in words_on(edda.get(page_of(issue, choice, held.pk)))


def test_mark_as_sent_settles_the_batch_once(edda: Client, issue: Issue, held: Batch) -> None:
    url = page_of(issue, "batches_mark_as_sent", held.pk)
    assert "they never get this issue" in words_on(edda.get(url))
    edda.post(url)
    held.refresh_from_db()
    assert held.state == BatchState.ACCEPTED
    assert (held.reason, (held.reason_values or {})["by"]) == (Reason.MARKED_AS_SENT, "edda")
    assert Delivery.objects.get().state == DeliveryState.ACCEPTED
    assert "not held any more" in words_on(edda.post(url, follow=True))


def test_send_again_makes_the_batch_ready_once(edda: Client, issue: Issue, held: Batch) -> None:
    url = page_of(issue, "batches_send_again", held.pk)
    assert "gets this issue twice" in words_on(edda.get(url))
    edda.post(url)
    held.refresh_from_db()
    assert held.state == BatchState.READY
    assert Delivery.objects.get().state == DeliveryState.PENDING
    assert "not held any more" in words_on(edda.post(url, follow=True))


def test_a_batch_of_another_issue_is_not_found(edda: Client, held: Batch) -> None:
    other = make_issue("issue-2")
    assert edda.post(page_of(other, "batches_send_again", held.pk)).status_code == 404
