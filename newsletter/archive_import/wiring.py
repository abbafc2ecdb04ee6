"""What imports are made of here: the archive readers, and the place for pictures."""

from __future__ import annotations

from newsletter.archive_import.write import StorePicture
from newsletter.content.archives.choose import reader_for
from newsletter.content.archives.item import ArchiveFiles, ArchiveReader

#: Pictures in archives keep their addresses: there is no place for pictures yet.
store_picture: StorePicture | None = None


def choose_reader(files: ArchiveFiles, site_url: str = "", code: str = "") -> ArchiveReader:
    """The archive reader for the files of the site at `site_url`: that with this code, or the first that fits.

    Raises ArchiveError.
    """
    return reader_for(files, code=code, site_url=site_url)
