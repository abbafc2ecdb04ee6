"""Text with delimiters, such as CSV: the delimiter, and the rows as a stream."""

from __future__ import annotations

import csv
import io
import re
from collections import Counter
from collections.abc import Callable, Iterator

from django.utils.translation import gettext_noop

from subscribers.imports.encoding import MAX_LINE, too_long
from subscribers.imports.errors import ImportFileError
from subscribers.imports.table import SourceRow

#: By their codes in DELIMITERS.
CHARACTERS = {"comma": ",", "semicolon": ";", "tab": "\t", "pipe": "|"}

#: So much text, and so many rows of it, decide about the delimiter.
_SAMPLE, _SAMPLE_ROWS = 1 << 16, 50

#: The first line of files that a spreadsheet program has to open with this delimiter.
_SEP = re.compile(r"sep=([,;\t|])[,;\t|]*\r?\n?", re.IGNORECASE)

#: Exports put a `'` before cells that a spreadsheet program would take for formulas (OWASP, CSV injection), and another
#: one before cells that have one already.
_GUARDS = re.compile(r"'+[=+\-@\t\r]")

#: A row that goes on for so many chunks of text has no end.
_MAX_CHUNKS = 5

Chunks = Callable[[], Iterator[str]]


def detect_delimiter(chunks: Chunks) -> str:
    """A code of DELIMITERS: the one that splits the first rows into the same number of cells."""
    sample = ""
    for chunk in chunks():
        sample += chunk
        if len(sample) >= _SAMPLE:
            sample = sample[: sample.rfind("\n", 0, _SAMPLE) + 1] or sample[:_SAMPLE]
            break
    if named := _SEP.match(sample):
        return next(code for code, character in CHARACTERS.items() if character == named[1])
    # max() takes the first of equals: a single column is read with commas.
    return max(CHARACTERS, key=lambda code: _evenness(sample, CHARACTERS[code]))


def _evenness(sample: str, delimiter: str) -> float:
    """From 0 for one column to almost 1 for many columns, the same number in every row."""
    widths: Counter[int] = Counter()
    try:
        for row in csv.reader(io.StringIO(sample, newline=""), delimiter=delimiter):
            widths[len(row)] += bool(row)
            if widths.total() >= _SAMPLE_ROWS:
                break
    except csv.Error:
        return 0
    width, count = max(widths.items(), key=lambda item: item[1], default=(1, 1))
    return count / max(1, widths.total()) * (1 - 1 / width) if width else 0


class _Lines:
    """The lines of a text for csv.reader, each with its line break, none of them longer than MAX_LINE."""

    def __init__(self, chunks: Iterator[str]) -> None:
        self.is_guarded = False
        """Whether a guard has been seen: as long as there is none, no cell has to be looked at."""
        self.chunks_of_row = 0
        """Set to 0 after each row."""
        self._chunks = chunks
        self._current: list[str] = []
        self._before = 0

    def line(self, number: int) -> str:
        """The line that was read last."""
        return self._current[number - self._before - 1]

    def __iter__(self) -> Iterator[str]:
        rest = ""
        for chunk in self._chunks:
            text = rest + chunk
            cut = (text.rfind("\n") + 1) or (text.rfind("\r", 0, -1) + 1)
            text, rest = text[:cut], text[cut:]
            yield from self._next(text)
            if len(rest) > MAX_LINE:
                raise too_long(self._before + len(self._current) + 1)
        yield from self._next(rest)

    def _next(self, text: str) -> list[str]:
        self._before += len(self._current)
        self._current = io.StringIO(text, newline="").readlines()
        self.is_guarded = self.is_guarded or _GUARDS.search(text) is not None
        self.chunks_of_row += bool(text)
        if self.chunks_of_row > _MAX_CHUNKS:
            raise csv.Error
        return self._current


def delimited_rows(chunks: Chunks, delimiter: str) -> Iterator[SourceRow]:
    """All rows with their lines, the header among them, without empty ones. `delimiter` is a code of DELIMITERS.

    Raises ImportFileError.
    """
    character = CHARACTERS[delimiter]
    lines = _Lines(chunks())
    records = csv.reader(lines, delimiter=character, strict=True)
    while True:
        begin = records.line_num + 1
        try:
            cells = next(records)
        except StopIteration:
            return
        except csv.Error as error:
            cells = _lenient(lines, begin, records.line_num, character, error)
        lines.chunks_of_row = 0
        if begin == records.line_num == 1 and _SEP.fullmatch(lines.line(1)):
            continue
        if lines.is_guarded:
            cells = [without_guard(cell) for cell in cells]
        if any(map(str.strip, cells)):
            yield SourceRow(begin, cells)


def _lenient(lines: _Lines, begin: int, end: int, character: str, error: csv.Error) -> list[str]:
    """The cells of a line in which quotes are not doubled. Raises ImportFileError if other rows may be affected."""
    reason = str(error)
    if end == begin and "expected after" in reason:
        return next(csv.reader([lines.line(begin)], delimiter=character), [])
    if end == begin and "limit" in reason:
        raise ImportFileError(
            "cell_too_long",
            gettext_noop("Row {line} has a cell with more than {limit} characters. Remove it."),
            line=begin,
            limit=csv.field_size_limit(),
        ) from error
    raise ImportFileError(
        "unclosed_quote",
        gettext_noop("Row {line} has an unclosed quote. Fix it or choose another delimiter."),
        line=begin,
    ) from error


def without_guard(cell: str) -> str:
    """The cell without the `'` that keeps spreadsheet programs from calculating it."""
    return cell[1:] if _GUARDS.match(cell) else cell
