"""Pace: a running send says one thing, and when it goes on."""

from __future__ import annotations

import datetime

import pytest
from django.utils import timezone

from newsletter.models import Batch, BatchState, Delivery, DeliveryState, Newsletter, Reason, Send, SendState
from newsletter.monitoring.pace import Pace, PaceKind, pace_of
from newsletter.monitoring.progress import progress_of
from newsletter.monitoring.status import as_lines
from newsletter.sending.control import cancel_send, pause_send
from newsletter.sending.switch import stop_all_sending
from tests.newsletter.monitoring.conftest import a_worker, ago, refresh, set_batch


def clock(at: datetime.datetime) -> str:
    return f"{at:%H:%M}"


def pace(send: Send) -> Pace | None:
    return pace_of(send, progress_of(send), clock)


def kind(send: Send) -> PaceKind | None:
    found = pace(send)
    return found.kind if found else None


def accepted_lately(batch: Batch) -> None:
    set_batch(batch, state=BatchState.ACCEPTED, finished_at=ago(seconds=5), first_attempt_at=ago(minutes=20))
    owned = Delivery.objects.filter(pk__gte=batch.first_delivery, pk__lte=batch.last_delivery)
    owned.update(state=DeliveryState.ACCEPTED)


def test_a_send_without_a_worker_is_blocked(send: Send) -> None:
    found = pace(send)
    assert found is not None
    assert found.kind is PaceKind.BLOCKED
    assert "No worker is running" in found.sentences[0]


def test_what_stops_all_sending_comes_before_a_limit(send: Send, batches: list[Batch]) -> None:
    a_worker()
    accepted_lately(batches[0])
    Newsletter.objects.update(hourly_limit=2)
    send = refresh(send)
    assert kind(send) is PaceKind.PACED
    stop_all_sending(by="Edda", text="A check")
    assert kind(send) is PaceKind.BLOCKED


def test_a_used_up_limit_names_the_time_at_which_it_is_free(send: Send, batches: list[Batch]) -> None:
    a_worker()
    accepted_lately(batches[0])
    Newsletter.objects.update(hourly_limit=2)
    send = refresh(send, started_at=ago(minutes=30))
    found, free_at = pace(send), ago(minutes=-40)
    assert found is not None
    assert found.goes_on_at is not None
    assert abs(found.goes_on_at - free_at) < datetime.timedelta(seconds=30)
    assert progress_of(send).seconds_left is None, "the rate of the last minute says nothing of an hour"
    assert "\n  paced: The sending limit of" in "\n".join(as_lines([send]))
    assert " left" not in "\n".join(as_lines([send]))


def test_a_limit_that_is_used_up_by_the_last_mail_holds_nothing_back(send: Send, batches: list[Batch]) -> None:
    a_worker()
    for batch in batches:
        accepted_lately(batch)
    Newsletter.objects.update(hourly_limit=10)
    assert kind(refresh(send, started_at=ago(minutes=30))) is PaceKind.SENDING


def test_a_moving_send_has_a_rate_and_the_time_left(send: Send, batches: list[Batch]) -> None:
    a_worker()
    accepted_lately(batches[0])
    found = pace(refresh(send, started_at=ago(minutes=30)))
    assert found is not None
    assert found.kind is PaceKind.SENDING
    assert found.sentences[1].startswith("About 4 min left, until ")


def test_within_the_undo_window_nothing_else_is_said(send: Send) -> None:
    until = timezone.now() + datetime.timedelta(seconds=40)
    found = pace(refresh(send, undo_until=until))
    assert found is not None
    assert (found.kind, found.goes_on_at) == (PaceKind.UNDOABLE, until)


@pytest.mark.parametrize(
    ("reason", "sentence"),
    [
        (Reason.OPERATOR, "Nothing is sent until you resume it."),
        (Reason.PROVIDER_OUTAGE, "It resumes automatically when a provider accepts mail again."),
    ],
)
def test_a_paused_send_says_who_resumes_it(send: Send, reason: Reason, sentence: str) -> None:
    send.pause(reason)
    assert pace(send) == Pace(kind=PaceKind.PAUSED, sentences=(sentence,))


def test_a_retry_names_its_time_and_its_cause(send: Send, batches: list[Batch]) -> None:
    a_worker()
    later = timezone.now() + datetime.timedelta(minutes=3)
    Batch.objects.update(attempts=1, reason=Reason.NO_PERMIT, not_before=later)
    found = pace(send)
    assert found is not None
    assert (found.kind, found.goes_on_at) == (PaceKind.RETRYING, later)
    assert found.sentences == (f"The next attempt is at {clock(later)}.", str(Reason.NO_PERMIT.label))
    Batch.objects.update(not_before=ago(seconds=5))
    due = pace(send)
    assert due is not None
    assert due.sentences[0] == "The next attempt is made as soon as a worker is free."


def test_mails_with_a_time_of_their_own_are_planned(send: Send) -> None:
    a_worker()
    later = timezone.now() + datetime.timedelta(hours=3)
    Batch.objects.update(not_before=later)
    found = pace(send)
    assert found is not None
    assert (found.kind, found.goes_on_at) == (PaceKind.PLANNED, later)


def test_before_the_first_mail_the_audience_is_expanded(send: Send) -> None:
    a_worker()
    assert kind(send) is PaceKind.WAITING
    assert kind(refresh(send, expanded_at=None)) is PaceKind.EXPANDING


def test_a_send_that_is_over_has_no_pace(send: Send) -> None:
    pause_send(send, by="Edda")
    cancel_send(send, by="Edda")
    assert send.state == SendState.CANCELLED
    assert pace(send) is None
