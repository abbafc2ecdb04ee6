"""One soak: an installation on PostgreSQL, three workers, a web server and the sandbox; then the ledger is compared.

Two of the workers are killed in turn and replaced; the third and the web server live on, and their memory is watched.
The sandbox answers a share of the calls with a fault. Issue follows issue until the time is over; then all remaining
work is done without faults.
"""

from __future__ import annotations

import random
import sqlite3
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path

from tests.faults.judge import rows_of
from tests.installation import SeparateInstallation, separate_installation, wait_until
from tests.soak.memory import growth_mb, is_flat, resident_mb

#: Faults of a call: before and after the provider accepted it, and refusals for now.
FAULTS: tuple[dict[str, object], ...] = (
    {"kind": "reset"},
    {"kind": "reset", "after_commit": True},
    {"kind": "html_502"},
    {"kind": "html_502", "after_commit": True},
    {"kind": "truncated"},
    {"kind": "missing_id"},
    {"kind": "silence", "after_commit": True, "seconds": 3},
    {"kind": "service_unavailable"},
    {"kind": "rate_limit_exceeded"},
)

STEADY, VICTIMS = "worker-steady", ("worker-1", "worker-2")
WATCHED = (STEADY, "web")

#: Seconds between two samples of memory, and for the work that is left at the end.
SAMPLE_SECONDS, DRAIN_SECONDS = 2.0, 600.0

#: With more of them, the next issue waits.
MAX_PENDING_WEBHOOKS = 20_000

