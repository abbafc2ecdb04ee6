"""Addresses in the Markdown of a post that are relative to its old place. Pure.

A picture that is a file of the archive gets an address that stands for it, until the importer has stored the file.
Other relative addresses become full ones, if the address of the old site is known.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import PurePosixPath
from urllib.parse import quote, unquote

from newsletter.content.archives.item import ArchivePicture
from newsletter.content.archives.site_paths import Site, address_in, file_named
from newsletter.content.lines import scan_lines

#: Stands for the root of the archive. The top-level domain exists nowhere (RFC 2606 §2).
PICTURES = "https://archive.invalid/"

_PICTURE_FILE = re.compile(r"\.(?:png|jpe?g|gif|webp|svg|avif)$", re.IGNORECASE)
_IMAGE = re.compile(r"(?P<before>!\[[^\[\]\n]{0,1000}\]\([ \t]*<?)(?P<url>[^\s()<>]+|(?<=<)[^<>\n]+)(?P<after>>?)")
_IMAGE_TAG = re.compile(r"(?P<before><img\b[^>\n]{0,500}?\bsrc=[\"'])(?P<url>[^\"'\n]+)(?P<after>)", re.IGNORECASE)
_LINK = re.compile(r"(?P<before>\]\([ \t]*<?)(?P<url>[^\s()<>]+)(?P<after>)")
_DEFINITION = re.compile(r"(?m)(?P<before>^ {0,3}\[[^\]\n]{1,200}\]:[ \t]*<?)(?P<url>[^\s<>]+)(?P<after>)")
_HREF = re.compile(r"(?P<before><a\b[^>\n]{0,500}?\bhref=[\"'])(?P<url>[^\"'\n]+)(?P<after>)", re.IGNORECASE)
_WITH_SCHEME = re.compile(r"[a-z][a-z0-9+.-]*:", re.IGNORECASE)


class RelativeLinks:
    """Replaces the relative addresses of the texts of one archive."""

    def __init__(self, site: Site, paths: frozenset[PurePosixPath]) -> None:
        self._site, self._paths = site, paths

    def replaced(self, text: str, path: PurePosixPath, page: str) -> tuple[str, tuple[ArchivePicture, ...]]:
        """`text` of the file at `path`, whose old page is `page`, with full addresses; and the pictures it names."""
        pictures: dict[str, ArchivePicture] = {}

        def image(found: re.Match[str]) -> str:
            url = found["url"]
            if _WITH_SCHEME.match(url) or url.startswith("//"):
                return found[0]
            place = file_named(self._paths, path.parent, self._site.root, unquote(url))
            if not place or not _PICTURE_FILE.search(place):
                return link(found)
            address = PICTURES + quote(place)
            pictures[address] = ArchivePicture(address, place)
            return f"{found['before']}{address}{found['after']}"

        def link(found: re.Match[str]) -> str:
            url = found["url"]
            if _WITH_SCHEME.match(url) or url.startswith("#"):
                return found[0]
            full = address_in(self._site, page, url)
            return f"{found['before']}{full or url}{found['after']}"

        lines = text.split("\n")
        fenced = scan_lines(lines).fenced
        made = [line if is_code else _each(line, image, link) for line, is_code in zip(lines, fenced, strict=True)]
        return "\n".join(made), tuple(pictures.values())


def _each(line: str, image: Callable[[re.Match[str]], str], link: Callable[[re.Match[str]], str]) -> str:
    if "](" not in line and "]:" not in line and "<" not in line:
        return line
    line = _IMAGE_TAG.sub(image, _IMAGE.sub(image, line))
    for pattern in (_LINK, _DEFINITION, _HREF):
        line = pattern.sub(link, line)
    return line
