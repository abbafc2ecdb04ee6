"""Line charts as server-side SVG: lines only, so that letters keep their size; ticks are lists beside it."""

from __future__ import annotations

import datetime
from collections.abc import Mapping
from dataclasses import dataclass

#: The coordinates of the drawing. It is stretched to its place.
WIDTH, HEIGHT = 1000, 300

#: Gaps between horizontal lines.
STEPS = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class LineChart:
    """One line over days, and one limit. A day without a value interrupts the line."""

    segments: tuple[str, ...]
    """Of `<polyline points>`."""
    dots: tuple[tuple[str, str], ...]
    """Days with values before and after which there is none: x and y."""
    limit_y: str
    grid: tuple[str, ...]
    """y of the horizontal lines, from the top."""
    ticks: tuple[float, ...]
    """The values of these lines."""
    days: tuple[datetime.date, ...]
    """Days below the drawing, in equal distances."""


def line_chart(
    values: Mapping[datetime.date, float], first: datetime.date, last: datetime.date, *, limit: float, marks: int = 5
) -> LineChart:
    """The values from `first` to `last`, which is later. The scale begins at 0 and includes the limit."""
    days = (last - first).days
    top = _top(max([limit, *values.values()]))
    places = [(first + datetime.timedelta(days=number), number) for number in range(days + 1)]
    runs: list[list[str]] = [[]]
    for day, number in places:
        if day in values:
            runs[-1].append(f"{WIDTH * number / days:.1f},{_y(values[day], top):.1f}")
        elif runs[-1]:
            runs.append([])
    alone = [run[0].split(",") for run in runs if len(run) == 1]
    return LineChart(
        segments=tuple(" ".join(run) for run in runs if len(run) > 1),
        dots=tuple((x, y) for x, y in alone),
        limit_y=f"{_y(limit, top):.1f}",
        grid=tuple(f"{HEIGHT * step / STEPS:.1f}" for step in range(STEPS + 1)),
        ticks=tuple(top * (STEPS - step) / STEPS for step in range(STEPS + 1)),
        days=tuple(first + datetime.timedelta(days=round(days * mark / (marks - 1))) for mark in range(marks)),
    )


def _y(value: float, top: float) -> float:
    return HEIGHT * (1 - value / top)


def _top(largest: float) -> float:
    """A little above the largest value, so that all lines are at round numbers of 0.01 %."""
    step = 0.0001
    while step * STEPS < largest * 1.1:
        step += 0.0001
    return round(step * STEPS, 6)
