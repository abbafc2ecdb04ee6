"""The files of an archive: a folder, a ZIP file or one file, read under limits. Reads the disk; knows no database.

Nothing outside of the archive is read: links, hidden files and paths with `..` are left out. A ZIP file is never
unpacked to disk.
"""

from __future__ import annotations

import codecs
import os
import stat
import struct
import zipfile
import zlib
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import BinaryIO

from newsletter.config.translatable import translatable
from newsletter.content.archives.item import ArchiveError, ArchiveFiles
from newsletter.content.web_page import decoded_page


@dataclass(frozen=True, slots=True)
class Limits:
    """What an archive may have. Exports of twenty years of a weekly newsletter stay far below."""

    file_bytes: int = 100_000_000
    total_bytes: int = 4_000_000_000
    files: int = 50_000
    ratio: int = 200
    """Bytes unpacked per byte packed. HTML reaches 20."""


LIMITS = Limits()

#: Bytes of a ZIP's directory, which is read whole before its files are known.
MAX_DIRECTORY = 16 << 20

#: How the files in a ZIP may be packed. `zipfile` unpacks bzip2 and LZMA without a limit.
PACKED_BY = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)

ZIP_MARKS = (b"PK\x03\x04", b"PK\x05\x06")

_ALWAYS_ALLOWED = 1 << 20
_UTF8_NAME = 0x800
_ENCRYPTED = 0x1

#: What reading a damaged or hostile ZIP can raise.
_DAMAGES = (zipfile.BadZipFile, zlib.error, EOFError, RuntimeError, struct.error, ValueError, OverflowError, OSError)
_MARKS = ((codecs.BOM_UTF8, "utf-8-sig"), (codecs.BOM_UTF16_LE, "utf-16"), (codecs.BOM_UTF16_BE, "utf-16"))


def open_archive(path: Path, *, limits: Limits = LIMITS) -> ArchiveFiles:
    """The files at `path`: a folder, a ZIP file, or one file. Raises ArchiveError."""
    if path.is_dir():
        return FolderFiles(path, limits=limits)
    try:
        with path.open("rb") as file:
            start = file.read(4)
    except OSError as error:
        raise ArchiveError(translatable("{path} cannot be read.", path=path.name)) from error
    return ZipFiles(path, limits=limits) if start in ZIP_MARKS else OneFile(path, limits=limits)


