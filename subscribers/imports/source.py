"""Import files: CSV, TSV, XLSX and ZIP, opened as tables."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from functools import partial
from itertools import islice
from pathlib import Path
from typing import IO

from django.utils.translation import gettext_noop

from subscribers.imports import archive, spreadsheet
from subscribers.imports.delimited import delimited_rows, detect_delimiter
from subscribers.imports.encoding import Opener, detect_encoding, text_chunks
from subscribers.imports.errors import ImportFileError
from subscribers.imports.table import ADDRESS_CELL, DELIMITERS, ENCODINGS, SourceRow, Table

__all__ = ["DELIMITERS", "ENCODINGS", "ImportFileError", "Source", "SourceRow", "Table", "open_source"]

#: Columns of the first line. Exports of mailing tools have fewer than a hundred.
MAX_COLUMNS = 1000

_ZIP, _OLE = b"PK\x03\x04", b"\xd0\xcf\x11\xe0"


@dataclass(frozen=True, slots=True)
class Source:
    """An import file that was opened."""

    name: str
    """The name that the file had when it was uploaded."""
    kind: str
    """`text`, `xlsx` or `zip`."""
    tables: tuple[Table, ...]
    """One per CSV file in a ZIP, one per sheet with rows of an XLSX file, else one. Never empty."""
    ignored: tuple[str, ...] = ()
    """Files in the ZIP, or hidden and empty sheets, that are not read."""


def open_source(path: Path, name: str) -> Source:
    """Find out what kind of file it is, with encoding, delimiter and header. Raises ImportFileError.

    `name` is the name that the file had when it was uploaded: `path` may have another. The file has to stay where it is
    while the tables are read.
    """
    with path.open("rb") as file:
        magic = file.read(4)
    if magic == _OLE:
        raise ImportFileError(
            "old_spreadsheet",
            gettext_noop("The spreadsheet has an old format or a password. Save it as XLSX without one, or as CSV."),
        )
    # Of an empty ZIP, there is the end only.
    if magic not in (_ZIP, b"PK\x05\x06"):
        return Source(name, "text", (_text_table(partial(_opened, path), name),))
    entries = archive.directory_of(path)
    if any(entry.filename == spreadsheet.WORKBOOK for entry in entries):
        spreadsheet.check_workbook(entries)
        return _open_workbook(path, name)
    tables, ignored = archive.tables_in(entries)
    return Source(
        name,
        "zip",
        tuple(_text_table(archive.entry_opener(path, entry), archive.name_of(entry), True) for entry in tables),
        tuple(ignored),
    )


def _opened(path: Path) -> AbstractContextManager[IO[bytes]]:
    return path.open("rb")


def _text_table(open_file: Opener, name: str, is_entry: bool = False) -> Table:
    try:
        encoding = detect_encoding(open_file)
        chunks = partial(text_chunks, open_file, encoding)
        delimiter = detect_delimiter(chunks)
        table = _table(name, partial(delimited_rows, chunks, delimiter), encoding, delimiter)
    except ImportFileError as error:
        error.file = name if is_entry else ""
        raise
    if table is None:
        raise _empty()
    return table


def _open_workbook(path: Path, name: str) -> Source:
    visible, hidden = spreadsheet.sheet_names(path)
    archive.check_count(len(visible))
    sheets = {sheet: _table(sheet, partial(spreadsheet.sheet_rows, path, sheet)) for sheet in visible}
    tables = tuple(table for table in sheets.values() if table)
    if not tables:
        raise _empty()
    return Source(name, "xlsx", tables, (*hidden, *(sheet for sheet, table in sheets.items() if not table)))


def _empty() -> ImportFileError:
    return ImportFileError("empty", gettext_noop("The file is empty."))


def _table(name: str, read: Callable[[], Iterator[SourceRow]], encoding: str = "", delimiter: str = "") -> Table | None:
    """The table, with a header if the first row has no address; None if there are no rows."""
    first = next(read(), None)
    if first is None:
        return None
    width = len(first.cells)
    if width > MAX_COLUMNS:
        raise ImportFileError(
            "too_many_columns",
            gettext_noop("Row {line} has {count} columns. At most {limit} are read. Check the delimiter."),
            line=first.line,
            count=width,
            limit=MAX_COLUMNS,
        )
    # A first line with an address is data.
    if any(map(ADDRESS_CELL.fullmatch, first.cells)):
        return Table(name, (), width, encoding, delimiter, read)
    header = tuple(map(_column_name, first.cells))
    return Table(name, header, width, encoding, delimiter, partial(_without_header, read))


def _column_name(cell: str) -> str:
    """In one line, without NUL and invisible characters."""
    return "".join(filter(str.isprintable, " ".join(cell.split())))


def _without_header(read: Callable[[], Iterator[SourceRow]]) -> Iterator[SourceRow]:
    return islice(read(), 1, None)
