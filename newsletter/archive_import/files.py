"""The uploaded archive of an import: kept in the database as compressed parts, and opened from a temporary copy."""

from __future__ import annotations

import hashlib
import re
import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path, PurePosixPath

import zstandard

from newsletter.config.translatable import translatable
from newsletter.content.archives.files import open_archive
from newsletter.content.archives.item import ArchiveError, ArchiveFiles
from newsletter.models import ArchiveImport, ArchiveImportPart, Newsletter

#: Bytes of the file per part; a part stays below 1 MB even if it cannot be compressed.
PART_SIZE = 900_000

#: The largest upload, in bytes.
MAX_FILE_SIZE = 500_000_000


class UploadDeleted(ArchiveError):
    """The upload is no longer stored."""


def store_upload(
    newsletter: Newsletter, name: str, blocks: Iterable[bytes], *, by: str, site_url: str = "", archive: str = ""
) -> ArchiveImport:
    """A new import with this file. Raises ArchiveError if the file is too large.

    Until all parts are stored, the import has no `sha256`: it is not shown, and no worker takes it. Each part is stored
    by itself: no lock is held while a large file arrives.
    """
    stored = ArchiveImport.objects.create(
        newsletter=newsletter, source_name=safe_name(name), by=by[:150], site_url=site_url, archive=archive
    )
    sha256, size = hashlib.sha256(), 0
    for number, part in enumerate(_parts(blocks)):
        sha256.update(part)
        size += len(part)
        if size > MAX_FILE_SIZE:
            stored.delete()
            raise ArchiveError(translatable("The file is larger than {limit} MB.", limit=MAX_FILE_SIZE // 1_000_000))
        ArchiveImportPart.objects.create(owner=stored, number=number, data=zstandard.compress(part, 3))
    stored.size, stored.sha256 = size, sha256.hexdigest()
    stored.save(update_fields=["size", "sha256"])
    return stored


def safe_name(name: str) -> str:
    """The name of a file without folders and without characters that no database stores."""
    return PurePosixPath(name.replace("\x00", "")).name.encode(errors="replace").decode()[-255:] or "archive"


def _plain_name(name: str) -> str:
    """A name that no file system and no archive reader takes for a hidden file or a drive."""
    return re.sub(r"[^\w.-]", "_", safe_name(name)).lstrip(".")[-100:] or "archive"


def _parts(blocks: Iterable[bytes]) -> Iterator[bytes]:
    waiting = bytearray()
    for block in blocks:
        waiting += block
        while len(waiting) >= PART_SIZE:
            yield bytes(waiting[:PART_SIZE])
            del waiting[:PART_SIZE]
    if waiting:
        yield bytes(waiting)


class OpenUpload:
    """A temporary copy of the upload of an import, opened as an archive. `close` removes it."""

    def __init__(self, stored: ArchiveImport) -> None:
        """Raises ArchiveError, also if the upload was deleted."""
        self._folder = tempfile.TemporaryDirectory(prefix="archive-")
        try:
            path = Path(self._folder.name) / _plain_name(stored.source_name)
            if not _copy(stored, path) and stored.size:
                raise UploadDeleted(translatable("The uploaded file was deleted. Upload it again."))
            self.files: ArchiveFiles = open_archive(path)
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        self._folder.cleanup()

    def __enter__(self) -> OpenUpload:
        return self

    def __exit__(self, *_error: object) -> None:
        self.close()


def _copy(stored: ArchiveImport, path: Path) -> int:
    """Write the parts into a file; how many bytes."""
    size, number = 0, 0
    with path.open("wb") as file:
        # Part by part: a large file is never in memory.
        parts = ArchiveImportPart.objects.filter(owner=stored)
        while part := parts.filter(number=number).values_list("data", flat=True).first():
            size += file.write(zstandard.decompress(bytes(part)))
            number += 1
    return size
