"""The file of an import: kept in the database as compressed parts, and opened from a temporary copy."""

from __future__ import annotations

import hashlib
import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path

import zstandard
from django.utils.translation import gettext_noop

from subscribers.imports.errors import ImportFileError
from subscribers.imports.source import Source, open_source
from subscribers.models import Import, ImportPart, MailingList

#: Bytes of the file per part; a part stays below 1 MB even if it cannot be compressed.
PART_SIZE = 900_000

#: The largest file, in bytes.
MAX_FILE_SIZE = 500_000_000


def store_file(mailing_list: MailingList, name: str, blocks: Iterable[bytes], *, by: str) -> Import:
    """A new import with this file. Raises ImportFileError if the file is too large.

    Until all parts are stored, the import has no `sha256` and is not shown. Each part is stored by itself: no lock is
    held while a large file arrives.
    """
    stored = Import.objects.create(mailing_list=mailing_list, file_name=name[-255:], size=0, by=by[:150])
    sha256, size = hashlib.sha256(), 0
    for number, part in enumerate(_parts(blocks)):
        sha256.update(part)
        size += len(part)
        if size > MAX_FILE_SIZE:
            stored.delete()
            raise ImportFileError(
                "too_large", gettext_noop("The file is larger than {limit} MB."), limit=MAX_FILE_SIZE // 1_000_000
            )
        ImportPart.objects.create(owner=stored, number=number, data=zstandard.compress(part, 3))
    stored.size, stored.sha256 = size, sha256.hexdigest()
    stored.save(update_fields=["size", "sha256"])
    return stored


def _parts(blocks: Iterable[bytes]) -> Iterator[bytes]:
    waiting = bytearray()
    for block in blocks:
        waiting += block
        while len(waiting) >= PART_SIZE:
            yield bytes(waiting[:PART_SIZE])
            del waiting[:PART_SIZE]
    if waiting:
        yield bytes(waiting)


class OpenFile:
    """A temporary copy of the file of an import, opened as tables. `close` removes it."""

    def __init__(self, stored: Import) -> None:
        """Raises ImportFileError, also if the file was deleted."""
        self._folder = tempfile.TemporaryDirectory(prefix="import-")
        try:
            path = Path(self._folder.name) / "file"
            if not _copy(stored, path) and stored.size:
                raise ImportFileError("file_deleted", gettext_noop("The file of this import was deleted."))
            self.source: Source = open_source(path, stored.file_name)
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        self._folder.cleanup()

    def __enter__(self) -> OpenFile:
        return self

    def __exit__(self, *_error: object) -> None:
        self.close()


def _copy(stored: Import, path: Path) -> int:
    """Write the parts into a file; how many bytes."""
    size, number = 0, 0
    with path.open("wb") as file:
        # Part by part: a file of 500 MB is never in memory.
        while part := ImportPart.objects.filter(owner=stored, number=number).values_list("data", flat=True).first():
            size += file.write(zstandard.decompress(bytes(part)))
            number += 1
    return size
