"""Heartbeats: workers say that they live, and everybody else can see when they stop."""

from __future__ import annotations

import datetime
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from django.db import DatabaseError
from django.db.models import Q
from django.utils import timezone

from newsletter.models import WorkerHeartbeat

#: Seconds between two signs of life: one small write each.
BEAT = 5.0

#: A worker that has been silent for so long has ended. One post may take 65 s, and none is longer.
SILENT_AFTER = datetime.timedelta(minutes=2)

#: Kinds of work that the processes of a fleet are woken for, with what stands still where nobody does it.
KINDS: dict[str, str] = {
    "notices": "no confirmation mail is sent",
    "issues": "no issue starts or moves",
    "receipts": "no webhook is applied",
    "errands": "no feed, link or batch in doubt is looked at",
}

#: After this, nobody asks any more what became of a worker.
FORGOTTEN_AFTER = datetime.timedelta(days=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerState:
    """One worker as the rows tell. `seconds` since it was last seen; `doing` is the step that last did something."""

    name: str
    seconds: float
    running: float
    doing: str
    woken_for: frozenset[str] | None = None
    """The kinds of work that a process of a fleet was lately woken for; None for a worker that wakes itself."""

    @property
    def is_alive(self) -> bool:
        """Whether it was seen lately."""
        return self.seconds < SILENT_AFTER.total_seconds()


class Heartbeat:
    """The signs of life of one process. `beat` is a step: it never has more to do.

    `woken_for` is asked at each beat by a process of a fleet, for the kinds of work that it was lately woken for.
    """

    def __init__(
        self,
        name: str,
        clock: Callable[[], float] = time.monotonic,
        *,
        woken_for: Callable[[], Iterable[str]] | None = None,
    ) -> None:
        self._name, self._clock, self._woken_for = name[:100], clock, woken_for
        self._started_at = timezone.now()
        self._due_at = clock()
        self._doing = ""

    def beat(self) -> bool:
        """Say “I live” if the last time was BEAT seconds ago: one upsert. Always False."""
        if self._clock() < self._due_at:
            return False
        is_first = not WorkerHeartbeat.objects.filter(name=self._name).exists()
        doing = self._doing if self._woken_for is None else f"{','.join(self._woken_for())}: {self._doing}"
        row = WorkerHeartbeat(name=self._name, started_at=self._started_at, seen_at=timezone.now(), doing=doing[:60])
        WorkerHeartbeat.objects.bulk_create(
            [row],
            update_conflicts=True,
            unique_fields=["name"],
            update_fields=["started_at", "seen_at", "doing"],
        )
        self._due_at = self._clock() + BEAT
        if is_first:
            forget_the_gone(self._name)
        return False

    def note(self, step: str) -> None:
        """Remember the step that did something; the next sign of life says so."""
        self._doing = step

    def end(self) -> None:
        """Leave in order: the row goes, so that nobody waits for a worker that was stopped."""
        try:
            WorkerHeartbeat.objects.filter(name=self._name).delete()
        except DatabaseError:
            # The process ends anyway; its silence says the same, later.
            return


def forget_the_gone(newcomer: str) -> int:
    """Remove the rows of workers that ended long ago without saying so, and those in whose place this one came.

    Returns how many. A worker that falls again and again on one machine must not leave a row each time.
    """
    now, host = timezone.now(), newcomer.rpartition(":")[0]
    was_here = Q(name__startswith=f"{host}:", seen_at__lt=now - SILENT_AFTER)
    gone, _ = WorkerHeartbeat.objects.filter(was_here | Q(seen_at__lt=now - FORGOTTEN_AFTER)).delete()
    return gone


def workers() -> list[WorkerState]:
    """Every worker that has a row, the living first; one query."""
    now = timezone.now()
    states = [_state(row, now) for row in WorkerHeartbeat.objects.all()]
    return sorted(states, key=lambda state: (not state.is_alive, state.name))


def _state(row: WorkerHeartbeat, now: datetime.datetime) -> WorkerState:
    kinds, is_of_a_fleet, doing = row.doing.rpartition(": ")
    return WorkerState(
        name=row.name,
        # Another machine's clock may run ahead of ours by a little.
        seconds=max(0.0, (now - row.seen_at).total_seconds()),
        running=max(0.0, (row.seen_at - row.started_at).total_seconds()),
        doing=doing,
        woken_for=frozenset(kinds.split(",")) & KINDS.keys() if is_of_a_fleet else None,
    )
