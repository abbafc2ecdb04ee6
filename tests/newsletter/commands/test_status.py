"""manage.py status: how far sends are, for a terminal and for programs."""

from __future__ import annotations

import io
import json

import pytest
from django.core.management import CommandError, call_command
from django.db import OperationalError

from newsletter.models import Batch, BatchState, Delivery, DeliveryState, Issue, Reason, Send
from newsletter.sending.control import cancel_send
from newsletter.sending.switch import stop_all_sending
from tests.newsletter.monitoring.conftest import a_worker, ago, batches, issue, refresh, send, set_batch
from tests.publications import make_issue

__all__ = ["batches", "issue", "send"]


def printed(*arguments: str) -> str:
    out = io.StringIO()
    call_command("status", *arguments, stdout=out)
    return out.getvalue()


@pytest.fixture
def half_sent(batches: list[Batch]) -> None:
    """One batch is accepted, and one is retried."""
    accepted, retried = batches[:2]
    set_batch(accepted, state=BatchState.ACCEPTED, finished_at=ago(seconds=1))
    owned = Delivery.objects.filter(pk__gte=accepted.first_delivery, pk__lte=accepted.last_delivery)
    owned.update(state=DeliveryState.ACCEPTED)
    set_batch(retried, attempts=1, reason="rate_limit_exceeded", not_before=ago(seconds=-30))


def test_it_shows_each_running_send_and_the_workers(half_sent: None) -> None:
    a_worker("host:7", seen=ago(seconds=3), doing="post_batch")
    a_worker("host:8", seen=ago(minutes=9))
    shown = printed()
    assert "Harbour Notes: “Taller cranes” – Sending" in shown
    assert "[########................................]  20 %  2 of 10 accepted" in shown
    assert "retrying 2" in shown
    assert "UTC: The provider received too many requests." in shown
    assert "Worker host:7: last heartbeat 3 s ago, last step post_batch" in shown
    assert "Worker host:8: dead, last heartbeat 9 min ago" in shown


def test_during_the_undo_window_it_says_when_posting_starts(send: Send, batches: list[Batch]) -> None:
    Send.objects.update(undo_until=ago(seconds=-30))
    assert "undo window: posting starts at " in printed()
    Send.objects.update(undo_until=ago(seconds=1))
    assert "undo window" not in printed()


@pytest.mark.django_db
def test_without_sends_and_workers_it_says_so() -> None:
    make_issue()
    assert printed().splitlines() == [
        "No send is scheduled or running.",
        "No worker is running. Start one: manage.py worker",
    ]


@pytest.mark.django_db
def test_an_issue_without_a_send_is_shown_with_its_state() -> None:
    make_issue()
    assert printed("issue-1").splitlines()[0] == "“Taller cranes” has no send. Its state is Draft."
    Issue.objects.update(hold_reason=Reason.NOT_STARTED)
    assert printed("issue-1").splitlines()[0].endswith("Its state is Draft. The issue was due and did not start.")
    assert json.loads(printed("issue-1", "--json"))["sends"] == []


def test_programs_get_json(send: Send, half_sent: None) -> None:
    a_worker("host:7", seen=ago(seconds=3), doing="events: apply_events")
    data = json.loads(printed("issue-1", "--json"))
    (shown,) = data["sends"]
    assert (shown["newsletter"], shown["issue"], shown["state"]) == ("harbour-notes", "issue-1", "sending")
    assert (shown["audience"], shown["accepted"], shown["in_flight"], shown["failed_to_send"]) == (10, 2, 0, 0)
    assert (shown["percent"], shown["retrying"], shown["held_batches"]) == (20, 2, 0)
    assert shown["next_attempt_at"] is not None
    assert shown["retry_reason"] == "The provider received too many requests. Sending is slowed down."
    (worker,) = data["workers"]
    assert (worker["name"], worker["last_step"], worker["queues"]) == ("host:7", "apply_events", ["events"])


def test_programs_get_the_reason_of_a_pause_as_a_code(send: Send) -> None:
    send.pause(Reason.ISSUE_REFUSED, values={"text": "No such domain."})
    (shown,) = json.loads(printed("--json"))["sends"]
    assert (shown["state"], shown["hold_reason"]) == ("paused", "issue_refused")
    assert shown["hold_sentence"] == "The provider refuses this issue. No such domain."
    assert "  paused: The provider refuses this issue. No such domain." in printed()


def test_a_scheduled_send_shows_its_start_with_the_zone(send: Send) -> None:
    refresh(send, state="scheduled", scheduled_at=ago(days=-3), scheduled_zone="Europe/Berlin", started_at=None)
    assert f"  starts {ago(days=-3):%Y-%m-%d %H:%M} UTC (Europe/Berlin)" in printed().splitlines()


def test_held_batches_are_counted_with_their_recipients(batches: list[Batch]) -> None:
    for batch in batches[:2]:
        set_batch(batch, state=BatchState.HELD)
    assert "  held batches 2 · recipients 4: decide on the report page" in printed().splitlines()


def test_watching_ends_when_no_send_is_running(send: Send) -> None:
    cancel_send(send, by="Edda")
    assert "Cancelled" in printed("issue-1", "--watch")


def test_without_a_database_it_fails_with_a_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse() -> list[Send]:
        raise OperationalError("marked")

    monkeypatch.setattr("newsletter.management.commands.status.unfinished_sends", refuse)
    with pytest.raises(CommandError, match=r"The database cannot be read \(OperationalError\)\. Run manage\.py doctor"):
        call_command("status")


@pytest.mark.django_db
def test_a_stop_of_all_sending_comes_first() -> None:
    assert json.loads(printed("--json"))["sending_stopped"] is None
    stop_all_sending(by="Edda", text="The API key leaked.")
    first = printed().splitlines()[0]
    assert first.startswith("All sending is stopped. Decided by an operator. The API key leaked. Stopped by Edda at ")
    assert "manage.py resume_sending" in first
    data = json.loads(printed("--json"))["sending_stopped"]
    assert (data["reason"], data["by"]) == ("operator", "Edda")
