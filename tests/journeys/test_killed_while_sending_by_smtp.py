"""SMTP under SIGKILL: a worker dies between a mail and its answer, and no recipient gets two mails."""

from __future__ import annotations

from pathlib import Path

import pytest

from newsletter.sending.progress import GROUP_SIZE
from tests.installation import separate_installation, wait_until
from tests.mail_server import SILENCE, MailFault, running_mail_server

RECIPIENTS = 60

pytestmark = pytest.mark.processes


def test_a_killed_worker_leaves_one_group_on_hold_and_all_others_get_the_issue_once(tmp_path: Path) -> None:
    with separate_installation(tmp_path) as installation, running_mail_server() as server:
        installation.environment |= {
            "PROVIDER": "smtp", "SMTP_HOST": "127.0.0.1", "SMTP_PORT": str(server.port), "SMTP_TLS": "none",
        }  # fmt: skip
        installation.run("-m", "tests.installation", "seed", str(RECIPIENTS))

        # The server accepts the fifth mail of the third group and does not answer; the worker is killed while it waits.
        before = 2 * GROUP_SIZE + 4
        server.plan(MailFault("accepted", SILENCE, after=before))
        installation.processes.start_worker()
        server.wait_for(before + 1)
        installation.processes.kill("worker")

        installation.processes.start_worker()
        server.wait_for(RECIPIENTS - (GROUP_SIZE - 5))
        wait_until(lambda: installation.report()["accepted"] == RECIPIENTS - GROUP_SIZE, "all others are accepted")
        report = installation.report()
        recipients = server.recipients()

    assert len(recipients) == len(set(recipients)), "no recipient gets two mails"
    assert (report["state"], report["held_batches"], report["unknown"]) == ("sending", 1, GROUP_SIZE)
    unreached = {f"reader-{number}@readers.example" for number in range(RECIPIENTS)} - set(recipients)
    assert len(unreached) == GROUP_SIZE - 5, "they belong to the group on hold"
    assert server.violations == []
