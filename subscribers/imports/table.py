"""A table of an import file: its header, and its rows as a stream."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from itertools import islice
from typing import NamedTuple

from django.utils.translation import gettext_lazy as _
from django.utils.translation import pgettext_lazy

#: Encodings and delimiters by their codes, for showing. An empty code: a spreadsheet, which has neither.
ENCODINGS = {
    "utf-8": "UTF-8",
    "utf-8-bom": "UTF-8",
    "utf-16-le": "UTF-16",
    "utf-16-be": "UTF-16",
    "windows-1252": "Windows-1252",
    "iso-8859-1": "ISO-8859-1",
}
DELIMITERS = {
    "comma": _("comma"),
    "semicolon": _("semicolon"),
    "tab": pgettext_lazy("delimiter", "tab"),
    "pipe": _("vertical bar"),
}

#: One address, perhaps with a name.
ADDRESS_CELL = re.compile(r"\s*(?:[^@<>]*<)?[^@\s<>]+@[^@\s<>]+\.[^@\s<>]+>?\s*")


class SourceRow(NamedTuple):
    """One row of data."""

    line: int
    """The line in the file on which the row begins, counted from 1. A row with line breaks in a cell has several."""
    cells: list[str]


@dataclass(frozen=True, slots=True)
class Table:
    """One CSV file, or one sheet of a spreadsheet."""

    name: str
    """The name of the file, of the file in the ZIP, or of the sheet."""
    header: tuple[str, ...]
    """The names of the columns, by position: a name can occur twice or be empty. Empty: the first line is data."""
    width: int
    """The number of columns of the first line."""
    encoding: str
    """A code of ENCODINGS, or empty."""
    delimiter: str
    """A code of DELIMITERS, or empty."""
    read: Callable[[], Iterator[SourceRow]] = field(repr=False, compare=False)
    """Reads all rows of data from the beginning."""

    def rows(self, start_line: int = 1) -> Iterator[SourceRow]:
        """The rows that begin on `start_line` or later, without the header and without empty rows.

        Memory does not grow with the file. Raises ImportFileError.
        """
        rows = self.read()
        if start_line <= 1:
            return rows
        return (row for row in rows if row.line >= start_line)

    def samples(self, count: int = 50) -> list[SourceRow]:
        """The first rows. Raises ImportFileError."""
        return list(islice(self.rows(), count))
