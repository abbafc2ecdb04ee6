"""Lists of issues in exports: CSV files and JSON, read leniently. Pure."""

from __future__ import annotations

import csv
import io
from collections import Counter
from collections.abc import Iterator
from pathlib import PurePosixPath
from typing import Any

import orjson

from newsletter.config.translatable import translatable
from newsletter.content.archives.files import read_text
from newsletter.content.archives.item import ArchiveError, ArchiveFiles

#: Characters of one field: a whole mail may be in it.
MAX_FIELD = 20_000_000


def csv_rows(files: ArchiveFiles, path: PurePosixPath) -> Iterator[tuple[int, dict[str, str]]]:
    """The rows of a table with their numbers, as a spreadsheet shows them; keys are in lower case.

    Raises ArchiveError for a file that is no table.
    """
    text = read_text(files, path).replace("\0", "")
    first = text.lstrip("\ufeff\r\n").split("\n", 1)[0]
    delimiter = Counter({mark: first.count(mark) for mark in ",;\t"}).most_common(1)[0][0]
    head: list[str] = []
    for number, cells in enumerate(_cells(text, delimiter, path), start=1):
        if not any(cell.strip() for cell in cells):
            continue
        if not head:
            head = [cell.strip().lower() for cell in cells]
            continue
        yield number, dict(zip(head, [*cells, *[""] * (len(head) - len(cells))], strict=False))


def _cells(text: str, delimiter: str, path: PurePosixPath) -> list[list[str]]:
    """All rows. The limit of a cell counts for the whole process, so it is raised for this file only."""
    before = csv.field_size_limit(MAX_FIELD)
    try:
        return list(csv.reader(io.StringIO(text.lstrip("\ufeff"), newline=""), delimiter=delimiter))
    except csv.Error as error:
        sentence = translatable("“{path}” is not a valid CSV file: {reason}.", path=str(path), reason=str(error))
        raise ArchiveError(sentence) from error
    finally:
        csv.field_size_limit(before)


def columns_of(files: ArchiveFiles, path: PurePosixPath) -> frozenset[str]:
    """The names of the columns, in lower case; none if it is no table."""
    try:
        text = read_text(files, path).lstrip("\ufeff\r\n ")
        delimiter = Counter({mark: text.split("\n", 1)[0].count(mark) for mark in ",;\t"}).most_common(1)[0][0]
        return frozenset(cell.strip().lower() for cell in next(csv.reader(io.StringIO(text), delimiter=delimiter), []))
    except (csv.Error, ArchiveError):
        return frozenset()


def json_of(files: ArchiveFiles, path: PurePosixPath) -> Any:
    """The value of a JSON file; None if it is not valid JSON."""
    try:
        return orjson.loads(files.read(path).removeprefix(b"\xef\xbb\xbf"))
    except (orjson.JSONDecodeError, ArchiveError):
        return None


def paths_with(files: ArchiveFiles, *suffixes: str) -> list[PurePosixPath]:
    """The paths of files with one of these suffixes, such as `.json`."""
    return [path for path in files.paths() if path.suffix.lower() in suffixes]


def rows_of(value: Any) -> list[dict[str, Any]]:
    """The objects in a JSON list; none if it is no list."""
    return [row for row in value if isinstance(row, dict)] if isinstance(value, list) else []


def text_of(row: dict[str, Any], *names: str) -> str:
    """The first of these fields that is text or a number and not empty."""
    for name in names:
        value = row.get(name)
        if isinstance(value, str | int) and not isinstance(value, bool) and str(value).strip():
            return str(value)
    return ""


def is_true(value: object) -> bool:
    """Whether a cell or a JSON value says yes."""
    return value is True or str(value).strip().lower() in {"true", "1", "yes", "t"}
