"""Stop all sending with real worker processes: what goes out after it is counted in the provider's ledger."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from tests.installation import separate_installation, wait_until

#: At two batches a second more than a slow machine posts while the process that stops all sending starts.
RECIPIENTS, BATCH = 3_000, 100

pytestmark = pytest.mark.processes


def test_at_most_the_batch_that_each_worker_is_posting_goes_out_after_a_stop_and_nothing_is_lost(
    tmp_path: Path,
) -> None:
    with separate_installation(tmp_path) as installation:
        # SQLite takes one worker; with PostgreSQL several wait for their permits when the stop comes.
        workers = 1 if installation.environment["DATABASE_URL"].startswith("sqlite") else 3
        installation.run("-m", "tests.installation", "seed", str(RECIPIENTS))
        installation.processes.start_sandbox("--webhook-url", "", "--rate-limit", "2")
        for number in range(workers):
            installation.processes.start_worker(f"worker-{number}")
        wait_until(lambda: installation.messages() >= 2 * BATCH, "two batches are sent")
        before = int(installation.run("-m", "tests.installation", "stop"))
        assert before < RECIPIENTS
        time.sleep(2)  # the promise itself, not a wait for a result
        after = installation.messages()
        assert after - before <= workers * BATCH
        installation.run("-m", "tests.installation", "signup", "gus")
        time.sleep(1)
        assert installation.messages() == after, "neither a batch nor a confirmation mail goes out"
        assert "All sending is stopped" in installation.run("manage.py", "status")

        installation.run("manage.py", "resume_sending")
        wait_until(lambda: installation.messages() == RECIPIENTS + 1, "all are sent, with the confirmation mail")
        wait_until(lambda: installation.report()["state"] == "sent", "the send ends")
        ledger = installation.sandbox("/sandbox/ledger")
    assert (ledger["recipients"], ledger["repeated_recipients"]) == (RECIPIENTS + 1, {})
