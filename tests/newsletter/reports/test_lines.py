"""Lines of charts: scales with round steps around all values, points inside their box."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from newsletter.reports.lines import CHART, SPARKLINE, TICKS, area, grid, points, scale, sparkline

numbers = st.lists(st.integers(0, 10_000_000), min_size=1, max_size=40)


def pairs(line: str) -> list[tuple[float, float]]:
    return [(float(x), float(y)) for x, y in (pair.split(",") for pair in line.split())]


@pytest.mark.parametrize(
    ("values", "ticks"),
    [
        ([11_240, 12_412], [11_000, 11_500, 12_000, 12_500]),
        ([0, 3], [0, 1, 2, 3]),
        ([0], [0, 0.5, 1]),
        ([7], [6, 6.5, 7, 7.5, 8]),
        ([0, 100], [0, 50, 100]),
    ],
)
def test_a_scale_has_a_few_round_numbers(values: list[float], ticks: list[float]) -> None:
    assert scale(values) == pytest.approx(ticks)


@given(numbers)
def test_a_scale_is_around_all_values_in_equal_steps(values: list[int]) -> None:
    ticks = scale(values)
    assert ticks[0] <= min(values) <= max(values) <= ticks[-1]
    assert 2 <= len(ticks) <= TICKS + 1
    steps = {round(after - before, 6) for before, after in itertools.pairwise(ticks)}
    assert len(steps) == 1


@given(numbers)
def test_rates_start_at_zero(values: list[int]) -> None:
    assert scale(values, from_zero=True)[0] == 0


@given(numbers)
def test_points_go_from_left_to_right_inside_their_box(values: list[int]) -> None:
    ticks = scale(values)
    found = pairs(points(values, ticks[0], ticks[-1]))
    width, height = CHART
    assert found[0][0] == 0
    assert len(found) == len(values)
    assert [x for x, _y in found] == sorted(x for x, _y in found)
    assert all(0 <= x <= width and 0 <= y <= height for x, y in found)


def test_the_highest_value_is_at_the_top() -> None:
    assert points([10, 20, 15], 10, 20) == "0,300 500,0 1000,150"


def test_an_area_ends_at_the_bottom() -> None:
    assert area("0,10 1000,20") == "0,300 0,10 1000,20 1000,300"


def test_lines_of_the_grid_are_at_the_ticks() -> None:
    assert grid(4) == "M0,0H1000 M0,100H1000 M0,200H1000 M0,300H1000"


@given(numbers)
def test_a_small_line_needs_two_values_and_stays_in_its_box(values: list[int]) -> None:
    line = sparkline(values)
    assert bool(line) is (len(values) > 1)
    assert all(0 < y < SPARKLINE[1] for _x, y in pairs(line))
