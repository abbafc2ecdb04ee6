"""Writing one entry of an archive: the issue, its page on the web, its old paths, and the record of its import."""

from __future__ import annotations

import datetime
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from pathlib import PurePosixPath

from django.db import transaction
from django.utils import timezone

from newsletter.archive_import import publishing
from newsletter.archive_import.item_data import item_from_data, notes_to_data, plain_data
from newsletter.archive_import.plan import (
    draft_reason,
    fitted_item,
    free_slug,
    is_changed_here,
    outcome_of,
    with_pictures,
)
from newsletter.config.translatable import translatable
from newsletter.content.archives.item import ArchiveError, ArchiveFiles, ArchiveItem, ArchiveNote
from newsletter.content.audience import load_audience
from newsletter.content.document import IssueContent
from newsletter.content.store import ContentError, save_content
from newsletter.models import (
    WITH_ISSUE,
    ArchiveEntry,
    ArchiveImport,
    EntryOutcome,
    ImportedIssue,
    Issue,
    Newsletter,
)

StorePicture = Callable[[Newsletter, str, bytes, str], str | None]
"""Stores a picture (newsletter, file name, bytes, user name) and returns its address; None if it was refused."""


@dataclass(frozen=True, slots=True)
class Pictures:
    """Where the pictures of an archive come from, and what stores them; None: their addresses stay as they are."""

    files: ArchiveFiles | None = None
    store: StorePicture | None = None


def write_entry(
    row: ArchiveImport, entry: ArchiveEntry, record: ImportedIssue | None, pictures: Pictures
) -> ArchiveEntry:
    """Import one entry, in a transaction of its own, and return it with its outcome; the caller saves it.

    A fault of it makes it a failure with a sentence, and nothing of it is written.
    """
    item = item_from_data(entry.data or {})
    try:
        with transaction.atomic():
            return _write(row, entry, item, record, pictures)
    except ContentError as error:
        return _failed(entry, (str(error),))


def _write(
    row: ArchiveImport, entry: ArchiveEntry, item: ArchiveItem, record: ImportedIssue | None, pictures: Pictures
) -> ArchiveEntry:
    outcome = outcome_of(record, entry.source_sha256, keeps_tracking=row.keeps_tracking)
    publishes = not row.as_drafts and not draft_reason(item, timezone.now())
    notes: list[ArchiveNote] = []
    issue: Issue | None
    if outcome in (EntryOutcome.CREATED, EntryOutcome.UPDATED):
        content = _with_stored_pictures(row, item, pictures, notes)
        fitted = fitted_item(item, content, keeps_tracking=row.keeps_tracking)
        if fitted.faults:
            return _failed(entry, fitted.faults)
        notes = [*fitted.notes, *notes]
        entry.link_count, entry.lost_link_count = fitted.link_count, fitted.lost_link_count
        issue = _saved(row, record, fitted.content)
    else:
        issue = record.issue if record else None
        notes = list(item.notes)
    if issue is not None and outcome != EntryOutcome.EDITED:
        outcome = _shown(row, item, issue, record, outcome, publishes=publishes)
        notes += _redirected(issue, item)
        _keep_record(row, entry, item, issue, record, outcome)
    entry.issue, entry.outcome = issue, outcome
    entry.is_on_web = issue is not None and outcome in WITH_ISSUE and publishing.is_on_web(issue)
    if not entry.is_on_web and (reason := draft_reason(item, timezone.now())):
        notes.append(ArchiveNote(reason))
    entry.notes = notes_to_data(dict.fromkeys(notes))
    return entry


def _saved(row: ArchiveImport, record: ImportedIssue | None, content: IssueContent) -> Issue:
    """The issue with the content; a new one if there is no record."""
    if record is None or record.issue is None:
        content = replace(content, slug=free_slug(row.newsletter, content.slug))
        issue = Issue.objects.create(
            newsletter=row.newsletter, slug=content.slug, title=content.title, date=content.date
        )
    else:
        issue = record.issue
        content = replace(content, slug=issue.slug, audience=load_audience(issue))
        if publishing.is_published(issue):
            publishing.update_on_web(issue, content, by=row.by)
            return issue
    save_content(issue, content, by=row.by, note="archive")
    return issue


