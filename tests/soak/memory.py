"""Memory of processes over time, and whether it grows."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from pathlib import Path

#: Part of a run that is not judged: caches fill.
WARM_UP = 0.25

#: Growth that is no leak: whichever is more, in MB, and as a fraction of the memory after warm-up.
GROWTH_MB, GROWTH = 16.0, 0.12


def resident_mb(group: int) -> float:
    """Resident memory of all processes of a process group, in MB (10^6 bytes); Linux only."""
    return sum(_resident_kb(folder) for folder in Path("/proc").iterdir() if _group_of(folder) == group) * 1024 / 1e6


def _group_of(folder: Path) -> int | None:
    try:
        # The name, in parentheses, may hold blanks. Behind it: state, parent, process group (proc(5)).
        return int((folder / "stat").read_text().rpartition(")")[2].split()[2])
    except (OSError, IndexError, ValueError):
        return None


def _resident_kb(folder: Path) -> int:
    try:
        lines = (folder / "status").read_text().splitlines()
    except OSError:
        return 0
    return next((int(line.split()[1]) for line in lines if line.startswith("VmRSS:")), 0)


def growth_mb(samples: Sequence[float]) -> tuple[float, float]:
    """Memory after warm-up and the growth from there to the end, in MB: medians of the first and the last third."""
    judged = samples[int(len(samples) * WARM_UP) :]
    third = max(1, len(judged) // 3)
    before = statistics.median(judged[:third])
    return before, statistics.median(judged[-third:]) - before


def is_flat(samples: Sequence[float]) -> bool:
    """Whether the memory grows by no more than the bound."""
    before, growth = growth_mb(samples)
    return growth <= max(GROWTH_MB, GROWTH * before)
