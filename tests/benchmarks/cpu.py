"""CPU seconds of other processes, read from /proc: of a process with its descendants, and of a PostgreSQL cluster.

User and system time together, in steps of a hundredth of a second. Linux only.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import psycopg

PROC = Path("/proc")

#: Places in /proc/PID/stat, counted after the name, which may contain blanks and brackets; see proc_pid_stat(5).
PARENT, TIMES = 1, slice(11, 15)


def tree_cpu_seconds(pid: int) -> float:
    """CPU time of a process and all its descendants, with those that ended and whose parent has waited for them."""
    return sum(_own_seconds(each) for each in _tree(pid))


def postgresql_cpu_seconds(url: str) -> float:
    """CPU time of all processes of the cluster on this machine, with those of connections that were closed."""
    with psycopg.connect(url) as connection:
        row = connection.execute("SELECT pg_backend_pid()").fetchone()
        assert row is not None
        return tree_cpu_seconds(int(_fields(row[0])[PARENT]))


def _fields(pid: int) -> list[str]:
    return (PROC / str(pid) / "stat").read_text().rpartition(")")[2].split()


def _own_seconds(pid: int) -> float:
    try:
        return sum(map(int, _fields(pid)[TIMES])) / os.sysconf("SC_CLK_TCK")
    except (FileNotFoundError, ProcessLookupError):
        # It has ended since the list was read. Its parent's figure has its time.
        return 0.0


def _tree(pid: int) -> Iterator[int]:
    children: dict[int, list[int]] = {}
    for entry in PROC.iterdir():
        if entry.name.isdigit():
            try:
                children.setdefault(int(_fields(int(entry.name))[PARENT]), []).append(int(entry.name))
            except (FileNotFoundError, ProcessLookupError):
                continue
    waiting = [pid]
    while waiting:
        found = waiting.pop()
        yield found
        waiting += children.get(found, [])
