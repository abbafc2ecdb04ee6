"""Heartbeats: few writes, one row a worker, deleted when it stops, and deleted later if it died."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import threading

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from newsletter.config.processes import process_identity
from newsletter.models import WorkerHeartbeat
from newsletter.monitoring.diagnostic import Severity
from newsletter.monitoring.heartbeat import HEARTBEAT_INTERVAL, Heartbeat, Queue, workers
from newsletter.monitoring.installation_diagnostics import worker_diagnostics
from newsletter.monitoring.metrics import metrics_text
from newsletter.monitoring.status import as_lines
from newsletter.worker import Step, loop, work
from tests.newsletter.monitoring.conftest import a_worker, ago

pytestmark = pytest.mark.django_db


def test_a_worker_writes_one_row_every_few_seconds_and_not_in_each_round() -> None:
    seconds = [0.0]
    heart = Heartbeat("host:1", clock=lambda: seconds[0])
    assert heart.beat() is False, "it never has more to do"
    with CaptureQueriesContext(connection) as queries:
        for _ in range(100):
            heart.beat()
    assert len(queries) == 0
    first = WorkerHeartbeat.objects.get()
    heart.note("post_batch")
    seconds[0] = HEARTBEAT_INTERVAL
    heart.beat()
    second = WorkerHeartbeat.objects.get()
    assert (second.pk, second.doing) == (first.pk, "post_batch")
    assert second.seen_at > first.seen_at
    assert second.started_at == first.started_at


def test_a_celery_process_names_the_queues_that_it_serves() -> None:
    heart = Heartbeat("host:1", queues=lambda: [Queue.SENDING, Queue.EVENTS])
    heart.note("post_batch")
    heart.beat()
    (state,) = workers()
    assert (state.queues, state.last_step) == (frozenset({"sending", "events"}), "post_batch")
    assert "serves events, sending, last step post_batch" in as_lines([])[-1]


def test_a_worker_that_stops_deletes_its_row() -> None:
    heart = Heartbeat("host:1")
    heart.beat()
    heart.end()
    assert not WorkerHeartbeat.objects.exists()


def test_a_silent_worker_counts_as_dead_and_is_listed_last() -> None:
    a_worker("host:1", seen=ago(minutes=10))
    a_worker("host:2", seen=ago(seconds=4), doing="post_batch")
    living, dead = workers()
    assert (living.name, living.is_alive, living.last_step) == ("host:2", True, "post_batch")
    assert (dead.name, dead.is_alive) == ("host:1", False)
    assert 595 < dead.age < 660


@pytest.fixture
def killed_worker() -> WorkerHeartbeat:
    """The row of a process of this machine that wrote a heartbeat a moment ago, and was killed."""
    with subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"]) as process:
        identity = process_identity(process.pid)
        process.kill()
    row = a_worker(f"{socket.gethostname()}:{process.pid}", seen=ago(seconds=1))
    WorkerHeartbeat.objects.filter(pk=row.pk).update(process=identity)
    return row


def test_a_killed_worker_of_this_machine_counts_as_dead_at_once(killed_worker: WorkerHeartbeat) -> None:
    (state,) = workers()
    assert (state.is_alive, state.has_ended) == (False, True)
    assert "dead, last heartbeat" in as_lines([])[-1]
    (diagnostic,) = worker_diagnostics()
    assert diagnostic.severity == Severity.ERROR
    assert diagnostic.sentence.startswith("No worker is running")
    assert b"newsletter_workers_alive 0.0" in metrics_text()


def test_a_killed_worker_of_another_machine_counts_as_dead_when_its_heartbeat_is_old(
    killed_worker: WorkerHeartbeat,
) -> None:
    WorkerHeartbeat.objects.update(name="another-machine:1")
    (state,) = workers()
    assert (state.is_alive, state.has_ended) == (True, False)


def test_a_new_worker_deletes_the_row_of_a_killed_one_at_once(killed_worker: WorkerHeartbeat) -> None:
    Heartbeat(f"{socket.gethostname()}:{os.getpid()}").beat()
    (state,) = workers()
    assert (state.name, state.is_alive) == (f"{socket.gethostname()}:{os.getpid()}", True)


def test_a_new_worker_deletes_the_rows_of_workers_that_died_a_day_ago() -> None:
    a_worker("old:1", seen=ago(days=2))
    a_worker("dead:2", seen=ago(hours=2))
    Heartbeat("host:1").beat()
    assert set(WorkerHeartbeat.objects.values_list("name", flat=True)) == {"dead:2", "host:1"}


def test_a_new_worker_deletes_the_rows_of_dead_workers_on_its_machine() -> None:
    for number in range(9):
        a_worker(f"host:{number + 10}", seen=ago(minutes=3 + number))
    a_worker("host:7", seen=ago(seconds=20))
    a_worker("host-2:7", seen=ago(minutes=3))
    Heartbeat("host:1").beat()
    assert set(WorkerHeartbeat.objects.values_list("name", flat=True)) == {"host:1", "host:7", "host-2:7"}


def test_the_worker_writes_heartbeats_while_it_works_and_deletes_its_row_at_the_end(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    stop, rows = threading.Event(), []

    def run() -> bool:
        stop.set()
        rows.append(WorkerHeartbeat.objects.count())
        return False

    monkeypatch.setattr(loop, "STEPS", (Step("run", Queue.SENDING, 0, run),))
    # It would close the connection that holds this test's transaction.
    monkeypatch.setattr(loop, "close_old_connections", lambda: None)
    work(stop)
    assert rows == [1]
    assert not WorkerHeartbeat.objects.exists()