MAILS = "SELECT json_extract(envelope, '$.tags.delivery'), count(*) FROM mails GROUP BY 1"
CALLS = "SELECT count(*), count(CASE WHEN fault NOT IN ('', 'none') THEN 1 END) FROM calls"
PENDING_WEBHOOKS = "SELECT count(*), 0 FROM events WHERE state IN ('pending', 'posting')"
OPEN_SENDS = "SELECT count(*) FROM newsletter_send WHERE state <> 'sent'"
NEW_EVENTS = "SELECT count(*) FROM newsletter_event WHERE state = 'new'"
EVENTS = "SELECT count(*) FROM newsletter_event WHERE state = 'applied'"
STATES = "SELECT state, count(*) FROM newsletter_delivery GROUP BY state"
DELIVERIES = "SELECT id, state FROM newsletter_delivery"


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What a soak does. `rate` is in calls of up to 100 mails a second; `faults` a share of the calls, 0 to 1."""

    seconds: float
    subscribers: int
    rate: int
    faults: float
    kill_every: float
    seed: int = 0


@dataclass(slots=True, kw_only=True)
class Result:
    """The numbers of a soak. Memory is in MB, sampled every SAMPLE_SECONDS."""

    seconds: float = 0.0
    issues: int = 0
    deliveries: int = 0
    calls: int = 0
    faulty_calls: int = 0
    kills: int = 0
    events: int = 0
    missing: int = 0
    lost: int = 0
    twice: int = 0
    unknown: int = 0
    memory: dict[str, list[float]] = field(default_factory=lambda: {name: [] for name in WATCHED})

    def faults(self) -> list[str]:
        """What broke a promise, as sentences; there must be none."""
        counts = {
            "recipients without a delivery": self.missing,
            "deliveries that count as accepted, but are not in the ledger": self.lost,
            "deliveries with more than one mail": self.twice,
            "deliveries that are neither accepted nor explained": self.unknown,
        }
        grown = [name for name, samples in self.memory.items() if not is_flat(samples)]
        return [
            *(f"{count:,} {what}" for what, count in counts.items() if count),
            *(f"memory of {name} grew by {growth_mb(self.memory[name])[1]:.0f} MB" for name in grown),
        ]


class Soak:
    """One running soak."""

    def __init__(self, plan: Plan, installation: SeparateInstallation, ledger: Path) -> None:
        self.plan, self.installation, self.ledger = plan, installation, ledger
        self.chance, self.result = random.Random(plan.seed), Result()
        self.database = installation.environment["DATABASE_URL"]
        self.started_at = 0.0
        self._pids: dict[str, int] = {}
        self._helper = ThreadPoolExecutor(1)
        self._starting: Future[None] | None = None

    def run(self) -> Result:
        """Run it to the end."""
        with self._helper:
            return self._run()

    def _run(self) -> Result:
        self._start()
        tasks = ((self.plan.kill_every, self._kill_a_worker), (SAMPLE_SECONDS, self._sample), (1.0, self._next_issue))
        due = {task: self.started_at + every for every, task in tasks}
        while (now := time.monotonic()) < self.started_at + self.plan.seconds:
            for every, task in tasks:
                if now >= due[task]:
                    task()
                    due[task] = now + every
            time.sleep(0.05)
        self._finish()
        return self.result

    def _start(self) -> None:
        self.installation.run("-m", "tests.soak.inside", "subscribers", str(self.plan.subscribers))
        processes = self.installation.processes
        options = ["--rate-limit", str(self.plan.rate), "--webhook-time-scale", "0.1", "--open-share", "0.2"]
        processes.start_sandbox("--ledger", str(self.ledger), *options)
        self.installation.sandbox("/sandbox/faults", self._planned_faults())
        processes.start_web()
        self._pids["web"] = processes.group_of("web")
        for name in (STEADY, *VICTIMS):
            self._pids[name] = processes.start_worker(name).pid
        self._next_issue()
        self.started_at = time.monotonic()

    def _planned_faults(self) -> list[dict[str, object]]:
        """Faults for many more calls than there are, with runs of calls without a fault between them."""
        between = round(1 / self.plan.faults) if self.plan.faults else 1_000_000
        cycles = int(self.plan.seconds * self.plan.rate / between) + 10
        planned: list[dict[str, object]] = []
        for _ in range(cycles):
            planned += [
                {"kind": "none", "times": self.chance.randint(1, 2 * between - 2) if between > 1 else 1},
                self.chance.choice(FAULTS),
            ]
        return planned

    def _kill_a_worker(self) -> None:
        self.installation.processes.check()
        name = self.chance.choice(VICTIMS)
        self.installation.processes.kill(name)
        self.installation.processes.start_worker(name)
        self.result.kills += 1

    def _sample(self) -> None:
        for name in WATCHED:
            self.result.memory[name].append(resident_mb(self._pids[name]))

    def _next_issue(self) -> None:
        """Start the next issue once all before it are sent. Freezing it takes seconds; meanwhile workers are killed.

        The sandbox has two events or more for each mail: if the web server falls behind, it catches up first.
        """
        if self._starting is not None and not self._starting.done():
            return
        self._wait_for_start()
        if self._number(OPEN_SENDS) == 0 and self._pending_webhooks() < MAX_PENDING_WEBHOOKS:
            self.result.issues += 1
            self._starting = self._helper.submit(self._send_issue, self.result.issues)

    def _send_issue(self, number: int) -> None:
        self.installation.run("-m", "tests.soak.inside", "issue", str(number))

    def _wait_for_start(self) -> None:
        if self._starting is not None:
            self._starting.result()

    def _number(self, sql: str) -> int:
        return int(rows_of(self.database, sql)[0][0])

    def _finish(self) -> None:
        """Let all remaining work be done, and compare."""
        self.result.seconds = time.monotonic() - self.started_at
        self._wait_for_start()
        self.result.calls, self.result.faulty_calls = self._in_ledger(CALLS)[0]
        self._delete_faults()
        self._wait_for(lambda: self._number(OPEN_SENDS) == 0, "all issues are sent")
        self._wait_for(self._all_events_are_applied, "all events are applied")
        self._sample()
        self._compare()

    def _delete_faults(self) -> None:
        self.installation.sandbox("/sandbox/faults", method="DELETE")

    def _wait_for(self, condition: Callable[[], bool], what: str) -> None:
        # A worker may have been killed in the last moment; none is any more.
        wait_until(condition, f"{what}: {dict(rows_of(self.database, STATES))}", DRAIN_SECONDS)

    def _all_events_are_applied(self) -> bool:
        return self._pending_webhooks() == 0 and self._number(NEW_EVENTS) == 0

    def _pending_webhooks(self) -> int:
        # From the file: the sandbox posts no webhook while it counts them.
        return self._in_ledger(PENDING_WEBHOOKS)[0][0]

    def _compare(self) -> None:
        result = self.result
        states = {int(pk): state for pk, state in rows_of(self.database, DELIVERIES)}
        mails = {int(delivery): int(count) for delivery, count in self._in_ledger(MAILS)}
        result.deliveries, result.events = len(states), self._number(EVENTS)
        result.missing = result.issues * self.plan.subscribers - len(states)
        result.twice = sum(count > 1 for count in mails.values()) + len(mails.keys() - states.keys())
        result.lost = sum(pk not in mails for pk, state in states.items() if state == "accepted")
        result.unknown = sum(state != "accepted" for state in states.values())

    def _in_ledger(self, sql: str) -> list[tuple[int, int]]:
        with closing(sqlite3.connect(self.ledger, timeout=30)) as connection:
            return connection.execute(sql).fetchall()


def run_soak(plan: Plan, folder: Path) -> Result:
    """Run a soak with its logs in `folder`. Needs PostgreSQL, in TEST_DATABASE_URL."""
    with separate_installation(folder) as installation:
        return Soak(plan, installation, folder / "ledger.sqlite3").run()
