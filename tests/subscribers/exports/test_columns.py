"""The columns of our CSV, and cells that a spreadsheet would take for formulas."""

from __future__ import annotations

import csv
import io

import pytest
from hypothesis import given
from hypothesis import strategies as st

from subscribers.exports.columns import FORMULA_STARTS, field_key, guarded, header, unguarded


def test_the_header_begins_as_the_import_knows_it() -> None:
    assert ",".join(header(["boat", "city"])) == (
        "address,first_name,state,tags,joined_at,confirmed_at,ended_at,source,language,time_zone,field:boat,field:city,"
        "frequency,paused_until,topics_off,suppression_reason,proof"
    )
    assert [field_key(column) for column in ("field:boat", "state")] == ["boat", ""]


@pytest.mark.parametrize(
    ("text", "cell"),
    [
        ("=1+1", "'=1+1"),
        ("+49 40", "'+49 40"),
        ("-", "'-"),
        ("@SUM(A1)", "'@SUM(A1)"),
        ("\t=1", "'\t=1"),
        ("\r=1", "'\r=1"),
        ("'=1", "''=1"),
        ("O'Neil", "O'Neil"),
        ("'s Gravenhage", "'s Gravenhage"),
        ("", ""),
        ("'", "'"),
    ],
)
def test_a_formula_gets_an_apostrophe(text: str, cell: str) -> None:
    assert (guarded(text), unguarded(cell)) == (cell, text)


@given(st.text(alphabet=st.one_of(st.sampled_from("'=+-@\t\ra,\""), st.characters(codec="utf-8"))))
def test_no_cell_is_a_formula_and_a_round_trip_changes_nothing(text: str) -> None:
    buffer = io.StringIO(newline="")
    csv.writer(buffer).writerow([guarded(text), "x"])
    ((cell, _x),) = csv.reader(io.StringIO(buffer.getvalue(), newline=""))
    assert cell[:1] not in FORMULA_STARTS or not cell
    assert unguarded(cell) == text
