"""ZIP files: which of their files are tables, and limits against files that unpack to far more than they should."""

from __future__ import annotations

import re
import struct
import zipfile
import zlib
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import IO

from django.utils.translation import gettext_noop

from subscribers.imports.encoding import Opener
from subscribers.imports.errors import ImportFileError

#: Bytes of the directory, bytes unpacked, and bytes unpacked per byte packed. Exports reach a ratio of 20.
MAX_DIRECTORY, MAX_UNPACKED, MAX_RATIO = 16 << 20, 2 << 30, 200

#: Lists of subscribers in one file. Exports have at most four.
MAX_TABLES = 50

#: Small files may be packed as well as they can be.
_ALWAYS_ALLOWED = 1 << 20

#: The lists of subscribers in exports of Mailchimp and Substack. Substack's other files hold subscribers who have left.
_KNOWN_LISTS = re.compile(r"(?:[a-z-]+_(?:members|segment|contacts)(?:[ _(-].*)?|email_list\b.*)\.csv")
_TABLES = (".csv", ".tsv", ".txt")
_NEVER = re.compile(r"posts\.csv|.*\.(?:delivers|opens)\.csv", re.IGNORECASE | re.DOTALL)

#: What reading a damaged or hostile ZIP can raise.
_DAMAGES = (zipfile.BadZipFile, zlib.error, EOFError, RuntimeError, struct.error, ValueError, OverflowError)


def _damaged() -> ImportFileError:
    return ImportFileError("zip_damaged", gettext_noop("The ZIP file is damaged. Download it again."))


def directory_of(path: Path) -> list[zipfile.ZipInfo]:
    """The files in a ZIP, without folders. Raises ImportFileError for one that is too large, encrypted or damaged."""
    size = _check_directory(path)
    try:
        with zipfile.ZipFile(path) as archive:
            entries = [info for info in archive.infolist() if not info.is_dir()]
    except _DAMAGES as error:
        raise _damaged() from error
    # Reading at such a place would be an error of the operating system, as that of a broken disk.
    if not all(0 <= info.header_offset < size for info in entries):
        raise _damaged()
    return entries


def _check_directory(path: Path) -> int:
    """Refuse a huge directory before it is read to memory (APPNOTE.TXT §4.3.16). Returns the size of the file."""
    with path.open("rb") as file:
        size = file.seek(0, 2)
        file.seek(max(0, size - (1 << 16) - 22))
        tail = file.read()
    end = tail.rfind(b"PK\x05\x06")
    if end < 0 or len(tail) < end + 22:
        raise _damaged()
    if struct.unpack_from("<L", tail, end + 12)[0] > MAX_DIRECTORY:
        raise _too_large()
    return size


def _too_large() -> ImportFileError:
    return ImportFileError(
        "zip_too_large",
        gettext_noop("The ZIP file unpacks to far more than its size. Unpack it, and upload the CSV files one by one."),
    )


def check_sizes(entries: Iterable[zipfile.ZipInfo], limit: int = MAX_UNPACKED) -> None:
    """Refuse ZIP bombs and encrypted files. Reading stops at the sizes that are checked here, so that they hold."""
    total = 0
    for entry in entries:
        if entry.flag_bits & 1:
            raise ImportFileError(
                "zip_encrypted",
                gettext_noop("The ZIP file is protected with a password. Unpack it, and upload the CSV files."),
            )
        total += entry.file_size
        is_ratio_high = entry.file_size > MAX_RATIO * max(1, entry.compress_size)
        if total > limit or (is_ratio_high and entry.file_size > _ALWAYS_ALLOWED):
            raise _too_large()


def tables_in(entries: Iterable[zipfile.ZipInfo]) -> tuple[list[zipfile.ZipInfo], list[str]]:
    """The files that are lists of subscribers, and the names of the others. Raises ImportFileError if there is none.

    If the ZIP has lists with names that are known, no other file is read: the rest may be subscribers who have left.
    """
    entries = list(entries)
    candidates = [entry for entry in entries if _is_table(PurePosixPath(entry.filename))]
    known = [entry for entry in candidates if _KNOWN_LISTS.fullmatch(PurePosixPath(entry.filename).name.lower())]
    tables = known or candidates
    if not tables:
        raise ImportFileError(
            "zip_without_tables",
            gettext_noop("The ZIP file contains no CSV file with subscribers. Upload the export of your old tool."),
        )
    check_count(len(tables))
    check_sizes(tables)
    chosen = {id(entry) for entry in tables}
    return tables, [name_of(entry) for entry in entries if id(entry) not in chosen]


def check_count(count: int) -> None:
    """Refuse files with so many tables that opening each of them takes minutes. Raises ImportFileError."""
    if count > MAX_TABLES:
        raise ImportFileError(
            "too_many_tables",
            gettext_noop("The file contains {count} tables. At most {limit} are read. Upload them in several files."),
            count=count,
            limit=MAX_TABLES,
        )


def _is_table(name: PurePosixPath) -> bool:
    is_hidden = name.name.startswith(".") or "__MACOSX" in name.parts
    return name.suffix.lower() in _TABLES and not is_hidden and not _NEVER.fullmatch(name.name)


def name_of(entry: zipfile.ZipInfo) -> str:
    """The name for showing, in one line."""
    return "".join(character if character.isprintable() else "�" for character in entry.filename[-200:])


def entry_opener(path: Path, entry: zipfile.ZipInfo) -> Opener:
    """Opens one file of the ZIP."""

    @contextmanager
    def opened() -> Iterator[IO[bytes]]:
        try:
            with zipfile.ZipFile(path) as archive, archive.open(entry) as file:
                yield file
        except ImportFileError:
            raise
        except _DAMAGES as error:
            raise _damaged() from error

    return opened
