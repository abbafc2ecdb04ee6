"""Heartbeats: few writes, one row a worker, gone when it stops, forgotten when it died long ago."""

from __future__ import annotations

import threading

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from newsletter import worker
from newsletter.models import WorkerHeartbeat
from newsletter.monitoring.heartbeat import BEAT, Heartbeat, workers
from newsletter.monitoring.status import as_lines
from newsletter.worker import Stepper, work
from tests.newsletter.monitoring.conftest import a_worker, ago

pytestmark = pytest.mark.django_db


def test_a_worker_writes_one_row_and_not_at_every_turn() -> None:
    seconds = [0.0]
    heart = Heartbeat("host:1", clock=lambda: seconds[0])
    assert heart.beat() is False, "it never has more to do"
    with CaptureQueriesContext(connection) as queries:
        for _ in range(100):
            heart.beat()
    assert len(queries) == 0
    first = WorkerHeartbeat.objects.get()
    heart.note("post_next")
    seconds[0] = BEAT
    heart.beat()
    again = WorkerHeartbeat.objects.get()
    assert (again.pk, again.doing) == (first.pk, "post_next")
    assert again.seen_at > first.seen_at
    assert again.started_at == first.started_at


def test_a_process_of_a_fleet_says_what_it_was_woken_for() -> None:
    heart = Heartbeat("host:1", woken_for=lambda: ["issues", "receipts"])
    heart.note("post_next")
    heart.beat()
    (state,) = workers()
    assert (state.woken_for, state.doing) == (frozenset({"issues", "receipts"}), "post_next")
    assert "woken for issues, receipts, last did post_next" in as_lines([])[-1]


def test_a_worker_that_is_stopped_leaves_no_row() -> None:
    heart = Heartbeat("host:1")
    heart.beat()
    heart.end()
    assert not WorkerHeartbeat.objects.exists()


def test_a_silent_worker_counts_as_gone_and_stands_behind_the_living() -> None:
    a_worker("host:1", seen=ago(minutes=10))
    a_worker("host:2", seen=ago(seconds=4), doing="post_next")
    living, silent = workers()
    assert (living.name, living.is_alive, living.doing) == ("host:2", True, "post_next")
    assert (silent.name, silent.is_alive) == ("host:1", False)
    assert 595 < silent.seconds < 660


def test_a_new_worker_forgets_those_who_died_long_ago() -> None:
    a_worker("old:1", seen=ago(days=2))
    a_worker("dead:2", seen=ago(hours=2))
    Heartbeat("host:1").beat()
    assert set(WorkerHeartbeat.objects.values_list("name", flat=True)) == {"dead:2", "host:1"}


def test_a_new_worker_takes_the_place_of_those_that_fell_on_its_machine() -> None:
    for number in range(9):
        a_worker(f"host:{number + 10}", seen=ago(minutes=3 + number))
    a_worker("host:7", seen=ago(seconds=20))
    a_worker("host-2:7", seen=ago(minutes=3))
    Heartbeat("host:1").beat()
    assert set(WorkerHeartbeat.objects.values_list("name", flat=True)) == {"host:1", "host:7", "host-2:7"}


def test_the_worker_beats_while_it_works_and_leaves_in_order(monkeypatch: pytest.MonkeyPatch) -> None:
    stop, seen = threading.Event(), []

    def look() -> bool:
        stop.set()
        seen.append(WorkerHeartbeat.objects.count())
        return False

    monkeypatch.setattr(worker, "steps_of", lambda route: [look])
    monkeypatch.setattr(worker, "errands_of", list)
    # It would close the connection that holds this test's transaction.
    monkeypatch.setattr(worker, "close_old_connections", lambda: None)
    work(stop)
    assert seen == [1]
    assert not WorkerHeartbeat.objects.exists()


def test_a_step_that_did_something_is_told_by_its_name() -> None:
    told: list[str] = []

    def sweep() -> bool:
        return True

    Stepper(sweep, on_work=told.append)()
    Stepper(lambda: False, on_work=told.append)()
    assert told == ["sweep"]
