"""Files of archives in memory, and what a kind of archive reads of them."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import PurePosixPath
from typing import Any

from newsletter.content.archives.choose import reader_for
from newsletter.content.archives.item import ArchiveError, ArchiveItem, UnreadItem
from newsletter.content.document import IssueContent
from newsletter.content.fields import content_faults
from newsletter.content.issue_file import read_issue_file, write_issue_file


class MemoryFiles:
    """Texts by their paths."""

    def __init__(self, texts: Mapping[str, str | bytes]) -> None:
        self._texts = {PurePosixPath(path): text for path, text in texts.items()}

    def paths(self) -> tuple[PurePosixPath, ...]:
        return tuple(sorted(self._texts))

    def read(self, path: PurePosixPath) -> bytes:
        if path not in self._texts:
            raise ArchiveError(f"{path} is missing.")
        text = self._texts[path]
        return text if isinstance(text, bytes) else text.encode()


def everything_in(texts: Mapping[str, str | bytes], kind: str = "", **options: Any) -> list[ArchiveItem | UnreadItem]:
    """All that is read of these files; each issue must be one that can be stored and exported."""
    files = MemoryFiles(texts)
    archive = reader_for(files, **options)
    assert kind in ("", archive.code)
    found = list(archive.items(files))
    for item in issues_of(found):
        assert list(content_faults(item.content)) == []
        assert read_issue_file(write_issue_file(item.content)).content == item.content
    return found


def issues_of(found: list[ArchiveItem | UnreadItem]) -> Iterator[ArchiveItem]:
    return (item for item in found if isinstance(item, ArchiveItem))


def the_issue(texts: Mapping[str, str | bytes], kind: str = "", **options: Any) -> ArchiveItem:
    """The only issue in these files."""
    (item,) = everything_in(texts, kind, **options)
    assert isinstance(item, ArchiveItem), item
    return item


def the_failure(texts: Mapping[str, str | bytes], **options: Any) -> UnreadItem:
    """The only thing in these files, which could not be read."""
    (item,) = everything_in(texts, **options)
    assert isinstance(item, UnreadItem)
    return item


def written(content: IssueContent) -> str:
    """The issue as a file, without its head."""
    return write_issue_file(content).split("---\n", 2)[2].strip()


def notes_of(item: ArchiveItem) -> str:
    return "\n".join(str(note.sentence) for note in item.notes)


def as_json(value: Any) -> str:
    return json.dumps(value)
