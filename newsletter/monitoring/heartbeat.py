"""Heartbeats: each worker process writes a row every few seconds, and a row that grows old shows that it died."""

from __future__ import annotations

import datetime
import enum
import os
import socket
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from django.db import DatabaseError
from django.db.models import Q
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from newsletter.config.processes import is_known_dead, process_identity
from newsletter.models import WorkerHeartbeat

#: Seconds between two heartbeats: one small write each.
HEARTBEAT_INTERVAL = 5.0

#: A worker whose last heartbeat is older than this is dead. The longest step is a post, which usually ends
#: within 65 s; a server that answers byte by byte can make it longer, and the worker then counts as dead meanwhile.
HEARTBEAT_TIMEOUT = datetime.timedelta(minutes=2)

#: Rows of dead workers are deleted after this time.
DELETED_AFTER = datetime.timedelta(days=1)


class Queue(enum.StrEnum):
    """The Celery queue of a step, so that one kind of work cannot delay another."""

    TRANSACTIONAL = "transactional"
    """Confirmation mails and other mails to one subscriber, who waits for them."""
    SENDING = "sending"
    """Issues: start, expand, post, finish."""
    EVENTS = "events"
    """Provider events, many of which arrive while an issue is sent, and batches with an unknown outcome."""
    BACKGROUND = "background"
    """Jobs that wait for third-party servers: feeds, links, provider searches."""
    WEBHOOKS = "webhooks"
    """Outgoing webhooks, whose servers may be slow."""


#: What to tell an operator about a queue that no Celery process serves.
UNSERVED = {
    Queue.TRANSACTIONAL: _("No Celery worker serves the queue “transactional”: confirmation mails are not sent."),
    Queue.SENDING: _("No Celery worker serves the queue “sending”: issues do not start or continue."),
    Queue.EVENTS: _("No Celery worker serves the queue “events”: webhook events are not applied."),
    Queue.BACKGROUND: _(
        "No Celery worker serves the queue “background”: feeds, links and the provider's log are not checked."
    ),
    Queue.WEBHOOKS: _("No Celery worker serves the queue “webhooks”: other systems get no webhooks."),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerState:
    """One worker process, as of its last heartbeat."""

    name: str
    """`host:process-id`, as in `Batch.claimed_by`."""
    age: float
    """Seconds since the last heartbeat."""
    uptime: float
    """Seconds from its start to the last heartbeat."""
    last_step: str
    """The last step that did something; may be empty."""
    has_ended: bool = False
    """Whether it is known to have ended without deleting its row: it ran on this machine, and was killed or crashed."""
    queues: frozenset[str] | None = None
    """The queues whose ticks a Celery process has received lately; None for `manage.py worker`, which serves all."""

    @property
    def is_alive(self) -> bool:
        """Whether its last heartbeat is recent, and it is not known to have ended since."""
        return not self.has_ended and self.age < HEARTBEAT_TIMEOUT.total_seconds()


class Heartbeat:
    """The heartbeats of one process. A Celery process passes `queues`, which returns those that it serves."""

    def __init__(
        self,
        name: str,
        clock: Callable[[], float] = time.monotonic,
        *,
        queues: Callable[[], Iterable[str]] | None = None,
    ) -> None:
        self._name, self._clock, self._queues = name[:100], clock, queues
        self._process = process_identity(os.getpid())
        self._started_at = timezone.now()
        self._due_at = clock()
        self._last_step = ""

    def beat(self) -> bool:
        """Write a heartbeat if the last one is HEARTBEAT_INTERVAL seconds old: one upsert. A step; returns False."""
        if self._clock() < self._due_at:
            return False
        is_first = not WorkerHeartbeat.objects.filter(name=self._name).exists()
        doing = self._last_step if self._queues is None else f"{','.join(self._queues())}: {self._last_step}"
        row = WorkerHeartbeat(
            name=self._name,
            process=self._process,
            started_at=self._started_at,
            seen_at=timezone.now(),
            doing=doing[:60],
        )
        WorkerHeartbeat.objects.bulk_create(
            [row],
            update_conflicts=True,
            unique_fields=["name"],
            update_fields=["process", "started_at", "seen_at", "doing"],
        )
        self._due_at = self._clock() + HEARTBEAT_INTERVAL
        if is_first:
            delete_stale_rows(self._name)
        return False

    def note(self, step: str) -> None:
        """Remember the step that did something, for the next heartbeat."""
        self._last_step = step

    def end(self) -> None:
        """Delete the row of a process that ends normally."""
        try:
            WorkerHeartbeat.objects.filter(name=self._name).delete()
        except DatabaseError:
            # The process ends anyway. Its row grows old, which shows the same later.
            return


def delete_stale_rows(newcomer: str) -> int:
    """Delete rows of workers that died long ago, and of dead workers on the newcomer's machine; how many.

    A worker that crashes again and again on one machine must not leave a row each time.
    """
    now, host = timezone.now(), newcomer.rpartition(":")[0]
    of_host = WorkerHeartbeat.objects.filter(name__startswith=f"{host}:")
    has_ended = Q(pk__in=[row.pk for row in of_host if _has_ended(row)])
    is_replaced = has_ended | Q(name__startswith=f"{host}:", seen_at__lt=now - HEARTBEAT_TIMEOUT)
    deleted, _rows = WorkerHeartbeat.objects.filter(is_replaced | Q(seen_at__lt=now - DELETED_AFTER)).delete()
    return deleted


def workers() -> list[WorkerState]:
    """Every worker that has a row, the living first; one query."""
    now = timezone.now()
    states = [_state(row, now) for row in WorkerHeartbeat.objects.all()]
    return sorted(states, key=lambda state: (not state.is_alive, state.name))


def _has_ended(row: WorkerHeartbeat) -> bool:
    """Whether its process ran on this machine and has ended; False where that cannot be known."""
    host, _colon, pid = row.name.rpartition(":")
    return host == socket.gethostname() and pid.isdecimal() and is_known_dead(int(pid), row.process)


def _state(row: WorkerHeartbeat, now: datetime.datetime) -> WorkerState:
    queues, is_celery, last_step = row.doing.rpartition(": ")
    return WorkerState(
        name=row.name,
        # Another machine's clock may be slightly ahead.
        age=max(0.0, (now - row.seen_at).total_seconds()),
        uptime=max(0.0, (row.seen_at - row.started_at).total_seconds()),
        last_step=last_step,
        has_ended=_has_ended(row),
        queues=frozenset(queues.split(",")) & frozenset(Queue) if is_celery else None,
    )
