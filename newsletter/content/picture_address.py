"""The names of files of pictures, and the size that such a name tells. Pure."""

from __future__ import annotations

import re

#: The names that `newsletter.media.store` gives: beginning and whole of a digest, words, size, type.
FILE_PATH = re.compile(
    r"(?P<folder>[0-9a-f]{2})/(?P<digest>(?P=folder)[0-9a-f]{30})-[a-z0-9-]{1,40}"
    r"-(?P<width>\d{1,5})x(?P<height>\d{1,5})\.(?P<suffix>jpg|png)"
)
_FOLDER = "/media/"


def size_in(address: str) -> tuple[int, int] | None:
    """Width and height in pixels of a picture of ours, by its address; None for others."""
    _before, folder, path = address.rpartition(_FOLDER)
    found = FILE_PATH.fullmatch(path) if folder else None
    return (int(found["width"]), int(found["height"])) if found else None
