"""The child of `fenced`: one job, read from stdin, answered on stdout, within limits it sets itself.

Run as `python -m newsletter.rendering.limited_child MODULE:FUNCTION LIMITS`. The first byte of an answer says what
follows; a child that can give no answer says why by its exit status, or by the signal that ends it.
"""

from __future__ import annotations

import math
import resource
import sys
import time
from collections.abc import Callable
from importlib import import_module
from typing import cast

import orjson

from newsletter.rendering.errors import RenderingError

DONE, REFUSED = b"+", b"-"
OUT_OF_MEMORY, TOO_MUCH_OUTPUT = 81, 82
"""Exit statuses that neither Python nor a shell uses."""

_OPEN_FILES = 32


def main(job_name: str, limits: str) -> int:
    """Do the job that the parent named; the exit status, 0 where an answer was written."""
    job = _import_job(job_name)
    request = sys.stdin.buffer.read()
    most = orjson.loads(limits)
    _limit_this_process(memory=most["memory"], cpu=most["cpu"])
    try:
        answer = DONE + job(request)
    except MemoryError:
        return OUT_OF_MEMORY
    except Exception as error:
        answer = REFUSED + _as_bytes(error)
    except BaseException as error:  # a Rust panic is outside Exception; here it ends nothing but this job
        answer = REFUSED + _as_bytes(error)
    if len(answer) > most["output"]:
        return TOO_MUCH_OUTPUT
    sys.stdout.buffer.write(answer)
    sys.stdout.buffer.flush()
    return 0


def _import_job(name: str) -> Callable[[bytes], bytes]:
    module, _, function = name.partition(":")
    return cast(Callable[[bytes], bytes], getattr(import_module(module), function))


def _limit_this_process(*, memory: int, cpu: float) -> None:
    """From here on: no more memory or computing time than this, no file written, few opened, no process started."""
    seconds = math.ceil(time.process_time() + cpu)
    for which, soft, hard in (
        (resource.RLIMIT_AS, memory, memory),
        (resource.RLIMIT_CPU, seconds, seconds + 1),
        (resource.RLIMIT_FSIZE, 0, 0),
        (resource.RLIMIT_NOFILE, _OPEN_FILES, _OPEN_FILES),
        (resource.RLIMIT_NPROC, 0, 0),
        (resource.RLIMIT_CORE, 0, 0),
    ):
        resource.setrlimit(which, (soft, hard))


def _as_bytes(error: BaseException) -> bytes:
    """What went wrong, for the parent to raise again."""
    if isinstance(error, RenderingError):
        return orjson.dumps({"message": str(error), "line": error.line, "faults": error.faults})
    if isinstance(error, RecursionError):
        return orjson.dumps({"message": "The theme’s template is nested too deep, or calls itself without end."})
    said = f"{type(error).__name__}: {error}"[:500].encode(errors="replace").decode()
    return orjson.dumps({"message": f"The theme’s template cannot be rendered; it ended with {said}."})


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
