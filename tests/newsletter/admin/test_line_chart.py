"""The lines of a chart: each starts at nothing, and none leaves the drawing."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from newsletter.admin.line_chart import HEIGHT, WIDTH, axis_top, line_chart


@pytest.mark.parametrize(
    ("highest", "top"), [(0, 5), (5, 5), (6, 10), (11, 20), (21, 50), (99, 100), (4_900, 5_000), (12_346, 20_000)]
)
def test_the_axis_ends_at_a_round_number(highest: int, top: int) -> None:
    assert axis_top(highest) == top


@given(st.lists(st.integers(0, 2_000_000), max_size=48))
def test_every_point_is_inside_the_drawing_and_the_axis_is_even(counts: list[int]) -> None:
    chart = line_chart([("Delivered", 1, counts)], 48)
    points = [tuple(map(float, point.split(","))) for point in chart.lines[0].points.split()]
    assert points[0] == (0, HEIGHT)
    assert len(points) == len(counts) + 1
    assert all(0 <= x <= WIDTH and 0 <= y <= HEIGHT for x, y in points)
    assert chart.ticks[0] >= max(counts, default=0)
    assert len({high - low for high, low in zip(chart.ticks, chart.ticks[1:], strict=False)}) == 1
