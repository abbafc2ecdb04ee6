"""The promise under SIGKILL: real processes, a real database, and the provider's ledger as the judge."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.outside import Outside, outside, wait_until

READERS = 2_000

pytestmark = pytest.mark.processes


def everyone_accepted(installation: Outside) -> bool:
    installation.processes.check()
    return installation.messages() >= READERS and installation.report()["status"] == "sent"


def test_a_worker_killed_in_the_middle_of_a_send_loses_and_repeats_nobody(tmp_path: Path) -> None:
    with outside(tmp_path) as installation:
        installation.run("-m", "tests.outside", "seed", str(READERS))
        installation.processes.start_sandbox("--webhook-url", "", "--rate-limit", "40")

        # First kill: somewhere in the middle, wherever it happens to be.
        installation.processes.start_worker()
        wait_until(lambda: installation.messages() >= READERS // 4, "a quarter is out")
        installation.processes.kill("worker")

        # Second kill: the provider has the batch and its answer is on the way, so the worker cannot know.
        before = installation.messages()
        installation.sandbox("/sandbox/faults", [{"kind": "silence", "after_commit": True, "seconds": 4}])
        installation.processes.start_worker()
        wait_until(lambda: installation.messages() > before, "a batch is out without an answer")
        installation.processes.kill("worker")

        assert READERS // 4 <= installation.messages() < READERS, "it was killed in the middle"
        installation.processes.start_worker()
        wait_until(lambda: everyone_accepted(installation), "all readers are accepted and the issue is sent")

        ledger = installation.sandbox("/sandbox/ledger")
        report = installation.report()
    assert (ledger["messages"], ledger["recipients"], ledger["repeated_recipients"]) == (READERS, READERS, {})
    assert report["accepted"] == report["audience"] == READERS
    assert all(len(key["body_sha256"]) == 1 for key in ledger["keys"].values()), "one hash per key, ever (R-102)"
