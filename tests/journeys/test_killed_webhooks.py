"""Outgoing webhooks under SIGKILL: real processes, a real database and a receiver that compares."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.installation import SeparateInstallation, separate_installation, wait_until
from tests.newsletter.notifications.receiver import receiving

SUBSCRIBERS = 120

PROGRAM = ("-m", "tests.journeys.webhook_process")

pytestmark = pytest.mark.processes


def report(installation: SeparateInstallation) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(installation.run(*PROGRAM, "report"))
    return found


def is_done(installation: SeparateInstallation) -> bool:
    installation.processes.check()
    found = report(installation)
    return len(found["messages"]) == found["facts"] and {state for _, state, _ in found["messages"]} == {"delivered"}


def test_workers_that_are_killed_lose_no_message_and_tell_no_fact_under_two_ids(tmp_path: Path) -> None:
    with separate_installation(tmp_path) as installation, receiving() as receiver:
        installation.environment["FETCH_ALLOWED_HOSTS"] = "127.0.0.1"
        installation.run(*PROGRAM, "prepare", f"{receiver.url}/hook", str(SUBSCRIBERS))
        installation.processes.start_sandbox("--webhook-url", "")
        for kills in range(1, 5):
            installation.processes.start_worker()
            # In the middle of a round, and before its results are recorded.
            enough = kills * SUBSCRIBERS // 2
            wait_until(lambda enough=enough: len(receiver.received) >= enough, "some have arrived")  # type: ignore[misc]
            installation.processes.kill("worker")
            installation.run(*PROGRAM, "lapse")
        before = len({each.uid for each in receiver.received})
        installation.processes.start_worker()
        wait_until(lambda: is_done(installation), "all are delivered", seconds=90)
        found = report(installation)
    uids = {uid for uid, _, _ in found["messages"]}
    assert before < found["facts"] == 3 * SUBSCRIBERS, "it was killed in the middle"
    assert len({pk for _, _, pk in found["messages"]}) == len(uids) == found["facts"]
    assert {each.uid for each in receiver.received} == uids
    assert len({(each.uid, each.body) for each in receiver.received}) == found["facts"]
