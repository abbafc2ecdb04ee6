"""The programs that these tests need beyond Python: Node with the pinned packages, and Go.

`make test-journeys` installs the packages. Where a program is missing, a test is skipped with the reason, or fails if
CI is set.
"""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

HERE = Path(__file__).parent
PRISM = HERE / "node_modules" / "@stoplight" / "prism-cli" / "dist" / "index.js"


def node() -> str:
    """The path of Node, with the packages installed."""
    program = _required(shutil.which("node"), "node is not installed; `apt-get install nodejs npm` brings it")
    _required(str(PRISM) if PRISM.exists() else None, "the npm packages are not installed; `make sdk` does it")
    return program


def go() -> str:
    """The path of Go, 1.19 or newer."""
    return _required(shutil.which("go"), "go is not installed; `apt-get install golang-go` brings it")


def environment(**more: str) -> dict[str, str]:
    """The environment of a program: what it needs to run, no setting of this project, and no newer Go by download."""
    kept = ("PATH", "HOME", "GOPATH", "GOCACHE", "GOMODCACHE", "GOPROXY", "GOSUMDB", "GOFLAGS")
    return {name: os.environ[name] for name in kept if name in os.environ} | {"GOTOOLCHAIN": "local"} | more


def _required(found: str | None, reason: str) -> str:
    if found:
        return found
    if os.environ.get("CI"):
        pytest.fail(reason)
    pytest.skip(reason)
