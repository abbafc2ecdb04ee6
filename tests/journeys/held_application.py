"""A WSGI application for tests of stopping: says by a file that a request has begun, and waits for another one.

HELD_IN names the folder of both files.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

FOLDER = Path(os.environ.get("HELD_IN", "."))


def application(environ: dict[str, Any], start_response: Callable[..., object]) -> list[bytes]:
    """Answer when the file `go on` exists."""
    (FOLDER / "begun").touch()
    while not (FOLDER / "go on").exists():
        time.sleep(0.02)
    start_response("200 OK", [("Content-Length", "4")])
    return [b"done"]
