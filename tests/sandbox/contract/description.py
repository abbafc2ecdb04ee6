"""Where Resend's OpenAPI description is, and an independent proxy that checks calls and answers against it (Prism).

The description, version 1.5.0, is `resend-openapi.yaml` of https://github.com/resend/resend-openapi. It is read from
RESEND_OPENAPI, or from `../shared/contract/` beside this checkout. Where there is none, tests that need it are skipped,
with CI set as well, and say so.
"""

from __future__ import annotations

import os
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from newsletter.config.configuration import PROJECT_ROOT
from newsletter.demo.environment import free_port
from tests.installation import wait_until
from tests.sandbox.sdk.programs import PRISM, environment, node

DEFAULT = PROJECT_ROOT.parent / "shared" / "contract" / "resend-openapi.yaml"


def description() -> Path:
    """The path of the description; skips the test if there is none. A path in RESEND_OPENAPI must exist."""
    if chosen := os.environ.get("RESEND_OPENAPI"):
        assert Path(chosen).is_file(), f"RESEND_OPENAPI names {chosen}, which does not exist."
        return Path(chosen)
    if not DEFAULT.is_file():
        pytest.skip(
            "Resend's OpenAPI description is not here. Set RESEND_OPENAPI to resend-openapi.yaml of "
            "github.com/resend/resend-openapi to check the contract."
        )
    return DEFAULT


#: What the proxy says about every error answer, since the description has none.
NOT_DESCRIBED = "Unable to match the returned status code"


@dataclass(frozen=True, slots=True)
class Proxy:
    """A running proxy."""

    url: str
    log: Path

    def position(self) -> int:
        """The end of its log now, in lines."""
        return len(self._lines())

    def errors(self, after: int) -> list[str]:
        """What it objected to after this position: calls that are not described, violations in calls and answers."""
        described = [line for line in self._lines()[after:] if NOT_DESCRIBED not in line]
        return [line for line in described if "error" in line.lower() or "violation" in line.lower()]

    def calls(self, after: int) -> set[str]:
        """The calls after this position, such as `post /emails`; ids are replaced."""
        lines = [line for line in self._lines()[after:] if "Request received" in line]
        found = [line.partition("[HTTP SERVER] ")[2].split()[:2] for line in lines]
        return {f"{method} {_without_ids(path)}" for method, path in found}

    def _lines(self) -> list[str]:
        return self.log.read_text(encoding="utf-8").splitlines()


def _without_ids(path: str) -> str:
    return "/".join("{id}" if len(part) == 36 else part for part in path.split("/"))


@contextmanager
def checking_proxy(upstream: str, folder: Path) -> Iterator[Proxy]:
    """Prism in front of `upstream`: an answer with status 500 or 422 and problem+json for each violation."""
    port, log = free_port(0), folder / "prism.log"
    command = [
        node(),
        str(PRISM),
        "proxy",
        "-h",
        "127.0.0.1",
        "-p",
        str(port),
        "--errors",
        str(description()),
        upstream,
    ]
    with log.open("wb") as output:
        process = subprocess.Popen(command, stdout=output, stderr=subprocess.STDOUT, env=environment(NO_COLOR="1"))
    try:
        wait_until(lambda: process.poll() is not None or _listens(port), "the proxy listens", 120)
        assert process.poll() is None, log.read_text(encoding="utf-8")
        yield Proxy(f"http://127.0.0.1:{port}", log)
    finally:
        process.terminate()
        process.wait(timeout=20)


def _listens(port: int) -> bool:
    with socket.socket() as probe:
        probe.settimeout(1)
        return probe.connect_ex(("127.0.0.1", port)) == 0
