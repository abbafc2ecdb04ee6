"""The file of a backup: a zip archive with a manifest, which any other program can unpack, too.

manifest.json    database.sqlite3 or database.dump    media/ab/ab…-trawler-1200x800.jpg …
"""

from __future__ import annotations

import hashlib
import zipfile
import zlib
from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path

from newsletter.backup.manifest import Manifest, Part, UnreadableManifest
from newsletter.content.picture_address import FILE_PATH

MANIFEST = "manifest.json"

#: The database in the archive, by vendor: a SQLite file, or a dump that `pg_restore` reads.
DATABASE_PARTS = {"sqlite": "database.sqlite3", "postgresql": "database.dump"}

#: What the names of files of pictures begin with.
MEDIA = "media/"

#: Bytes that are read at once.
CHUNK = 1 << 20

#: A dump is compressed already.
COMPRESSION = {"database.sqlite3": zipfile.ZIP_DEFLATED, "database.dump": zipfile.ZIP_STORED}


class DamagedBackup(Exception):
    """The file is no backup, or not the whole of one; the message says which part is wrong."""


def write_archive(
    path: Path, manifest: Manifest, database: Path, pictures: Iterable[tuple[str, bytes]] = ()
) -> Manifest:
    """Write the archive with the database and the files of pictures by their paths; the manifest with its parts."""
    name = DATABASE_PARTS[manifest.vendor]
    checksum, size = hashlib.sha256(), 0
    with zipfile.ZipFile(path, "w", compression=COMPRESSION[name]) as archive:
        with database.open("rb") as source, archive.open(name, "w", force_zip64=True) as target:
            while chunk := source.read(CHUNK):
                checksum.update(chunk)
                size += len(chunk)
                target.write(chunk)
        parts = {name: Part(bytes=size, sha256=checksum.hexdigest())}
        for picture, data in pictures:
            archive.writestr(MEDIA + picture, data, compress_type=zipfile.ZIP_STORED)
            parts[MEDIA + picture] = Part(bytes=len(data), sha256=hashlib.sha256(data).hexdigest())
        complete = replace(manifest, parts=parts)
        archive.writestr(MANIFEST, complete.as_json(), compress_type=zipfile.ZIP_DEFLATED)
    return complete


def read_pictures(path: Path, manifest: Manifest) -> Iterator[tuple[str, bytes]]:
    """The files of pictures by their paths, each compared with the manifest. Raises DamagedBackup, and OSError."""
    with zipfile.ZipFile(path) as archive:
        for name, part in manifest.parts.items():
            if not name.startswith(MEDIA):
                continue
            if not FILE_PATH.fullmatch(name.removeprefix(MEDIA)):
                raise DamagedBackup(f"{path.name}: {name} is no name of a picture.")
            try:
                # One byte more than it should have tells a longer one, however long that is.
                with archive.open(name) as file:
                    data = file.read(part.bytes + 1)
            except KeyError as error:
                raise DamagedBackup(f"{path.name}: {name} is missing.") from error
            except (zipfile.BadZipFile, EOFError, ValueError, zlib.error) as error:
                raise DamagedBackup(f"{path.name}: {name} is damaged ({error}).") from error
            if (len(data), hashlib.sha256(data).hexdigest()) != (part.bytes, part.sha256):
                raise DamagedBackup(f"{path.name}: {name} differs from its checksum in the manifest.")
            yield name.removeprefix(MEDIA), data


def read_manifest(path: Path) -> Manifest:
    """The manifest of a backup. Raises DamagedBackup, and OSError."""
    try:
        with zipfile.ZipFile(path) as archive:
            return Manifest.from_json(archive.read(MANIFEST).decode("utf-8"))
    except UnreadableManifest as error:
        raise DamagedBackup(f"{path.name}: {error}") from error
    except KeyError as error:
        raise DamagedBackup(f"{path.name} is no backup of this program: it has no {MANIFEST}.") from error
    except (zipfile.BadZipFile, UnicodeDecodeError, EOFError, NotImplementedError) as error:
        raise DamagedBackup(f"{path.name} is no backup, or it is cut off ({error}).") from error


def extract_database(path: Path, manifest: Manifest, target: Path) -> None:
    """Write the database to `target`, and compare it with the manifest. Raises DamagedBackup, and OSError."""
    name = DATABASE_PARTS[manifest.vendor]
    part = manifest.parts.get(name)
    if part is None:
        raise DamagedBackup(f"{path.name}: the manifest does not name {name}.")
    checksum, size = hashlib.sha256(), 0
    try:
        with zipfile.ZipFile(path) as archive, archive.open(name) as source, target.open("wb") as file:
            while chunk := source.read(CHUNK):
                checksum.update(chunk)
                size += len(chunk)
                file.write(chunk)
    except KeyError as error:
        raise DamagedBackup(f"{path.name}: {name} is missing.") from error
    except (zipfile.BadZipFile, EOFError, ValueError, zlib.error) as error:
        raise DamagedBackup(f"{path.name}: {name} is damaged ({error}).") from error
    if (size, checksum.hexdigest()) != (part.bytes, part.sha256):
        raise DamagedBackup(f"{path.name}: {name} differs from its checksum in the manifest.")
