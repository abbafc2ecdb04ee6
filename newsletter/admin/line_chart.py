"""A line chart as numbers for an SVG: it holds lines only, and its ticks and legend are text beside it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

#: The size of the drawing in its own units; pages stretch it.
WIDTH, HEIGHT = 1000, 300

#: Steps of the vertical axis, from 0 to its top.
STEPS = 5


@dataclass(frozen=True, slots=True)
class Line:
    """`style` is 1 to 3: solid, dashed, dotted. `points` are those of a polyline."""

    label: str
    style: int
    points: str


@dataclass(frozen=True, slots=True)
class LineChart:
    """`ticks` are the values of the vertical axis, the highest first; `grid` their heights in the drawing."""

    lines: tuple[Line, ...]
    ticks: tuple[int, ...]
    grid: tuple[int, ...]


def line_chart(lines: Sequence[tuple[str, int, Sequence[int]]], periods: int) -> LineChart:
    """Of label, style and counts: each starts at 0 on the left, and has a point at the end of each of the periods."""
    top = axis_top(max((max(counts, default=0) for _label, _style, counts in lines), default=0))
    return LineChart(
        lines=tuple(Line(label, style, _points(counts, periods, top)) for label, style, counts in lines),
        ticks=tuple(top * step // STEPS for step in range(STEPS, -1, -1)),
        grid=tuple(HEIGHT * step // STEPS for step in range(STEPS + 1)),
    )


def axis_top(highest: int) -> int:
    """The next of 5, 10, 20, 50, 100, 200 and so on."""
    size = 1
    while True:
        for step in (5, 10, 20):
            if step * size >= highest:
                return step * size
        size *= 10


def _points(counts: Sequence[int], periods: int, top: int) -> str:
    points = [f"0,{HEIGHT}"]
    for number, count in enumerate(counts, 1):
        points.append(f"{round(WIDTH * number / periods, 1):g},{round(HEIGHT - HEIGHT * count / top, 1):g}")
    return " ".join(points)
