"""Progress: how far a send is, how fast it is, and its log."""

from __future__ import annotations

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from newsletter.models import Batch, BatchState, Delivery, DeliveryState, Reason, Send
from newsletter.monitoring.formatting import duration
from newsletter.monitoring.progress import log_of, progress_of, unfinished_sends
from newsletter.sending.control import pause_send
from tests.newsletter.monitoring.conftest import ago, refresh, set_batch


def accept(batch: Batch, seconds_ago: float) -> None:
    set_batch(batch, state=BatchState.ACCEPTED, finished_at=ago(seconds=seconds_ago))
    owned = Delivery.objects.filter(pk__gte=batch.first_delivery, pk__lte=batch.last_delivery)
    owned.update(state=DeliveryState.ACCEPTED)


def test_the_rate_is_that_of_the_last_minute_and_gives_the_time_left(send: Send, batches: list[Batch]) -> None:
    accept(batches[0], seconds_ago=300)
    accept(batches[1], seconds_ago=20)
    progress = progress_of(refresh(send, started_at=ago(minutes=10)))
    assert progress.rate == pytest.approx(2 / 60)
    assert progress.percent == 40
    assert progress.seconds_left == pytest.approx(6 * 30)


def test_the_rate_of_a_young_send_is_measured_since_its_start(send: Send, batches: list[Batch]) -> None:
    accept(batches[0], seconds_ago=1)
    progress = progress_of(refresh(send, started_at=ago(seconds=10)))
    assert progress.rate == pytest.approx(0.2, rel=0.3)


def test_a_paused_send_has_no_time_left(send: Send, batches: list[Batch]) -> None:
    accept(batches[0], seconds_ago=1)
    pause_send(send, by="Edda")
    assert progress_of(send).seconds_left is None


def test_while_the_audience_is_expanded_there_is_no_percentage(send: Send) -> None:
    send.expanded_at = None
    progress = progress_of(send)
    assert (progress.is_expanded, progress.percent, progress.seconds_left) == (False, None, None)


def test_retried_batches_and_held_batches_are_counted_separately(send: Send, batches: list[Batch]) -> None:
    set_batch(batches[0], state=BatchState.UNKNOWN, attempts=2, reason="no_answer", not_before=ago(seconds=-60))
    set_batch(batches[1], attempts=1, reason="rate_limit_exceeded", not_before=ago(seconds=-30))
    set_batch(batches[2], state=BatchState.HELD, attempts=9)
    set_batch(batches[3], state=BatchState.CLAIMED, attempts=1)
    progress = progress_of(send)
    assert (progress.retrying, progress.held) == (4, 2)
    assert progress.retry_reason == "The provider received too many requests. Sending is slowed down."
    assert progress.next_attempt_at is not None


def test_the_number_of_queries_does_not_depend_on_the_number_of_batches(send: Send, batches: list[Batch]) -> None:
    with CaptureQueriesContext(connection) as queries:
        progress_of(send)
        log_of(send)
    assert len(queries) <= 6


def test_the_log_has_every_transition_and_groups_exceptional_batches_by_reason(
    send: Send, batches: list[Batch]
) -> None:
    refused = {"reason": "validation_error", "reason_values": {"text": "Bad address."}}
    for batch in batches[:2]:
        set_batch(batch, state=BatchState.REFUSED, finished_at=ago(seconds=2), **refused)
    set_batch(batches[2], state=BatchState.HELD, reason=Reason.KEY_EXPIRED, first_attempt_at=ago(seconds=1))
    accept(batches[3], seconds_ago=1)
    pause_send(send, by="Edda", text="Check the first story.")
    entries = log_of(send)
    assert (entries[0].sentence, entries[0].by) == ("Paused. Decided by an operator. Check the first story.", "Edda")
    sentences = [entry.sentence for entry in entries]
    assert f"Held for review: batch {batches[2].pk}, 2 recipients. {Reason.KEY_EXPIRED.label}" in sentences
    assert "Refused: 2 batches, 4 recipients. The provider rejected the request as invalid. Bad address." in sentences
    assert "The audience has been expanded." in sentences
    assert not [sentence for sentence in sentences if f"batch {batches[3].pk}," in sentence], "it went the usual way"


def test_batches_with_other_values_of_a_reason_are_another_entry(send: Send, batches: list[Batch]) -> None:
    for batch, text in zip(batches, ("One.", "Other."), strict=False):
        values = {"reason": "validation_error", "reason_values": {"text": text}}
        set_batch(batch, state=BatchState.REFUSED, finished_at=ago(seconds=2), **values)
    assert len([entry for entry in log_of(send) if entry.sentence.startswith("Refused: batch ")]) == 2


def test_a_note_in_the_history_names_no_state(send: Send) -> None:
    send.note(Reason.RETRIED, by="Edda", values={"count": 3})
    assert log_of(send)[0].sentence == "Failed deliveries are retried: 3."


def test_unfinished_sends_are_read_without_their_manifests(send: Send) -> None:
    (found,) = unfinished_sends()
    assert found == send
    assert "manifest" in found.get_deferred_fields()


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (-3, "0 s"),
        (4.2, "4 s"),
        (89, "89 s"),
        (540, "9 min"),
        (7_500, "2 h 5 min"),
        (7_200, "2 h"),
        (260_000, "3 days"),
    ],
)
def test_durations_are_rounded_to_what_matters(seconds: float, text: str) -> None:
    assert duration(seconds) == text
