"""Celery workers under SIGKILL, with a real broker and PostgreSQL; the provider's ledger is compared."""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import pytest

from newsletter.demo.environment import free_port
from tests.brokers import rabbitmq_broker, redis_broker
from tests.installation import SeparateInstallation, separate_installation, wait_until

pytestmark = [pytest.mark.processes, pytest.mark.postgresql]

Broker = Callable[..., AbstractContextManager[str]]

#: The queues that both workers serve.
QUEUES = "transactional,sending,events,background,webhooks"

#: `make test-scale SCALE_SUBSCRIBERS=100000` is the run that docs/scale-out.md reports. A worker dies every few
#: seconds. Two thousand subscribers take about five seconds on two cores.
RECIPIENTS = int(os.environ.get("SCALE_SUBSCRIBERS", "20000"))
KILLS = max(6, RECIPIENTS // 2_000)

#: Seconds within which a confirmation mail is sent while an issue is sent.
CONFIRMATION = 60


class CeleryProcesses:
    """Celery workers and the scheduler of one installation."""

    def __init__(self, installation: SeparateInstallation, broker_url: str) -> None:
        self._installation = installation
        installation.environment |= {"BROKER_URL": broker_url, "UNDO_SECONDS": "0"}

    def start_beat(self, name: str = "beat") -> None:
        self._start(name, "beat")

    def start_worker(self, name: str) -> None:
        quiet = ("--without-gossip", "--without-mingle", "--without-heartbeat")
        self._start(name, "worker", "--hostname", f"{name}@localhost", "--concurrency", "2", *quiet, "-Q", QUEUES)

    def kill(self, name: str) -> None:
        """Kill a worker with all of its processes."""
        self._installation.processes.kill(name)

    def _start(self, name: str, *arguments: str) -> None:
        self._installation.processes.start(name, "-m", "celery", "-A", "newsletter.celery", *arguments)


def send_with_kills(folder: Path, broker: Broker, *, recipients: int, kills: int, rate_limit: int) -> dict[str, Any]:
    """Send one issue while the two workers are killed in turn; the ledger and the report.

    After the first kill a subscriber signs up, and must get the confirmation mail in time.
    """
    with broker() as broker_url, separate_installation(folder) as installation:
        celery, names = CeleryProcesses(installation, broker_url), ("first", "second")
        installation.run("-m", "tests.installation", "seed", str(recipients))
        installation.processes.start_sandbox("--webhook-url", "", "--rate-limit", str(rate_limit))
        for name in names:
            celery.start_worker(name)
        celery.start_beat()
        celery.start_beat("second-beat")  # a second one must do no harm
        for number in range(kills):
            share = recipients * (number + 1) // (kills + 1)
            wait_until(lambda share=share: installation.messages() >= share, f"{share:,} mails are sent", 600)  # type: ignore[misc]
            celery.kill(names[number % 2])
            celery.start_worker(names[number % 2])
            if number == 0:
                installation.run("-m", "tests.installation", "signup", "ada")
                wait_until(lambda: has_mail(installation, "ada@"), "the confirmation is sent", CONFIRMATION)
        wait_until(lambda: installation.report()["state"] == "sent", "the issue is sent", 600)
        installation.processes.check()
        return {"ledger": installation.sandbox("/sandbox/ledger"), **installation.report()}


def has_mail(installation: SeparateInstallation, to: str) -> bool:
    return bool(installation.sandbox(f"/sandbox/ledger/mails?to={to}")["mails"])


def assert_each_recipient_got_it_once(result: dict[str, Any], recipients: int) -> None:
    """All recipients of the issue, and the subscriber who signed up meanwhile."""
    ledger = result["ledger"]
    assert (ledger["messages"], ledger["recipients"], ledger["repeated_recipients"]) == (
        recipients + 1,
        recipients + 1,
        {},
    )
    assert result["accepted"] == result["audience"] == recipients
    assert all(len(key["body_sha256"]) == 1 for key in ledger["keys"].values()), "the same bytes under each key"


def test_a_killed_celery_worker_loses_and_repeats_no_mail(tmp_path: Path) -> None:
    result = send_with_kills(tmp_path, redis_broker, recipients=1_500, kills=1, rate_limit=40)
    assert_each_recipient_got_it_once(result, 1_500)


@pytest.mark.parametrize("broker", [rabbitmq_broker, pytest.param(redis_broker, marks=pytest.mark.scale)])
def test_ticks_resume_after_the_broker_restarts(tmp_path: Path, broker: Broker) -> None:
    port = free_port(0)
    with separate_installation(tmp_path) as installation:
        installation.run("-m", "tests.installation", "newsletter")
        installation.processes.start_sandbox("--webhook-url", "")
        with broker(port) as broker_url:
            celery = CeleryProcesses(installation, broker_url)
            celery.start_worker("only")
            celery.start_beat()
            installation.run("-m", "tests.installation", "signup", "ada")
            wait_until(lambda: installation.messages() == 1, "the confirmation is sent")
        with broker(port):
            installation.run("-m", "tests.installation", "signup", "ben")
            wait_until(lambda: installation.messages() == 2, "a confirmation is sent after the restart", 150)
            installation.processes.check()


@pytest.mark.scale
@pytest.mark.parametrize("broker", [redis_broker, rabbitmq_broker])
def test_celery_workers_killed_in_turn_lose_and_repeat_no_mail(tmp_path: Path, broker: Broker) -> None:
    result = send_with_kills(tmp_path, broker, recipients=RECIPIENTS, kills=KILLS, rate_limit=100)
    assert_each_recipient_got_it_once(result, RECIPIENTS)