def _shown(
    row: ArchiveImport,
    item: ArchiveItem,
    issue: Issue,
    record: ImportedIssue | None,
    outcome: EntryOutcome,
    *,
    publishes: bool,
) -> EntryOutcome:
    """Put the issue on the web if it is to be there and is not; the outcome."""
    if not publishes or item.published_at is None:
        return outcome
    if record is not None and record.is_undone:
        publishing.put_back_on_web(issue, by=row.by)
        return EntryOutcome.UPDATED
    if publishing.is_published(issue) or (outcome == EntryOutcome.UNCHANGED and record and is_changed_here(record)):
        return outcome
    publishing.put_on_web(issue, item.published_at, by=row.by)
    return EntryOutcome.UPDATED if outcome == EntryOutcome.UNCHANGED else outcome


def _redirected(issue: Issue, item: ArchiveItem) -> Iterable[ArchiveNote]:
    for path in publishing.redirect(issue, item.old_paths):
        yield ArchiveNote(
            translatable("The old path {path} leads elsewhere already, or cannot be a path here.", path=path)
        )


def _with_stored_pictures(
    row: ArchiveImport, item: ArchiveItem, pictures: Pictures, notes: list[ArchiveNote]
) -> IssueContent:
    """The content with the addresses of the pictures that are stored here."""
    if not item.pictures or pictures.store is None:
        notes += [_kept_picture(picture.address) for picture in item.pictures]
        return item.content
    stored: list[tuple[str, str]] = []
    for picture in item.pictures:
        path = PurePosixPath(picture.path)
        try:
            data = pictures.files.read(path) if pictures.files else None
        except (ArchiveError, OSError, KeyError):
            data = None
        address = pictures.store(row.newsletter, path.name, data, row.by) if data else None
        if address:
            stored.append((picture.address, address))
        else:
            notes.append(_kept_picture(picture.address))
    return with_pictures(item.content, stored)


def _kept_picture(address: str) -> ArchiveNote:
    return ArchiveNote(
        translatable("The picture {address} was not stored here: its address was kept.", address=address)
    )


def _keep_record(
    row: ArchiveImport,
    entry: ArchiveEntry,
    item: ArchiveItem,
    issue: Issue,
    record: ImportedIssue | None,
    outcome: EntryOutcome,
) -> None:
    """Remember what the item became, for the next import of the same archive."""
    if record is not None and outcome == EntryOutcome.UNCHANGED:
        return
    now: datetime.datetime = timezone.now()
    facts = {
        "place": entry.place,
        "source_sha256": entry.source_sha256,
        "keeps_tracking": row.keeps_tracking,
        "revision": issue.revision,
        "web_version": publishing.version_of(issue),
        "is_undone": False,
        "published_at": item.published_at,
        "date_source": item.date_source.value,
        "visibility": item.visibility.value,
        "language": item.language[:35],
        "unknown": plain_data(item.unknown),
        "notes": notes_to_data(item.notes),
        "updated_at": now,
    }
    if record is None:
        ImportedIssue.objects.create(
            newsletter=row.newsletter, archive=row.archive, key=entry.key, issue=issue, owner=row, **facts
        )
    else:
        # What was undone is made again by this import, which can be undone, too.
        owner = {"owner": row} if record.is_undone else {}
        ImportedIssue.objects.filter(pk=record.pk).update(**facts, **owner)


def _failed(entry: ArchiveEntry, faults: Iterable[str]) -> ArchiveEntry:
    entry.outcome, entry.issue, entry.is_on_web = EntryOutcome.FAILED, None, False
    entry.notes = notes_to_data(ArchiveNote(fault) for fault in faults)
    return entry
