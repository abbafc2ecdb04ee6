"""A backup that is made in the middle of a send and restored after its end: real processes, the provider's ledger."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import sys
from functools import partial
from pathlib import Path
from typing import Any

import psycopg
import pytest

from newsletter.config.configuration import PROJECT_ROOT
from tests.installation import SeparateInstallation, separate_installation, wait_until

RECIPIENTS = 500

#: Writes the tables of a dump and their rows, then its process id to a file, and nothing more: no constraints. The
#: blank lines push all statements through the buffers between this program and psql.
SLOW_PG_RESTORE = """#!/bin/sh
{program} "$@" | sed '/; Type: CONSTRAINT;/,$d'
yes '' | head -c 200000
echo $$ > {folder}/pid.new && mv {folder}/pid.new {folder}/pid
exec sleep 300
"""

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


def query(installation: SeparateInstallation, sql: str) -> list[tuple[Any, ...]]:
    with psycopg.connect(installation.environment["DATABASE_URL"], autocommit=True) as connection:
        cursor = connection.execute(sql)
        return cursor.fetchall() if cursor.description else []


def content(installation: SeparateInstallation) -> list[tuple[Any, ...]]:
    """What a restore would change: the newsletter's time zone, the switch, and tables and constraints of the schema."""
    names = query(installation, "SELECT time_zone FROM newsletter_newsletter")
    switch = query(installation, "SELECT state FROM newsletter_sendingswitch")
    tables = query(installation, "SELECT relname FROM pg_class WHERE relnamespace = 'public'::regnamespace ORDER BY 1")
    constraints = query(installation, "SELECT conname FROM pg_constraint WHERE conrelid > 0 ORDER BY 1")
    return [*names, *switch, *tables, *constraints]


def end_while_loading(installation: SeparateInstallation, backup: Path, folder: Path, sign: signal.Signals) -> None:
    """Restore with a pg_restore that stops half-way, and end manage.py then."""
    slow, pid = folder / "pg_restore", folder / "pid"
    folder.mkdir()
    slow.write_text(SLOW_PG_RESTORE.format(program=shutil.which("pg_restore"), folder=folder))
    slow.chmod(0o755)
    environment = {**installation.environment, "PATH": f"{folder}:{os.environ['PATH']}"}
    command = [sys.executable, "manage.py", "restore", str(backup), "--replace"]
    with subprocess.Popen(
        command,
        cwd=PROJECT_ROOT,
        env=environment,
        stderr=subprocess.DEVNULL,
        # A shell that runs the tests in the background has them ignore interrupts, and children inherit that.
        preexec_fn=partial(signal.signal, signal.SIGINT, signal.SIG_DFL),
    ) as restore:
        wait_until(pid.exists, "the tables are loaded")
        # Python loses an interrupt that arrives in a finalizer: an operator presses the keys again.
        for _attempt in range(5):
            restore.send_signal(sign)
            with contextlib.suppress(subprocess.TimeoutExpired):
                restore.wait(20)
        has_ended = restore.poll() is not None
        restore.kill()
        assert has_ended
    if sign == signal.SIGKILL:
        os.kill(int(pid.read_text()), signal.SIGKILL)


@pytest.mark.postgresql
def test_a_restore_that_is_ended_while_it_loads_leaves_the_database_as_it_was(tmp_path: Path) -> None:
    """SIGKILL ends the process at once, as a lost connection does; SIGINT raises an exception in it."""
    backup = tmp_path / "backup.zip"
    sessions = "SELECT pid FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()"
    with separate_installation(tmp_path) as installation:
        installation.run("-m", "tests.installation", "newsletter")
        installation.run("manage.py", "backup", str(backup))
        query(installation, "UPDATE newsletter_newsletter SET time_zone = 'Europe/Oslo'")
        before = content(installation)
        for sign in (signal.SIGKILL, signal.SIGINT):
            end_while_loading(installation, backup, tmp_path / sign.name, sign)
            wait_until(lambda: not query(installation, sessions), "the session of psql has ended")
            assert content(installation) == before, sign.name
