"""Items of an archive as entries of its import: what each is, and what will happen to it."""

from __future__ import annotations

from collections.abc import Sequence

from django.utils import timezone

from newsletter.archive_import.item_data import item_to_data, notes_to_data, plain_data, sha256_of
from newsletter.archive_import.plan import draft_reason, fitted_item, outcome_of, records_of, with_pictures
from newsletter.config.translatable import translatable
from newsletter.content.archives.item import ArchiveItem, ArchiveNote, UnreadItem
from newsletter.models import ArchiveEntry, ArchiveImport, EntryOutcome, ImportedIssue

_LONGEST_KEY = 500


def staged_entries(
    row: ArchiveImport, archive: str, items: Sequence[ArchiveItem | UnreadItem], *, pictures_are_stored: bool
) -> list[ArchiveEntry]:
    """The next entries of the import, not saved, with what is expected to happen to each."""
    keys = [str(plain_data(item.key)) for item in items if isinstance(item, ArchiveItem)]
    records = records_of(row.newsletter, archive, keys)
    known = set(ArchiveEntry.objects.filter(owner=row, key__in=keys).exclude(key="").values_list("key", flat=True))
    entries = []
    for position, item in enumerate(items, start=row.entry_count + 1):
        if isinstance(item, UnreadItem):
            entry = _unread(item)
        else:
            entry = _staged(row, item, records, known, pictures_are_stored=pictures_are_stored)
        entry.owner, entry.position = row, position
        entries.append(entry)
    return entries


def _unread(item: UnreadItem) -> ArchiveEntry:
    return ArchiveEntry(
        place=_place(item.place),
        expected=EntryOutcome.FAILED if item.is_failure else EntryOutcome.NO_ISSUE,
        notes=notes_to_data([ArchiveNote(item.sentence)]),
    )


def _staged(
    row: ArchiveImport,
    item: ArchiveItem,
    records: dict[str, ImportedIssue],
    known: set[str],
    *,
    pictures_are_stored: bool,
) -> ArchiveEntry:
    data = item_to_data(item)
    key = data["key"]
    # A picture that is a file of the archive gets its address when it is stored.
    stand_ins = [(picture.address, "https://picture.invalid/") for picture in item.pictures]
    content = with_pictures(item.content, stand_ins) if pictures_are_stored else item.content
    fitted = fitted_item(item, content, keeps_tracking=row.keeps_tracking)
    source_sha256 = sha256_of(data)
    entry = ArchiveEntry(
        place=_place(item.place),
        key=key[:_LONGEST_KEY],
        title=fitted.content.title,
        published_at=item.published_at,
        date_source=item.date_source.value,
        visibility=item.visibility.value,
        link_count=fitted.link_count,
        lost_link_count=fitted.lost_link_count,
        source_sha256=source_sha256,
    )
    faults = fitted.faults
    if not key or len(key) > _LONGEST_KEY or key in known:
        faults = (
            translatable("Another item of this archive has the same key “{key}”. Only the first is imported.", key=key),
        )
    if faults:
        entry.expected = EntryOutcome.FAILED
        entry.notes = notes_to_data(ArchiveNote(fault) for fault in faults)
        return entry
    known.add(key)
    reason = draft_reason(item, timezone.now())
    entry.data = data
    entry.expected = outcome_of(records.get(key), source_sha256, keeps_tracking=row.keeps_tracking)
    entry.is_on_web = not reason
    entry.notes = notes_to_data([*fitted.notes, *([ArchiveNote(reason)] if reason else [])])
    return entry


def _place(place: str) -> str:
    text = str(plain_data(place))
    return text if len(text) <= 500 else f"…{text[-499:]}"
