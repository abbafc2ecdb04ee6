"""Processes of this machine: whether one that was named earlier still runs."""

from __future__ import annotations

import os
from pathlib import Path

PROC = Path("/proc")


def is_running(pid: int) -> bool:
    """Whether a process with this id runs here. One that ended and that its parent has not noticed yet does not."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except (PermissionError, OverflowError):
        # It runs as another user, or the number is no id at all.
        pass
    return _stat(pid)[:1] not in (["Z"], ["X"])


def process_identity(pid: int) -> str:
    """What tells this process from every other one that had or will have its id: boot, id namespace and start time.

    Empty for a process that does not run. The start time is empty where it cannot be read: on systems without /proc,
    and of processes of other accounts where /proc is mounted with `hidepid` (proc(5)).
    """
    if not is_running(pid):
        return ""
    stat = _stat(pid)
    started = stat[19] if len(stat) > 19 else ""
    return f"{_scope()}/{started}"


def is_known_dead(pid: int, identity: str) -> bool:
    """Whether the process with this id and identity has ended.

    False where that cannot be known: it ran on another machine, before the last boot, or in another container, whose
    process ids mean nothing here; or a process with this id runs, and its start time cannot be read.
    """
    scope, _slash, started = identity.rpartition("/")
    if not identity or scope != _scope():
        return False
    if not is_running(pid):
        return True
    now_started = process_identity(pid).rpartition("/")[2]
    return bool(started and now_started) and started != now_started


def _scope() -> str:
    """Where process ids mean the same: one boot of one machine, and one namespace of process ids."""
    try:
        boot = (PROC / "sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
        namespace = os.readlink(PROC / "self/ns/pid")
    except OSError:
        return "-/-"
    return f"{boot}/{namespace}"


def _stat(pid: int) -> list[str]:
    """The fields of /proc/PID/stat (proc(5)) from the third on, the state; empty where there is none."""
    try:
        text = (PROC / str(pid) / "stat").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return []
    # The second field is the program's name in parentheses, which may contain spaces and parentheses.
    return text.rpartition(")")[2].split()
