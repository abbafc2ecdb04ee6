"""Items of archives as JSON data, which wait in the database until they are imported; and their hash."""

from __future__ import annotations

import dataclasses
import datetime
import hashlib
from collections.abc import Iterable
from typing import Any

import orjson
from pydantic import TypeAdapter

from newsletter.config.translatable import from_data, to_data
from newsletter.content.archives.item import ArchiveItem, ArchiveNote, ArchivePicture, DateSource, Visibility
from newsletter.content.document import IssueContent

_CONTENT = TypeAdapter(IssueContent)
_ONLY_TEXT = str.maketrans("", "", "\x00")


def item_to_data(item: ArchiveItem) -> dict[str, Any]:
    """`item` as JSON data."""
    return {
        "key": plain_data(item.key),
        "place": plain_data(item.place),
        "content": plain_data(dataclasses.asdict(item.content)),
        "published_at": item.published_at.isoformat() if item.published_at else None,
        "date_source": item.date_source.value,
        "visibility": item.visibility.value,
        "old_paths": plain_data(item.old_paths),
        "language": plain_data(item.language),
        "unknown": plain_data(item.unknown),
        "pictures": plain_data([[picture.address, picture.path] for picture in item.pictures]),
        "notes": notes_to_data(item.notes),
    }


def item_from_data(data: dict[str, Any]) -> ArchiveItem:
    """The item that `item_to_data` gave this data for."""
    published_at = data["published_at"]
    return ArchiveItem(
        key=data["key"],
        place=data["place"],
        content=_CONTENT.validate_python(data["content"]),
        published_at=datetime.datetime.fromisoformat(published_at) if published_at else None,
        date_source=DateSource(data["date_source"]),
        visibility=Visibility(data["visibility"]),
        old_paths=tuple(data["old_paths"]),
        language=data["language"],
        unknown=data["unknown"],
        pictures=tuple(ArchivePicture(address, path) for address, path in data["pictures"]),
        notes=notes_from_data(data["notes"]),
    )


def sha256_of(data: dict[str, Any]) -> str:
    """The hash of what an archive has about an item: another hash means that the archive has changed."""
    facts = {name: value for name, value in data.items() if name not in ("place", "notes")}
    return hashlib.sha256(orjson.dumps(facts, option=orjson.OPT_SORT_KEYS)).hexdigest()


def notes_to_data(notes: Iterable[ArchiveNote]) -> list[dict[str, Any]]:
    """Notes as JSON data, which can be shown in another language."""
    return [{"sentence": plain_data(to_data(note.sentence)), "line": note.line} for note in notes]


def notes_from_data(data: Iterable[dict[str, Any]]) -> tuple[ArchiveNote, ...]:
    """The notes that `notes_to_data` gave this data for."""
    return tuple(ArchiveNote(from_data(note["sentence"]), note["line"]) for note in data)


def plain_data(value: Any) -> Any:
    """`value` as JSON data that every database stores; what is none, such as a date, as its words."""
    if isinstance(value, str):
        return str.__str__(value).translate(_ONLY_TEXT).encode(errors="replace").decode()
    if value is None or isinstance(value, bool | float):
        return value
    if isinstance(value, int):
        return value if -(2**53) < value < 2**53 else str(value)
    if isinstance(value, dict) or hasattr(value, "items"):
        return {str(plain_data(str(name))): plain_data(each) for name, each in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [plain_data(each) for each in value]
    return str(value)
