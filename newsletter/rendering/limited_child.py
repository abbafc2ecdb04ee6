"""The child of `limited_process`: sets its own limits, then runs one job from stdin to stdout.

Run as `python -m newsletter.rendering.limited_child MODULE:FUNCTION LIMITS`. The first byte of a response is DONE or
REFUSED. Without a response, the exit status or the signal tells why.
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

from newsletter.config.translatable import to_data, translatable
from newsletter.rendering.errors import RenderingError

DONE, REFUSED = b"+", b"-"
OUT_OF_MEMORY, TOO_MUCH_OUTPUT = 81, 82
"""Exit statuses that Python and shells do not use."""

_OPEN_FILES = 32


def main(job_name: str, limits: str) -> int:
    """Run the job and write its response. Returns the exit status."""
    job = _import_job(job_name)
    request = sys.stdin.buffer.read()
    allowed = orjson.loads(limits)
    _limit_this_process(memory=allowed["memory"], cpu=allowed["cpu"])
    try:
        response = DONE + job(request)
    except MemoryError:
        return OUT_OF_MEMORY
    except Exception as error:
        response = REFUSED + _as_bytes(error)
    except BaseException as error:  # a Rust panic is not an Exception
        response = REFUSED + _as_bytes(error)
    if len(response) > allowed["output"]:
        return TOO_MUCH_OUTPUT
    sys.stdout.buffer.write(response)
    sys.stdout.buffer.flush()
    return 0


def _import_job(name: str) -> Callable[[bytes], bytes]:
    module, _, function = name.partition(":")
    return cast(Callable[[bytes], bytes], getattr(import_module(module), function))


def _limit_this_process(*, memory: int, cpu: float) -> None:
    """Limit memory and CPU time, and allow no written files, few open files and no child processes."""
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
    """The error for the parent, which raises it again."""
    if isinstance(error, RenderingError):
        faults = [(fault.line, to_data(fault.sentence)) for fault in error.faults]
        return orjson.dumps(
            {"message": to_data(error.message), "line": error.line, "template": error.template, "faults": faults}
        )
    if isinstance(error, RecursionError):
        message = translatable("The theme’s template is nested too deeply, or includes itself without end.")
        return orjson.dumps({"message": to_data(message)})
    reason = f"{type(error).__name__}: {error}"[:500].encode(errors="replace").decode()
    message = translatable("The theme’s template cannot be rendered: {reason}.", reason=reason)
    return orjson.dumps({"message": to_data(message)})


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
