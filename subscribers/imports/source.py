"""Import files: CSV, TSV, XLSX and ZIP, opened as tables."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from subscribers.imports.errors import ImportFileError
from subscribers.imports.table import DELIMITERS, ENCODINGS, SourceRow, Table

__all__ = ["DELIMITERS", "ENCODINGS", "ImportFileError", "Source", "SourceRow", "Table", "open_source"]


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
    """Files in the ZIP that are not read."""


def open_source(path: Path, name: str) -> Source:
    """Find out what kind of file it is, with encoding, delimiter and header. Raises ImportFileError.

    `name` is the name that the file had when it was uploaded: `path` may have another. The file has to stay where it is
    while the tables are read.
    """
    raise NotImplementedError
