"""An endpoint that was down while a thousand events happened: real processes, and every number equal in the end."""

from __future__ import annotations

import signal
from pathlib import Path

import pytest

from tests.faults.judge import rows_of
from tests.installation import SeparateInstallation, separate_installation, wait_until

RECIPIENTS = 500

pytestmark = pytest.mark.processes

STORED = "SELECT count(*), count(DISTINCT event_id) FROM newsletter_event"


def stored(installation: SeparateInstallation) -> tuple[int, int]:
    (row,) = rows_of(installation.environment["DATABASE_URL"], STORED)
    return row


def happened(installation: SeparateInstallation) -> dict[str, int]:
    """{kind: number of events} by the sandbox."""
    by_type = installation.sandbox("/sandbox/webhooks")["by_type"]
    return {kind: sum(counts.values()) for kind, counts in by_type.items()}


def test_events_that_were_missed_are_fetched_by_hand_although_that_is_killed(tmp_path: Path) -> None:
    with separate_installation(tmp_path) as installation:
        url = f"{installation.environment['SITE_URL']}/webhooks/resend/"
        installation.run("-m", "tests.installation", "seed", str(RECIPIENTS))
        # Nobody listens at the endpoint.
        installation.processes.start_sandbox(
            *("--webhook-url", url, "--rate-limit", "100", "--webhook-time-scale", "0.01"),
            *("--bounce-share", "0.1", "--complaint-share", "0.05"),
        )
        installation.processes.start_worker()
        wait_until(lambda: installation.report()["state"] == "sent", "the issue is sent", 120)
        installation.processes.kill("worker")
        events = sum(happened(installation).values())
        assert events > 2 * RECIPIENTS
        assert stored(installation)[0] < events

        killed = installation.processes.start("reconcile", "manage.py", "reconcile", "--events")
        wait_until(lambda: stored(installation)[0] > events // 4, "a quarter is fetched", 120)
        installation.processes.kill("reconcile")
        assert killed.returncode == -signal.SIGKILL
        assert stored(installation)[0] < events, "it was killed in the middle"

        said = installation.run("manage.py", "reconcile", "--events")
        assert stored(installation) == (events, events)
        assert "The log of resend was read." in said
        assert "Missing here, and stored now" in said
        assert "Missing here, and stored now: 0." in installation.run("manage.py", "reconcile", "--events")

        installation.run("manage.py", "worker", "--until-idle")
        report, counts = installation.report(), happened(installation)
    assert report["accepted"] == RECIPIENTS
    assert report["delivered"] == counts["email.delivered"]
    assert report["bounced"] == counts["email.bounced"] > 0
    assert report["complained"] == counts["email.complained"] > 0
