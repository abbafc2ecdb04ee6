"""Imports under SIGKILL: real processes and a real database; every row is compared with the file.

IMPORT_ROWS=1000000 in the environment imports a million rows instead of 10,000, in chunks of the usual size.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from newsletter.config.configuration import PROJECT_ROOT
from tests.installation import SeparateInstallation, separate_installation

PROGRAM = ("-m", "tests.journeys.import_process")

ROWS = int(os.environ.get("IMPORT_ROWS", "0"))

#: The steps at which the four processes kill themselves, see import_process; with a delay, wherever they are then.
KILLS = (
    ("read:60:0.3", "check:20:0.1", "write:17:0.3", "write:20:0.7")
    if ROWS
    else ("read:3", "check:2", "write:3", "write:4:0.02")
)

pytestmark = pytest.mark.processes


def run(installation: SeparateInstallation, *arguments: str) -> Any:
    """What the program printed as JSON, if anything."""
    printed = installation.run(*PROGRAM, *arguments)
    return json.loads(printed.splitlines()[-1]) if printed.strip().endswith("}") else printed


def killed(installation: SeparateInstallation, kill_at: str, *arguments: str) -> dict[str, Any]:
    """Run the program until it kills itself; how far the import has come."""
    done = subprocess.run(
        [sys.executable, *PROGRAM, *arguments],
        cwd=PROJECT_ROOT,
        env={**installation.environment, "KILL_AT": kill_at},
        capture_output=True,
        text=True,
    )
    assert done.returncode == -signal.SIGKILL, done.stdout + done.stderr
    progress: dict[str, Any] = run(installation, "lapse")
    return progress


def test_an_import_that_is_killed_four_times_ends_with_exactly_the_right_rows(tmp_path: Path) -> None:
    count = ROWS or 10_000
    with separate_installation(tmp_path) as installation:
        if not ROWS:
            installation.environment["CHUNK"] = "1000"
        run(installation, "prepare", str(count))

        while_reading = killed(installation, KILLS[0], "work")
        assert 0 < while_reading["read"] < count
        while_counting = killed(installation, KILLS[1], "work")
        assert while_counting["state"] == "checking"
        assert 0 < while_counting["done"] < count
        run(installation, "start")

        first = killed(installation, KILLS[2], "work")
        assert 0 < first["done"] < count
        second = killed(installation, KILLS[3], "work")
        assert first["done"] < second["done"] < count
        run(installation, "command", "--resume", str(second["pk"]))

        assert run(installation, "differences", str(count)) == {}
