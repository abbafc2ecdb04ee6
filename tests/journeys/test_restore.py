"""A backup that is made in the middle of a send and restored after its end: real processes, the provider's ledger."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest

from tests.installation import SeparateInstallation, separate_installation, wait_until

RECIPIENTS = 800

pytestmark = pytest.mark.processes


def stop(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    process.wait(30)


def has_worker(installation: SeparateInstallation) -> bool:
    return bool(json.loads(installation.run("manage.py", "status", "--json"))["workers"])


def test_a_backup_restored_after_the_end_of_the_send_sends_nothing_until_resumed_and_nothing_twice(
    tmp_path: Path,
) -> None:
    backup = tmp_path / "backup.zip"
    with separate_installation(tmp_path) as installation:
        installation.run("-m", "tests.installation", "seed", str(RECIPIENTS))
        installation.processes.start_sandbox("--webhook-url", "", "--rate-limit", "4")
        worker = installation.processes.start_worker()
        wait_until(lambda: installation.messages() >= RECIPIENTS // 5, "a fifth is sent")
        stop(worker)
        assert installation.messages() < RECIPIENTS, "the backup is made in the middle"
        installation.run("manage.py", "backup", str(backup))
        worker = installation.processes.start_worker()
        wait_until(lambda: installation.report()["state"] == "sent", "the send has ended")

        with pytest.raises(AssertionError, match="Workers are running"):
            installation.run("manage.py", "restore", str(backup), "--replace")
        stop(worker)
        with pytest.raises(AssertionError, match="The database is not empty"):
            installation.run("manage.py", "restore", str(backup))
        output = installation.run("manage.py", "restore", str(backup), "--replace")
        assert "All sending is stopped." in output

        installation.processes.start_worker()
        wait_until(lambda: has_worker(installation), "the worker has started")
        report = installation.report()
        assert (report["state"], installation.messages()) == ("paused", RECIPIENTS)
        assert report["unknown"] > 0, "what may have been sent since the backup is held"
        assert report["accepted"] + report["unknown"] == RECIPIENTS

        installation.run("-m", "tests.installation", "resume")
        # The provider's list is searched an hour after the last possible attempt.
        installation.run("-m", "tests.installation", "age")
        output = installation.run("manage.py", "reconcile")
        assert "Batches with an unknown outcome: 0." in output
        wait_until(lambda: installation.report()["state"] == "sent", "the send has ended once more")
        ledger, report = installation.sandbox("/sandbox/ledger"), installation.report()
    assert (ledger["messages"], ledger["recipients"], ledger["repeated_recipients"]) == (RECIPIENTS, RECIPIENTS, {})
    assert report["accepted"] == report["audience"] == RECIPIENTS
