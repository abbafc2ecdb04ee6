"""What imports are made of here: the archive readers, and the place for pictures."""

from __future__ import annotations

import logging

from newsletter.content.archives.choose import reader_for
from newsletter.content.archives.item import ArchiveFiles, ArchiveReader
from newsletter.media import store
from newsletter.media.reasons import PictureRefused
from newsletter.models import Newsletter

log = logging.getLogger(__name__)


def store_picture(newsletter: Newsletter, name: str, data: bytes, by: str) -> str | None:
    """Put a picture of an archive into the library; its address, or None if it is no picture that mails can show."""
    try:
        return store.store_picture(newsletter, name, data, by)
    except PictureRefused as refusal:
        log.info("Picture %s of an archive was left out: %s", name, refusal)
        return None


def choose_reader(files: ArchiveFiles, site_url: str = "", code: str = "") -> ArchiveReader:
    """The archive reader for the files of the site at `site_url`: that with this code, or the first that fits.

    Raises ArchiveError.
    """
    return reader_for(files, code=code, site_url=site_url)