def read_text(files: ArchiveFiles, path: PurePosixPath) -> str:
    """The text of a file: of HTML as the page declares it, otherwise UTF-8, UTF-16 or Windows-1252."""
    data = files.read(path)
    if path.suffix.lower() in {".html", ".htm"}:
        return decoded_page(data)
    for mark, encoding in _MARKS:
        if data.startswith(mark):
            return data.decode(encoding, "replace")
    pairs = max(1, len(data[:4096]) // 2)
    if data[1:4096:2].count(0) / pairs > 0.4:
        return data.decode("utf-16-le", "replace")
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError:
        return data.decode("cp1252", "replace")


class FolderFiles:
    """The files of a folder and of the folders in it."""

    def __init__(self, root: Path, *, limits: Limits = LIMITS) -> None:
        self._root, self._limits = root, limits
        self._paths: tuple[PurePosixPath, ...] | None = None

    def paths(self) -> tuple[PurePosixPath, ...]:
        """The paths of all regular files, sorted. Raises ArchiveError if there are too many."""
        if self._paths is None:
            self._paths = tuple(sorted(self._found()))
        return self._paths

    def read(self, path: PurePosixPath) -> bytes:
        """The bytes of a file. Raises ArchiveError."""
        if not is_ordinary(path):
            raise _unreadable(path)
        place = self._root.joinpath(*path.parts)
        try:
            if not place.resolve().is_relative_to(self._root.resolve()):
                raise _unreadable(path)
            # A link that was put in the place of the file since it was listed is not followed.
            with os.fdopen(os.open(place, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK), "rb") as file:
                if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
                    raise _unreadable(path)
                return _bounded(file.read(self._limits.file_bytes + 1), path, self._limits)
        except OSError as error:
            raise _unreadable(path) from error

    def _found(self) -> Iterable[PurePosixPath]:
        total = count = 0
        for folder, names, files in os.walk(self._root):
            names[:] = [name for name in names if is_ordinary(PurePosixPath(name))]
            for name in files:
                place = Path(folder, name)
                path = PurePosixPath(place.relative_to(self._root).as_posix())
                status = place.lstat()
                if not is_ordinary(path) or not stat.S_ISREG(status.st_mode):
                    continue
                total, count = total + status.st_size, count + 1
                _check(count, total, self._limits)
                yield path


class ZipFiles:
    """The files in a ZIP file, unpacked one by one in memory."""

    def __init__(self, source: Path | BinaryIO, *, limits: Limits = LIMITS) -> None:
        self._limits = limits
        try:
            _check_directory(source, limits)
            self._archive = zipfile.ZipFile(source)
        except _DAMAGES as error:
            raise _damaged() from error
        self._entries = dict(self._listed())

    def paths(self) -> tuple[PurePosixPath, ...]:
        """The paths of all files, sorted."""
        return tuple(sorted(self._entries))

    def read(self, path: PurePosixPath) -> bytes:
        """The bytes of a file. Raises ArchiveError."""
        entry = self._entries.get(path)
        if entry is None:
            raise _unreadable(path)
        try:
            with self._archive.open(entry) as file:
                return _bounded(file.read(self._limits.file_bytes + 1), path, self._limits)
        except _DAMAGES as error:
            raise _damaged() from error

    def _listed(self) -> Iterable[tuple[PurePosixPath, zipfile.ZipInfo]]:
        total = count = 0
        for entry in self._archive.infolist():
            path = PurePosixPath(_name_of(entry))
            if entry.is_dir() or stat.S_ISLNK(entry.external_attr >> 16) or not is_ordinary(path):
                continue
            if entry.flag_bits & _ENCRYPTED:
                raise ArchiveError(
                    translatable("The ZIP file is protected with a password. Unpack it, and choose the folder.")
                )
            if entry.compress_type not in PACKED_BY:
                raise ArchiveError(
                    translatable(
                        "“{path}” in the ZIP file is packed in a way that is not supported. Pack the files again.",
                        path=str(path),
                    )
                )
            total, count = total + entry.file_size, count + 1
            _check(count, total, self._limits)
            if entry.file_size > max(_ALWAYS_ALLOWED, self._limits.ratio * entry.compress_size):
                raise ArchiveError(translatable("The ZIP file unpacks to far more than its size. It is refused."))
            yield path, entry


class OneFile:
    """An archive that is one file, such as the JSON file of an export."""

    def __init__(self, path: Path, *, limits: Limits = LIMITS) -> None:
        self._folder, self._path = FolderFiles(path.parent, limits=limits), PurePosixPath(path.name)

    def paths(self) -> tuple[PurePosixPath, ...]:
        """The path of the file."""
        return (self._path,)

    def read(self, path: PurePosixPath) -> bytes:
        """The bytes of the file. Raises ArchiveError."""
        if path != self._path:
            raise _unreadable(path)
        return self._folder.read(path)


def is_ordinary(path: PurePosixPath) -> bool:
    """Whether a path stays within its archive, and neither it nor one of its folders is hidden."""
    parts = path.parts
    is_inside = bool(parts) and not path.is_absolute() and ".." not in parts and ":" not in parts[0]
    return is_inside and not any(part.startswith(".") or part == "__MACOSX" for part in parts)


def _name_of(entry: zipfile.ZipInfo) -> str:
    """The name with slashes. Without the mark for UTF-8, `zipfile` reads names in the code page of DOS."""
    name = entry.filename
    if not entry.flag_bits & _UTF8_NAME:
        try:
            name = name.encode("cp437").decode("utf-8")
        except (UnicodeEncodeError, UnicodeDecodeError):
            name = entry.filename
    return name.replace("\\", "/")


def _check_directory(source: Path | BinaryIO, limits: Limits) -> None:
    """Refuse a huge directory before it is read to memory (APPNOTE.TXT §4.3.16)."""
    if isinstance(source, Path):
        with source.open("rb") as file:
            _check_directory(file, limits)
        return
    size = source.seek(0, os.SEEK_END)
    source.seek(max(0, size - (1 << 16) - 22))
    tail = source.read()
    end = tail.rfind(b"PK\x05\x06")
    if end < 0 or len(tail) < end + 22:
        raise _damaged()
    if struct.unpack_from("<L", tail, end + 12)[0] > MAX_DIRECTORY:
        _check(limits.files + 1, 0, limits)


def _check(count: int, total: int, limits: Limits) -> None:
    if count > limits.files:
        raise ArchiveError(translatable("The archive has more than {limit:,} files.", limit=limits.files))
    if total > limits.total_bytes:
        raise ArchiveError(
            translatable(
                "The archive has more than {megabytes:,} MB. Leave out what is no text or picture.",
                megabytes=limits.total_bytes // 1_000_000,
            )
        )


def _bounded(data: bytes, path: PurePosixPath, limits: Limits) -> bytes:
    if len(data) > limits.file_bytes:
        raise ArchiveError(
            translatable(
                "“{path}” has more than {megabytes:,} MB.", path=str(path), megabytes=limits.file_bytes // 1_000_000
            )
        )
    return data


def _unreadable(path: PurePosixPath) -> ArchiveError:
    return ArchiveError(translatable("“{path}” cannot be read.", path=str(path)))


def _damaged() -> ArchiveError:
    return ArchiveError(translatable("The ZIP file is damaged. Download it again."))
