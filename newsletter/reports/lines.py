"""Lines of charts as points in a box; pure."""

from __future__ import annotations

import math
from collections.abc import Sequence

#: Width and height of the box of a chart, and of a small one without axes.
CHART, SPARKLINE = (1000, 300), (100, 30)

#: The most ticks at the side.
TICKS = 5


def scale(values: Sequence[float], *, from_zero: bool = False) -> list[float]:
    """Round numbers from the one below all values to the one above, at most TICKS, in equal steps."""
    low, high = (0.0 if from_zero else min(values, default=0.0)), max(values, default=0.0)
    if high - low < 1e-9:
        low, high = (max(0.0, low - 1), low + 1) if low else (0.0, 1.0)
    step = _round_up((high - low) / (TICKS - 1))
    while math.ceil(high / step - 1e-9) - math.floor(low / step + 1e-9) >= TICKS:
        step = _round_up(step * 1.01)
    first, last = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
    return [number * step for number in range(first, max(last, first + 1) + 1)]


def _round_up(step: float) -> float:
    """The next 1, 2 or 5 with zeros."""
    power = 10.0 ** math.floor(math.log10(step))
    return next(factor * power for factor in (1, 2, 5, 10) if factor * power >= step - 1e-12)


def points(values: Sequence[float], low: float, high: float, box: tuple[int, int] = CHART) -> str:
    """`x,y x,y …` from the left edge to the right one; the low end of the scale is at the bottom."""
    width, height = box
    across = max(1, len(values) - 1)
    return " ".join(
        f"{_short(width * place / across)},{_short(height - height * (value - low) / (high - low))}"
        for place, value in enumerate(values)
    )


def sparkline(values: Sequence[float]) -> str:
    """Points of a small line over the whole of its box, with a margin for its width; empty for less than two values."""
    if len(values) < 2:
        return ""
    low, high = min(values), max(values)
    if high == low:
        low, high = low - 1, high + 1
    margin = (high - low) / 10
    return points(values, low - margin, high + margin, SPARKLINE)


def area(line: str, box: tuple[int, int] = CHART) -> str:
    """The same points and the two corners below them: the outline of the area under a line."""
    return f"0,{box[1]} {line} {box[0]},{box[1]}"


def grid(lines: int, box: tuple[int, int] = CHART) -> str:
    """The path of so many lines from side to side, from the top to the bottom in equal steps; at least two."""
    width, height = box
    return " ".join(f"M0,{_short(height * place / (lines - 1))}H{width}" for place in range(lines))


def _short(number: float) -> str:
    return f"{number:.1f}".removesuffix(".0")
