"""Uploaded archives: stored in parts, refused if they are too large, and deleted when they are no longer needed."""

from __future__ import annotations

import datetime
import io
import zipfile
from pathlib import PurePosixPath

import pytest
from django.utils import timezone

from newsletter.archive_import import files
from newsletter.archive_import.control import ArchiveUploads, start_run
from newsletter.archive_import.engine import ArchiveImportWorker
from newsletter.archive_import.files import OpenUpload, UploadDeleted, store_upload
from newsletter.archive_import.wiring import choose_reader
from newsletter.content.archives.item import ArchiveError
from newsletter.models import ArchiveEntry, ArchiveImport, ArchiveImportPart, ArchiveImportState
from subscribers.privacy.erase import erase_data_subject
from subscribers.privacy.registry import find_data_subject
from tests import people
from tests.newsletter.archive_import.shelf import Shelf, checked, imported, item, uploaded, work
from tests.publications import make_newsletter

pytestmark = pytest.mark.django_db

RULE = ArchiveUploads()


def later(days: int) -> datetime.datetime:
    return timezone.now() + datetime.timedelta(days=days)


def test_a_zip_file_comes_back_as_it_was_uploaded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(files, "PART_SIZE", 64)
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        archive.writestr("issues/1.md", "# One\n")
    stored = store_upload(make_newsletter(), "../C:old site.zip", [packed.getvalue()], by="ines")
    assert ArchiveImportPart.objects.count() > 1
    assert stored.source_name == "C:old site.zip"
    with OpenUpload(stored) as opened:
        assert opened.files.read(PurePosixPath("issues/1.md")) == b"# One\n"


def test_a_file_that_is_too_large_is_refused_and_not_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(files, "MAX_FILE_SIZE", 3_000_000)
    with pytest.raises(ArchiveError, match="larger than 3 MB"):
        store_upload(make_newsletter(), "big.zip", [bytes(1_000_000)] * 4, by="ines")
    assert not ArchiveImport.objects.exists()


def test_an_upload_that_was_deleted_cannot_be_opened() -> None:
    stored = uploaded()
    ArchiveImportPart.objects.all().delete()
    with pytest.raises(UploadDeleted):
        OpenUpload(stored)


def test_a_worker_leaves_alone_what_is_still_arriving_or_run_by_a_command() -> None:
    newsletter = make_newsletter()
    ArchiveImport.objects.create(newsletter=newsletter, source_name="a.zip")
    ArchiveImport.objects.create(newsletter=newsletter, source_name="/srv/issues", is_local=True)
    assert not ArchiveImportWorker(choose_reader).work()


def test_a_worker_takes_what_was_uploaded() -> None:
    stored = uploaded(data=b"just words")
    worker = ArchiveImportWorker(choose_reader)
    assert worker.work()
    stored.refresh_from_db()
    assert stored.state == ArchiveImportState.FAILED
    assert "This is no archive that can be read" in stored.detail_sentence
    assert not ArchiveImportPart.objects.exists()
    assert not worker.work()


def test_uploads_that_are_not_imported_are_deleted_in_time() -> None:
    checked(Shelf([item(1)]))
    ArchiveImport.objects.create(newsletter=make_newsletter(), source_name="never-arrived.zip")
    assert not RULE.is_overdue(later(-1))
    assert RULE.purge(later(-1)) == 0
    assert RULE.is_overdue(later(1))
    assert RULE.purge(later(1)) == 2
    assert not ArchiveImport.objects.exists()
    assert not RULE.is_overdue(later(1))


def test_the_report_of_an_import_stays() -> None:
    imported(Shelf([item(1)]))
    assert RULE.purge(later(1)) == 0
    assert ArchiveEntry.objects.count() == 1


def test_an_erasure_deletes_uploads_and_an_import_that_was_checked_goes_on() -> None:
    people.make_subscription("gus@example.org", make_newsletter())
    shelf = Shelf([item(1)])
    waiting, stored = uploaded(), checked(shelf)
    erase_data_subject(find_data_subject("gus@example.org"))
    assert not ArchiveImportPart.objects.exists()
    waiting.refresh_from_db()
    assert (waiting.state, waiting.problem) == (ArchiveImportState.FAILED, "file_deleted")
    start_run(stored, by="ines", as_drafts=False, keeps_tracking=False)
    assert work(stored, shelf.worker()).state == ArchiveImportState.FINISHED
