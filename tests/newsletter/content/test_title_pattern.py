"""Title patterns: filled by name, and faults named with their position."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from newsletter.content.title_pattern import NAMES, fill_pattern, has_number, pattern_faults

VALUES = {"newsletter": "Harbour Notes", "number": "48", "date": "1 December 2026", "week": "49"}


@pytest.mark.parametrize(
    ("pattern", "title"),
    [
        ("{newsletter} #{number}", "Harbour Notes #48"),
        ("{ newsletter }, week {week}", "Harbour Notes, week 49"),
        ("  {date}  ", "1 December 2026"),
        ("No fields", "No fields"),
    ],
)
def test_names_in_braces_are_replaced(pattern: str, title: str) -> None:
    assert fill_pattern(pattern, VALUES) == title


@pytest.mark.parametrize(
    ("pattern", "faults"),
    [
        ("{newsletter} #{numbr}", [(15, "“{numbr}” is not known")]),
        ("{newsletter #3", [(1, "no closing brace")]),
        ("#3} of {week}", [(3, "no opening brace")]),
        ("{} and {", [(1, "“{}” is not known"), (8, "no closing brace")]),
    ],
)
def test_a_fault_is_named_with_its_position(pattern: str, faults: list[tuple[int, str]]) -> None:
    found = list(pattern_faults(pattern))
    assert [position for position, _ in found] == [position for position, _ in faults]
    for (position, sentence), (_, words) in zip(found, faults, strict=True):
        assert f"Character {position}: " in sentence
        assert words in sentence


@given(st.lists(st.sampled_from([*("{" + name + "}" for name in NAMES), " ", "#", "Notes"])).map("".join))
def test_a_pattern_of_known_names_has_no_faults_and_leaves_no_braces(pattern: str) -> None:
    assert not list(pattern_faults(pattern))
    assert "{" not in fill_pattern(pattern, dict.fromkeys(NAMES, "x"))
    assert has_number(pattern) == ("{number}" in pattern)
