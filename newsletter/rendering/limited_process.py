"""Rendering in a child process that may take so much and no more (R-153).

A template that an operator wrote can multiply a word by a thousand million, loop in a loop, or nest until the
renderer's stack ends. No sandbox inside a process stops that; so it happens in a process that may die:

request ─► child: imports, limits itself, does the job ─► answer, or how it died ─► RenderingError with a sentence
"""

from __future__ import annotations

import contextlib
import signal
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from threading import Event, Timer

import orjson

from newsletter.rendering.errors import MjmlFault, RenderingError
from newsletter.rendering.limited_child import DONE, OUT_OF_MEMORY, REFUSED, TOO_MUCH_OUTPUT

_PROJECT = Path(__file__).resolve().parents[2]
_CHILD = "newsletter.rendering.limited_child"

Job = Callable[[bytes], bytes]
"""A function of a module, not nested in another: the child imports it by its name."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ProcessLimits:
    """What one job may take (R-153)."""

    memory: int = 256_000_000
    """Bytes of address space, the interpreter's own included."""
    cpu: int = 2
    """Seconds of computing time, counted from when the child has started."""
    wall: float = 5.0
    """Seconds until an answer, the start of the child included."""
    output: int = 1_000_000
    """Bytes of the answer."""


LIMITS = ProcessLimits()


def run_limited(job: Job, request: bytes, *, limits: ProcessLimits = LIMITS) -> bytes:
    """What `job` answers to `request`, worked out in a child process that shares nothing with this one.

    RenderingError when the job raises one, when it takes more than `limits` allow, and when it ends the child.
    """
    late = Event()
    with TemporaryDirectory(prefix="fence-") as folder, _start_child(job, folder, limits) as child:
        guard = Timer(limits.wall, _stop_late, (child, late))
        guard.start()
        answer = _ask(child, request, limits)
        status = child.wait()
        guard.cancel()
    return _judge(answer, status, limits, is_late=late.is_set())


def _start_child(job: Job, folder: str, limits: ProcessLimits) -> subprocess.Popen[bytes]:
    """A Python with nothing of this process: no environment, no open files, an empty folder to stand in."""
    name = f"{job.__module__}:{job.__qualname__}"
    return subprocess.Popen(  # noqa: S603  # our own interpreter and module, without a shell
        [sys.executable, "-P", "-s", "-B", "-m", _CHILD, name, orjson.dumps(limits).decode()],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        cwd=folder,
        env={"PYTHONPATH": str(_PROJECT), "PYTHONUTF8": "1"},
    )


def _stop_late(child: subprocess.Popen[bytes], late: Event) -> None:
    late.set()
    child.kill()


def _ask(child: subprocess.Popen[bytes], request: bytes, limits: ProcessLimits) -> bytes:
    """Write the request and read the answer; a child that writes more than allowed is cut off and ends."""
    assert child.stdin is not None  # noqa: S101  # both were opened as pipes
    assert child.stdout is not None  # noqa: S101
    with contextlib.suppress(BrokenPipeError), child.stdin:  # a child that died early says so by its status
        child.stdin.write(request)
    with child.stdout:
        return child.stdout.read(limits.output + 1)


def _judge(answer: bytes, status: int, limits: ProcessLimits, *, is_late: bool) -> bytes:
    if answer[:1] == DONE and len(answer) <= limits.output:
        return answer[1:]
    if answer[:1] == REFUSED:
        raise _refusal(answer[1:])
    raise RenderingError(_reason(status, limits, is_late=is_late))


def _refusal(answer: bytes) -> RenderingError:
    said = orjson.loads(answer)
    error = RenderingError(said["message"])
    error.line = said.get("line")
    error.faults = tuple(MjmlFault(**fault) for fault in said.get("faults", ()))
    return error


def _reason(status: int, limits: ProcessLimits, *, is_late: bool) -> str:
    """Why there is no answer, for the person who wrote the template."""
    if is_late:
        return f"The theme’s template took more than {limits.wall:g} s to render, and was stopped."
    if status == -signal.SIGXCPU:
        return f"The theme’s template used more than {limits.cpu} s of computing time, and was stopped."
    if status in (OUT_OF_MEMORY, -signal.SIGABRT, -signal.SIGKILL):
        return f"The theme’s template needed more than {limits.memory / 1e6:.0f} MB of memory, and was stopped."
    if status == TOO_MUCH_OUTPUT:
        return f"The theme’s template wrote more than {limits.output / 1e6:g} MB, and was stopped."
    if status < 0:
        return f"The theme’s template broke the renderer ({signal.Signals(-status).name}): it is nested too deep."
    return f"The theme’s template could not be rendered: its process ended with status {status} and no answer."
