"""Starts, watches and stops the processes of a small installation: sandbox, web server and workers.

Tests use it, too, to kill workers.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Self
from urllib.parse import urlsplit

#: Seconds that a process may take to answer its first request, or to stop after SIGTERM.
TIMEOUT = 30.0


class ProcessFailed(Exception):
    """A process ended or did not answer. The message has the end of its log."""


class Installation:
    """Sandbox, web server and workers of one environment. Use it as a context manager, which stops them."""

    def __init__(
        self, *, site_url: str, sandbox_url: str, logs: Path, root: Path, environment: Mapping[str, str] | None = None
    ) -> None:
        """`environment` is that of the processes, None for the caller's; `logs` is an existing folder."""
        self.site_url, self.sandbox_url = site_url, sandbox_url
        self.logs = logs
        self._root = root
        self._environment = environment
        self._running: dict[str, subprocess.Popen[bytes]] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def start_sandbox(self, *arguments: str) -> None:
        """Start the sandbox and wait until it answers."""
        self.start("sandbox", "manage.py", "sandbox", "--port", str(urlsplit(self.sandbox_url).port), *arguments)
        self._wait_for("sandbox", f"{self.sandbox_url}/")

    def start_web(self, *arguments: str) -> subprocess.Popen[bytes]:
        """Start the web server, with gunicorn's options in addition to gunicorn.conf.py, and wait until it answers."""
        address = urlsplit(self.site_url).netloc
        process = self.start("web", "-m", "gunicorn", "newsletter.wsgi", "--bind", address, *arguments)
        self._wait_for("web", f"{self.site_url}/robots.txt")
        return process

    def start_worker(self, name: str = "worker") -> subprocess.Popen[bytes]:
        """Start a worker. Several may run under different names."""
        return self.start(name, "manage.py", "worker")

    def kill(self, name: str) -> None:
        """Kill a process and its children, to simulate a crash."""
        process = self._running.pop(name)
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()

    def group_of(self, name: str) -> int:
        """The process group of a running process and its children."""
        return self._running[name].pid

    def check(self) -> None:
        """Raise ProcessFailed if a process has ended."""
        for name, process in self._running.items():
            if process.poll() is not None:
                raise ProcessFailed(
                    f"The {name} process ended with status {process.returncode}.\n{self._last_lines(name)}"
                )

    def stop(self) -> None:
        """Send SIGTERM to all processes, the last one first, and wait. Kill those that do not stop in time."""
        for process in reversed(self._running.values()):
            process.send_signal(signal.SIGTERM)
        for process in self._running.values():
            try:
                process.wait(TIMEOUT)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        self._running.clear()

    def start(self, name: str, *arguments: str) -> subprocess.Popen[bytes]:
        """Start a Python program of the project."""
        with (self.logs / f"{name}.log").open("ab") as log:
            process = subprocess.Popen(  # noqa: S603 - our own interpreter with our own arguments
                [sys.executable, *arguments],
                cwd=self._root,
                env=self._environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                # Its own process group, so that Ctrl-C reaches only the parent, which stops them in order.
                start_new_session=True,
            )
        self._running[name] = process
        return process

    def _wait_for(self, name: str, url: str) -> None:
        deadline = time.monotonic() + TIMEOUT
        while time.monotonic() < deadline:
            self.check()
            if _answers(url):
                return
            time.sleep(0.05)
        raise ProcessFailed(f"The {name} process did not answer within {TIMEOUT:.0f} s.\n{self._last_lines(name)}")

    def _last_lines(self, name: str) -> str:
        path = self.logs / f"{name}.log"
        return f"Last lines of {path}:\n" + "\n".join(path.read_text(errors="replace").splitlines()[-15:])


def _answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=5):  # noqa: S310 - our own address on 127.0.0.1
            return True
    except urllib.error.HTTPError:
        return True
    except OSError:
        return False
