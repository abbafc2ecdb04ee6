"""Rows of the benchmark table, and the measuring of CPU seconds: the median of several runs in this process."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Row:
    """One line of the table."""

    name: str
    figure: float
    unit: str
    goal: str = ""


def cpu_seconds(step: Callable[[], object]) -> float:
    """CPU time of one call."""
    started = time.process_time()
    step()
    return time.process_time() - started


def median_cpu_seconds(step: Callable[[], object], *, runs: int = 15) -> float:
    """Median CPU time of `runs` calls, after one call to warm up."""
    step()
    return statistics.median(cpu_seconds(step) for _ in range(runs))


def table(rows: list[Row]) -> str:
    """The rows as aligned text."""
    figures = [f"{row.figure:,.{_decimals(row.figure)}f}" for row in rows]
    name, figure = max(len(row.name) for row in rows), max(map(len, figures))
    unit = max(len(row.unit) for row in rows)
    lines = (
        f"{row.name:<{name}}  {shown:>{figure}} {row.unit:<{unit}}  {row.goal}"
        for row, shown in zip(rows, figures, strict=True)
    )
    return "\n".join(line.rstrip() for line in lines)


def _decimals(figure: float) -> int:
    return 0 if figure >= 1_000 else 1 if figure >= 1 else 2
