"""Runs a function in a child process with limits on memory, CPU time, wall time and output.

A template of an operator can repeat a word a billion times, nest loops, or nest elements until the renderer's stack
overflows. No sandbox inside a process prevents that, so such templates run in a process that may be killed:

request ─► child: imports, sets its limits, runs the job ─► response, or how it ended ─► RenderingError
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

from newsletter.config.translatable import from_data, translatable
from newsletter.rendering.errors import MjmlFault, RenderingError
from newsletter.rendering.limited_child import DONE, OUT_OF_MEMORY, REFUSED, TOO_MUCH_OUTPUT

_PROJECT = Path(__file__).resolve().parents[2]
_CHILD = "newsletter.rendering.limited_child"

Job = Callable[[bytes], bytes]
"""A function at module level: the child imports it by name."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ProcessLimits:
    """The limits of one job."""

    memory: int = 256_000_000
    """Bytes of address space, including the interpreter's."""
    cpu: int = 2
    """Seconds of CPU time, counted from the end of the child's imports."""
    wall: float = 5.0
    """Seconds until the response, including the start of the child."""
    output: int = 1_000_000
    """Bytes of the response."""


LIMITS = ProcessLimits()


def run_limited(job: Job, request: bytes, *, limits: ProcessLimits | None = None) -> bytes:
    """Run `job` with `request` in a child process and return its response. `limits` None: those of LIMITS.

    Raises RenderingError if the job raises one, exceeds a limit, or ends the child in any other way.
    """
    limits = limits or LIMITS
    timed_out = Event()
    with TemporaryDirectory(prefix="limited-") as folder, _start_child(job, folder, limits) as child:
        timer = Timer(limits.wall, _kill_late_child, (child, timed_out))
        timer.start()
        response = _exchange(child, request, limits)
        status = child.wait()
        timer.cancel()
    return _checked_response(response, status, limits, has_timed_out=timed_out.is_set())


def _start_child(job: Job, folder: str, limits: ProcessLimits) -> subprocess.Popen[bytes]:
    """A Python process without our environment and open files, in an empty working directory."""
    name = f"{job.__module__}:{job.__qualname__}"
    return subprocess.Popen(  # noqa: S603  # our own interpreter and module, without a shell
        [sys.executable, "-P", "-s", "-B", "-m", _CHILD, name, orjson.dumps(limits).decode()],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        cwd=folder,
        env={"PYTHONPATH": str(_PROJECT), "PYTHONUTF8": "1"},
    )


def _kill_late_child(child: subprocess.Popen[bytes], timed_out: Event) -> None:
    timed_out.set()
    child.kill()


def _exchange(child: subprocess.Popen[bytes], request: bytes, limits: ProcessLimits) -> bytes:
    """Write the request and read the response; the pipe is closed once the child has written too much."""
    assert child.stdin is not None  # noqa: S101  # both were opened as pipes
    assert child.stdout is not None  # noqa: S101
    with contextlib.suppress(BrokenPipeError), child.stdin:  # the exit status tells why a child ended early
        child.stdin.write(request)
    with child.stdout:
        return child.stdout.read(limits.output + 1)


def _checked_response(response: bytes, status: int, limits: ProcessLimits, *, has_timed_out: bool) -> bytes:
    if response[:1] == DONE and len(response) <= limits.output:
        return response[1:]
    if response[:1] == REFUSED:
        raise _refusal(response[1:])
    raise RenderingError(_reason(status, limits, has_timed_out=has_timed_out))


def _refusal(response: bytes) -> RenderingError:
    """The error that the job raised."""
    data = orjson.loads(response)
    return RenderingError(
        from_data(data["message"]),
        line=data.get("line"),
        template=data.get("template", ""),
        faults=[MjmlFault(line, from_data(sentence)) for line, sentence in data.get("faults", ())],
    )


def _reason(status: int, limits: ProcessLimits, *, has_timed_out: bool) -> str:
    """Why there is no response, for the author of the template."""
    if has_timed_out:
        return translatable(
            "The theme’s template took more than {seconds:g} s to render and was stopped.", seconds=limits.wall
        )
    if status == -signal.SIGXCPU:
        return translatable(
            "The theme’s template used more than {seconds} s of CPU time and was stopped.", seconds=limits.cpu
        )
    if status in (OUT_OF_MEMORY, -signal.SIGABRT, -signal.SIGKILL):
        return translatable(
            "The theme’s template used more than {limit:.0f} MB of memory and was stopped.", limit=limits.memory / 1e6
        )
    if status == TOO_MUCH_OUTPUT:
        return translatable(
            "The theme’s template wrote more than {limit:g} MB and was stopped.", limit=limits.output / 1e6
        )
    if status < 0:
        return translatable(
            "The theme’s template crashed the renderer ({signal}): it is nested too deeply.",
            signal=signal.Signals(-status).name,
        )
    return translatable(
        "The theme’s template cannot be rendered: its process ended with status {status}.", status=status
    )
