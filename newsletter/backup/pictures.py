"""The files of pictures in a backup: read from the storage, and written back to where they are missing."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator

from django.core.files.base import ContentFile
from django.core.files.storage import default_storage

from newsletter.backup.manifest import Query

log = logging.getLogger(__name__)


def picture_paths(query: Query) -> list[str]:
    """The paths of all files that the state of `query` names."""
    return [str(path) for (path,) in query("SELECT path FROM newsletter_picturefile ORDER BY path")]


def stored_pictures(paths: Iterable[str]) -> Iterator[tuple[str, bytes]]:
    """Each file with its content. One that is missing is logged and left out: a backup without it is better than none.

    Files never change, so that they belong to the snapshot of the database although they are read later.
    """
    for path in paths:
        try:
            with default_storage.open(path, "rb") as file:
                yield path, file.read()
        except FileNotFoundError:
            log.warning("The file %s of a picture is missing in the storage, and so in this backup.", path)


def restore_pictures(files: Iterable[tuple[str, bytes]]) -> int:
    """Write the files that the storage does not have; how many there were. Files of other pictures stay."""
    count = 0
    for path, data in files:
        if not default_storage.exists(path):
            default_storage.save(path, ContentFile(data))
            count += 1
    return count
