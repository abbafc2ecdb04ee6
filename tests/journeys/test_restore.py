"""A backup that is made in the middle of a send and restored after its end: real processes, the provider's ledger."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.installation import separate_installation, wait_until

RECIPIENTS = 500

pytestmark = pytest.mark.processes


def test_a_backup_restored_after_the_end_of_the_send_sends_nothing_until_resumed_and_nothing_twice(
    tmp_path: Path,
) -> None:
    backup = tmp_path / "backup.zip"
    with separate_installation(tmp_path) as installation:
        installation.run("-m", "tests.installation", "seed", str(RECIPIENTS))
        installation.processes.start_sandbox("--webhook-url", "", "--rate-limit", "5")
        worker = installation.processes.start_worker()
        wait_until(lambda: installation.messages() > 0, "the first batch is sent")
        worker.terminate()
        worker.wait(60)
        assert 0 < installation.messages() < RECIPIENTS, "the backup is made in the middle"
        installation.run("manage.py", "backup", str(backup))
        installation.run("manage.py", "worker", "--until-idle")
        assert installation.messages() == RECIPIENTS, "the send has ended after the backup"

        with pytest.raises(AssertionError, match="The database is not empty"):
            installation.run("manage.py", "restore", str(backup))
        output = installation.run("manage.py", "restore", str(backup), "--replace")
        assert "All sending is stopped." in output
        installation.run("manage.py", "worker", "--until-idle")
        report = installation.report()
        assert (report["state"], installation.messages()) == ("paused", RECIPIENTS)
        assert report["unknown"] > 0, "what may have been sent since the backup is held"
        assert report["accepted"] + report["unknown"] == RECIPIENTS

        # The provider's list is searched an hour after the last possible attempt.
        installation.run("-m", "tests.installation", "resume", "age")
        output = installation.run("manage.py", "reconcile")
        assert "Batches with an unknown outcome: 0." in output
        installation.run("manage.py", "worker", "--until-idle")
        ledger, report = installation.sandbox("/sandbox/ledger"), installation.report()
    assert (ledger["messages"], ledger["recipients"], ledger["repeated_recipients"]) == (RECIPIENTS, RECIPIENTS, {})
    assert (report["state"], report["accepted"], report["audience"]) == ("sent", RECIPIENTS, RECIPIENTS)
