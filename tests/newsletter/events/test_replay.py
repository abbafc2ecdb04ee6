"""Unused events are applied again: selected ones, all of a reason, all orphans; who decided it is recorded."""

from __future__ import annotations

import datetime

import orjson
import pytest
from django.utils import timezone

from newsletter.events import replay as replays
from newsletter.events.apply import apply_events
from newsletter.events.replay import APPLIED_AGAIN, replay_all, replay_events, replay_selected
from newsletter.models import Delivery, Event, EventReplay, EventState, EventTally, Reason, Send
from newsletter.providers import get_provider
from tests import people
from tests.newsletter.events.test_apply import apply, delivery, delivery_to, receive, send, states

pytestmark = pytest.mark.django_db

__all__ = ["delivery", "send"]


def orphans(count: int, start: int = 900_000) -> list[int]:
    """Events of this installation for deliveries that do not exist, applied once."""
    at = timezone.now().isoformat()
    Event.objects.bulk_create(
        [
            Event(
                provider="resend",
                event_id=f"orphan-{start + number}",
                kind="email.delivered",
                body=orjson.dumps(
                    {
                        "type": "email.delivered",
                        "created_at": at,
                        "data": {"to": [people.ADA], "tags": {"env": "tests", "delivery": str(start + number)}},
                    }
                ).decode(),
            )
            for number in range(count)
        ]
    )
    apply()
    return list(Event.objects.filter(event_id__startswith="orphan").order_by("pk").values_list("pk", flat=True))


def run() -> None:
    while replay_events():
        pass


def test_an_event_is_applied_once_its_delivery_exists(send: Send, delivery: Delivery) -> None:
    receive("email.delivered", delivery, event_id="early", tags={"delivery": str(delivery.pk + 1), "env": "tests"})
    apply()
    event = Event.objects.get()
    assert (event.state, EventTally.objects.unused()) == (EventState.ORPHAN, {Reason.NO_SUCH_DELIVERY: 1})
    # As after a restore: the same subscriber has a delivery of this number now.
    Delivery.objects.filter(pk=delivery.pk).update(id=delivery.pk + 1)
    replay = replay_selected([event.pk], by="Edda")
    event.refresh_from_db()
    assert (replay.events, replay.by, event.state, event.reason) == (1, "Edda", EventState.NEW, APPLIED_AGAIN)
    assert "again" in event.note
    apply()
    event.refresh_from_db()
    assert (event.state, event.reason, event.delivery_id) == (EventState.APPLIED, "", delivery.pk + 1)
    assert Delivery.objects.get().delivered_at is not None
    assert EventTally.objects.unused() == {}


def test_applied_and_waiting_events_are_not_moved(delivery: Delivery) -> None:
    receive("email.delivered", delivery, event_id="1")
    apply()
    receive("email.opened", delivery, event_id="2")
    assert replay_selected(list(Event.objects.values_list("pk", flat=True)), by="tests").events == 0
    assert states() == [EventState.APPLIED, EventState.NEW]


def test_an_event_whose_content_was_removed_stays(send: Send) -> None:
    pks = orphans(2)
    Event.objects.filter(pk=pks[0]).update(body="")
    assert replay_selected(pks, by="tests").events == 1
    assert Event.objects.get(pk=pks[0]).state == EventState.ORPHAN


def test_all_of_a_reason_are_moved_in_chunks_and_each_once(send: Send, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(replays, "CHUNK", 4)
    pks = orphans(10)
    Event.objects.create(provider="resend", event_id="odd", kind="?", body="no json")
    apply()
    replay_all(by="tests", reason=Reason.NO_SUCH_DELIVERY)
    assert replay_events()
    assert Event.objects.filter(state=EventState.NEW).count() == 4
    # What was moved is applied meanwhile, to no use; it is not moved again.
    apply()
    run()
    apply()
    row = EventReplay.objects.get()
    assert (row.events, row.finished_at is not None) == (10, True)
    assert set(Event.objects.filter(pk__in=pks).values_list("state", flat=True)) == {EventState.ORPHAN}
    assert EventTally.objects.unused() == {Reason.NO_SUCH_DELIVERY: 10, "event_unreadable": 1}


def test_events_that_come_after_the_decision_are_no_part_of_it(send: Send) -> None:
    orphans(2)
    replay_all(by="tests", state=EventState.ORPHAN)
    orphans(3, start=950_000)
    run()
    assert EventReplay.objects.get().events == 2


def test_a_kill_in_the_middle_leaves_the_rest_to_the_next_run(send: Send, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(replays, "CHUNK", 3)
    orphans(8)
    replay_all(by="tests", state=EventState.ORPHAN)
    replay_events()
    EventReplay.objects.update(started_at=timezone.now() - datetime.timedelta(days=1))
    run()
    assert (EventReplay.objects.get().events, Event.objects.filter(state=EventState.NEW).count()) == (8, 8)


def test_the_tally_agrees_with_the_table_after_anything(send: Send, delivery: Delivery) -> None:
    orphans(3)
    receive("email.delivered", delivery, event_id="1", tags={"env": "other"})
    receive("contact.created", delivery, event_id="2")
    apply()
    replay_selected(list(Event.objects.values_list("pk", flat=True)), by="tests")
    while apply_events(get_provider()):
        pass
    counted: dict[str, int] = {}
    for reason in Event.objects.exclude(reason="").values_list("reason", flat=True):
        counted[reason] = counted.get(reason, 0) + 1
    assert EventTally.objects.unused() == counted


def test_too_many_selected_events_are_refused() -> None:
    with pytest.raises(ValueError, match="1001"):
        replay_selected(range(replays.CHUNK + 1), by="tests")


def test_a_subscriber_of_an_orphan_is_not_touched_by_the_replay(send: Send) -> None:
    other = delivery_to(people.BEN, send)
    pks = orphans(1)
    replay_selected(pks, by="tests")
    apply()
    other.refresh_from_db()
    assert other.delivered_at is None
