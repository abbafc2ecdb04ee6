"""A fleet under SIGKILL: Celery workers, a real broker and PostgreSQL, with the provider's ledger as the judge."""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import pytest

from newsletter.demo.home import free_port
from tests.brokers import rabbitmq_broker, redis_broker
from tests.outside import Outside, outside, wait_until

pytestmark = [pytest.mark.processes, pytest.mark.postgresql]

Broker = Callable[..., AbstractContextManager[str]]

#: Kinds of work that both workers do.
QUEUES = "transactional,sending,events,background"

#: `make test-scale SCALE_SUBSCRIBERS=100000` is the run that docs/scale-out.md reports. A worker dies every few
#: seconds. Two thousand subscribers take about five seconds on two cores.
READERS = int(os.environ.get("SCALE_SUBSCRIBERS", "20000"))
KILLS = max(6, READERS // 2_000)

#: Seconds in which who signs up has the confirmation mail, whatever else goes out (R-122).
CONFIRMATION = 60


class Fleet:
    """Celery workers and the beat of one installation."""

    def __init__(self, installation: Outside, broker_url: str) -> None:
        self._installation = installation
        installation.environment |= {"BROKER_URL": broker_url, "UNDO_SECONDS": "0"}

    def start_beat(self, name: str = "beat") -> None:
        self._start(name, "beat")

    def start_worker(self, name: str) -> None:
        quiet = ("--without-gossip", "--without-mingle", "--without-heartbeat")
        self._start(name, "worker", "--hostname", f"{name}@localhost", "--concurrency", "2", *quiet, "-Q", QUEUES)

    def kill(self, name: str) -> None:
        """The worker and all of its processes, at once."""
        self._installation.processes.kill(name)

    def _start(self, name: str, *arguments: str) -> None:
        self._installation.processes.start(name, "-m", "celery", "-A", "newsletter.celery", *arguments)


def send_with_kills(folder: Path, broker: Broker, *, readers: int, kills: int, rate_limit: int) -> dict[str, Any]:
    """Send one issue with two workers, of which one after the other is killed; the ledger and the report after it.

    Somebody signs up after the first kill and gets the confirmation in time.
    """
    with broker() as broker_url, outside(folder) as installation:
        fleet, names = Fleet(installation, broker_url), ("first", "second")
        installation.run("-m", "tests.outside", "seed", str(readers))
        installation.processes.start_sandbox("--webhook-url", "", "--rate-limit", str(rate_limit))
        for name in names:
            fleet.start_worker(name)
        fleet.start_beat()
        fleet.start_beat("second-beat")  # by mistake: two of them do no harm
        for number in range(kills):
            share = readers * (number + 1) // (kills + 1)
            wait_until(lambda share=share: installation.messages() >= share, f"{share:,} are out", 600)  # type: ignore[misc]
            fleet.kill(names[number % 2])
            fleet.start_worker(names[number % 2])
            if number == 0:
                installation.run("-m", "tests.outside", "signup", "ada")
                wait_until(lambda: has_mail(installation, "ada@"), "the confirmation is sent", CONFIRMATION)
        wait_until(lambda: installation.report()["status"] == "sent", "the issue is sent", 600)
        installation.processes.check()
        return {"ledger": installation.sandbox("/sandbox/ledger"), **installation.report()}


def has_mail(installation: Outside, to: str) -> bool:
    return bool(installation.sandbox(f"/sandbox/ledger/mails?to={to}")["mails"])


def assert_everybody_got_it_once(result: dict[str, Any], readers: int) -> None:
    """All readers of the issue, and the one who signed up meanwhile."""
    ledger = result["ledger"]
    assert (ledger["messages"], ledger["recipients"], ledger["repeated_recipients"]) == (readers + 1, readers + 1, {})
    assert result["accepted"] == result["audience"] == readers
    assert all(len(key["body_sha256"]) == 1 for key in ledger["keys"].values()), "one hash per key, ever (R-102)"


def test_a_celery_worker_killed_while_beat_goes_on_loses_and_repeats_nobody(tmp_path: Path) -> None:
    result = send_with_kills(tmp_path, redis_broker, readers=1_500, kills=1, rate_limit=40)
    assert_everybody_got_it_once(result, 1_500)


@pytest.mark.parametrize("broker", [rabbitmq_broker, pytest.param(redis_broker, marks=pytest.mark.scale)])
def test_a_broker_that_was_restarted_gets_pulses_again(tmp_path: Path, broker: Broker) -> None:
    port = free_port(0)
    with outside(tmp_path) as installation:
        installation.run("-m", "tests.outside", "newsletter")
        installation.processes.start_sandbox("--webhook-url", "")
        with broker(port) as broker_url:
            fleet = Fleet(installation, broker_url)
            fleet.start_worker("only")
            fleet.start_beat()
            installation.run("-m", "tests.outside", "signup", "ada")
            wait_until(lambda: installation.messages() == 1, "the confirmation is sent")
        with broker(port):
            installation.run("-m", "tests.outside", "signup", "ben")
            wait_until(lambda: installation.messages() == 2, "the next one is sent, though the broker was away", 150)
            installation.processes.check()


@pytest.mark.scale
@pytest.mark.parametrize("broker", [redis_broker, rabbitmq_broker])
def test_workers_killed_one_after_the_other_lose_and_repeat_nobody(tmp_path: Path, broker: Broker) -> None:
    result = send_with_kills(tmp_path, broker, readers=READERS, kills=KILLS, rate_limit=100)
    assert_everybody_got_it_once(result, READERS)
