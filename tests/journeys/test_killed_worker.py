"""A worker under SIGKILL: real processes and a real database; the provider's ledger is compared."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.installation import SeparateInstallation, separate_installation, wait_until

RECIPIENTS = 2_000

pytestmark = pytest.mark.processes


def is_sent_to_all(installation: SeparateInstallation) -> bool:
    installation.processes.check()
    return installation.messages() >= RECIPIENTS and installation.report()["state"] == "sent"


def test_a_worker_killed_during_a_send_loses_and_repeats_no_mail(tmp_path: Path) -> None:
    with separate_installation(tmp_path) as installation:
        installation.run("-m", "tests.installation", "seed", str(RECIPIENTS))
        installation.processes.start_sandbox("--webhook-url", "", "--rate-limit", "40")

        # First kill: at an arbitrary point in the middle.
        installation.processes.start_worker()
        wait_until(lambda: installation.messages() >= RECIPIENTS // 4, "a quarter is sent")
        installation.processes.kill("worker")

        # Second kill: the provider has accepted the batch, but the worker has no answer.
        before = installation.messages()
        installation.sandbox("/sandbox/faults", [{"kind": "silence", "after_commit": True, "seconds": 4}])
        installation.processes.start_worker()
        wait_until(lambda: installation.messages() > before, "a batch is sent without an answer")
        installation.processes.kill("worker")

        assert RECIPIENTS // 4 <= installation.messages() < RECIPIENTS, "it was killed in the middle"
        installation.processes.start_worker()
        wait_until(lambda: is_sent_to_all(installation), "all recipients are accepted and the issue is sent")

        ledger = installation.sandbox("/sandbox/ledger")
        report = installation.report()
    assert (ledger["messages"], ledger["recipients"], ledger["repeated_recipients"]) == (RECIPIENTS, RECIPIENTS, {})
    assert report["accepted"] == report["audience"] == RECIPIENTS
    assert all(len(key["body_sha256"]) == 1 for key in ledger["keys"].values()), "the same bytes under each key"
