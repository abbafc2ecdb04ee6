"""XLSX files: their sheets as tables of text."""

from __future__ import annotations

import datetime
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import openpyxl
from django.utils.translation import gettext_noop

from subscribers.imports.archive import check_sizes
from subscribers.imports.delimited import without_guard
from subscribers.imports.errors import ImportFileError
from subscribers.imports.table import SourceRow

WORKBOOK = "xl/workbook.xml"

#: Bytes unpacked: of all sheets, which are streamed; of the rest, which is held in memory.
MAX_SHEETS, MAX_REST = 1 << 30, 48 << 20

#: Rows of a sheet, by the format's own limit: a forged row number would make a billion empty rows.
MAX_ROWS = 1 << 20


def check_workbook(entries: list[zipfile.ZipInfo]) -> None:
    """Refuse a file that would not fit into memory. Raises ImportFileError."""
    sheets = [entry for entry in entries if entry.filename.startswith("xl/worksheets/")]
    rest = [entry for entry in entries if entry not in sheets]
    check_sizes(sheets, MAX_SHEETS)
    if sum(entry.file_size for entry in rest) > MAX_REST:
        raise ImportFileError("xlsx_too_large", gettext_noop("The spreadsheet is too large. Save it as CSV."))
    check_sizes(rest)


def sheet_names(path: Path) -> tuple[list[str], list[str]]:
    """The names of the visible and of the hidden sheets. Raises ImportFileError."""
    with _workbook(path) as workbook:
        sheets = workbook.worksheets
        visible = [sheet.title for sheet in sheets if sheet.sheet_state == "visible"]
        return visible, [sheet.title for sheet in sheets if sheet.title not in visible]


def sheet_rows(path: Path, sheet: str) -> Iterator[SourceRow]:
    """All rows with their numbers, without empty ones; of formulas, the stored value. Raises ImportFileError."""
    with _workbook(path) as workbook:
        rows = workbook[sheet]
        # Some programs write a wrong size of the sheet.
        rows.reset_dimensions()
        for number, values in enumerate(rows.iter_rows(max_row=MAX_ROWS, values_only=True), 1):
            cells = [without_guard(_text(value)) for value in values]
            if any(map(str.strip, cells)):
                yield SourceRow(number, cells)


@contextmanager
def _workbook(path: Path) -> Iterator[Any]:
    try:
        # Of a path, the library would judge the name.
        with path.open("rb") as file:
            workbook = openpyxl.load_workbook(file, read_only=True, data_only=True, keep_links=False)
            try:
                yield workbook
            finally:
                workbook.close()
    except ImportFileError:
        raise
    # The library checks little: what a damaged file raises depends on where it is damaged.
    except Exception as error:
        raise ImportFileError(
            "xlsx_damaged",
            gettext_noop("The spreadsheet cannot be read. Open it and save it again, or save it as CSV."),
        ) from error


def _text(value: object) -> str:
    """A value as an export in CSV would have it."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "TRUE" if value else "FALSE"
    if isinstance(value, float):
        return str(int(value)) if value.is_integer() else repr(value)
    if isinstance(value, datetime.datetime):
        is_day = value.time() == datetime.time()
        return value.date().isoformat() if is_day else value.isoformat(" ", "seconds")
    return str(value)
